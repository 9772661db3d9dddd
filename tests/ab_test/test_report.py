"""The A/B report: published figures, tables of the distributions, A/A tests that stay silent, and odd totals."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ab_test.distributions import chi_square_tail, student_t_quantile, student_t_tail
from engine.ab_test.report import (
    DAY_MS,
    Comparison,
    Estimate,
    VariantTotals,
    estimate,
    fixed_horizon,
    mean,
    rate,
    report,
    sample_ratio,
    sequential,
)
from engine.model import AB_METRICS
from tests.reference import report as reference

ALPHA = 0.05


def existing(found: Estimate | None) -> Estimate:
    assert found is not None
    return found


def figures(found: Comparison | None) -> tuple[float, float, float, float]:
    assert found is not None
    return round(found.lift, 5), round(found.low, 5), round(found.high, 5), round(found.p_value, 5)


def variant(
    name: str, contacts: int, conversions: int, *, control: bool = False, **other: int
) -> VariantTotals:
    """A variant whose converted contacts ordered once, half of them for 10, half of them for 30."""
    plain = {
        "share": 5_000,
        "orders": conversions,
        "revenue": conversions * 2_000,
        "orders_sq": conversions,
        "revenue_sq": conversions * 5_000_000,
        "orders_revenue": conversions * 2_000,
    }
    return VariantTotals(
        name=name, control=control, contacts=contacts, conversions=conversions, **{**plain, **other}
    )


def reported(*totals: VariantTotals, metric: str = "conversion_rate", days: float = 14) -> dict[str, Any]:
    answer = report(totals, metric=metric, confidence=0.95, started_ms=0, now_ms=int(days * DAY_MS))
    json.dumps(answer, allow_nan=False)
    return answer


def measured(answer: dict[str, Any], name: str, metric: str = "conversion_rate") -> dict[str, Any]:
    (found,) = [one["metrics"][metric] for one in answer["variants"] if one["name"] == name]
    return found  # type: ignore[no-any-return]


# Published figures


@pytest.mark.parametrize(
    ("control", "treated", "published"),
    [
        (rate(14, 28), rate(16, 30), (0.06667, -0.47767, 0.61101, 0.80707)),
        (
            mean(1396.87, 52377.9767, 3407),
            mean(2422.7, 134698.29, 3461),
            (0.70732, -0.03526, 1.44989, 0.06191),
        ),
    ],
)
def test_the_fixed_horizon_gives_the_figures_of_gbstats(
    control: Estimate, treated: Estimate, published: tuple[float, ...]
) -> None:
    assert figures(fixed_horizon(control, treated, ALPHA)) == published


@pytest.mark.parametrize(
    ("control", "treated", "tuning", "published"),
    [
        (
            mean(1396.87, 52377.9767, 3000),
            mean(2422.7, 134698.29, 3461),
            1_000,
            (0.50336, -0.55844, 1.56516, 1),
        ),
        (rate(1396, 3000), rate(2422, 3461), 5_000, (0.50386, 0.40098, 0.60675, 0)),
    ],
)
def test_the_sequential_test_gives_the_figures_of_gbstats(
    control: Estimate, treated: Estimate, tuning: float, published: tuple[float, ...]
) -> None:
    assert figures(sequential(control, treated, ALPHA, tuning)) == published


@pytest.mark.parametrize(
    ("freedom", "tail", "quantile"),
    [
        (1, 0.05, 12.7062),
        (2, 0.05, 4.3027),
        (5, 0.01, 4.0321),
        (10, 0.05, 2.2281),
        (30, 0.10, 1.6973),
        (120, 0.001, 3.3735),
        (1e9, 0.05, 1.9600),
    ],
)
def test_student_s_t_is_that_of_the_tables(freedom: float, tail: float, quantile: float) -> None:
    assert student_t_quantile(tail, freedom) == pytest.approx(quantile, abs=5e-5)
    assert student_t_tail(quantile, freedom) == pytest.approx(tail, rel=2e-4)


def test_student_s_t_has_closed_forms_for_one_and_two_degrees_of_freedom() -> None:
    for t in (0.0, 1e-6, 0.3, 1.0, 7.0, 1e4):
        assert student_t_tail(t, 1) == pytest.approx(2 * math.atan2(1, t) / math.pi, abs=1e-9)
        assert student_t_tail(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-9)


def test_student_s_t_goes_over_into_the_normal_distribution_without_a_step() -> None:
    assert student_t_tail(2.5, 0.999e7) == pytest.approx(student_t_tail(2.5, 1.001e7), rel=1e-5)


@pytest.mark.parametrize(
    ("freedom", "tail", "value"),
    [
        (1, 0.05, 3.841),
        (1, 0.001, 10.828),
        (2, 0.05, 5.991),
        (3, 0.05, 7.815),
        (3, 0.001, 16.266),
        (4, 0.95, 0.711),
        (4, 0.001, 18.467),
        (10, 0.05, 18.307),
    ],
)
def test_chi_square_is_that_of_the_tables(freedom: int, tail: float, value: float) -> None:
    assert chi_square_tail(value, freedom) == pytest.approx(tail, rel=1e-3)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4])
def test_chi_square_goes_from_one_to_zero(freedom: int) -> None:
    assert chi_square_tail(0, freedom) == 1
    assert chi_square_tail(1e5, freedom) == chi_square_tail(math.inf, freedom) == 0


# A/A tests, looked at every day of a month


def converted(draw: random.Random, contacts: int, halvings: int) -> int:
    """Return how many contacts convert at a rate of 1 / 2^halvings: an exact binomial draw, bit by bit."""
    bits = draw.getrandbits(contacts)
    for _ in range(halvings - 1):
        bits &= draw.getrandbits(contacts)
    return bits.bit_count()


@pytest.mark.parametrize(("tests", "daily", "halvings"), [(2_000, 100, 4), (400, 300, 6), (400, 30, 1)])
def test_a_conversion_rate_is_ever_significant_in_at_most_five_of_a_hundred_aa_tests(
    tests: int, daily: int, halvings: int
) -> None:
    draw, alarms = random.Random(20_260_801), 0
    for _ in range(tests):
        control = treated = 0
        for day in range(1, 31):
            control += converted(draw, daily, halvings)
            treated += converted(draw, daily, halvings)
            answer = report(
                [variant("a", day * daily, control, control=True), variant("b", day * daily, treated)],
                metric="conversion_rate",
                confidence=0.95,
                started_ms=0,
                now_ms=day * DAY_MS,
            )
            if measured(answer, "b")["significant"]:
                alarms += 1
                break
    assert 0 < alarms <= tests * 0.05


def test_one_of_four_equal_variants_is_ever_significant_in_at_most_five_of_a_hundred_tests() -> None:
    draw, alarms = random.Random(3), 0
    for _ in range(200):
        counts = dict.fromkeys("abcd", 0)
        for day in range(1, 31):
            counts = {name: count + converted(draw, 100, 3) for name, count in counts.items()}
            answer = reported(
                *(variant(name, day * 100, count, control=name == "a") for name, count in counts.items())
            )
            if any(measured(answer, name)["significant"] for name in "bcd"):
                alarms += 1
                break
    assert alarms <= 10


@pytest.mark.parametrize("spread", [0.8, 1.6])
def test_revenue_is_ever_significant_in_at_most_five_of_a_hundred_aa_tests(spread: float) -> None:
    draw, alarms = random.Random(7), dict.fromkeys(AB_METRICS, 0)
    for _ in range(250):
        counted = {"a": [0] * 7, "b": [0] * 7}
        ever = set()
        for day in range(1, 31):
            for counts in counted.values():
                for orders in (1 + (draw.random() < 0.3) for _ in range(converted(draw, 100, 4))):
                    revenue = sum(round(draw.lognormvariate(8.5, spread)) for _ in range(orders))
                    squares = (orders * orders, revenue * revenue, orders * revenue)
                    counts[:] = map(sum, zip(counts, (0, 1, orders, revenue, *squares), strict=True))
            answer = reported(
                *(
                    VariantTotals(name, 5_000, name == "a", day * 100, *counts[1:])
                    for name, counts in counted.items()
                )
            )
            ever |= {metric for metric in AB_METRICS if measured(answer, "b", metric)["significant"]}
        for metric in ever:
            alarms[metric] += 1
    assert {metric: count for metric, count in alarms.items() if count > 250 * 0.05} == {}


def test_a_fixed_horizon_looked_at_daily_would_not_do() -> None:
    draw, alarms = random.Random(11), 0
    for _ in range(50):
        control = treated = 0
        for day in range(1, 31):
            control += converted(draw, 100, 4)
            treated += converted(draw, 100, 4)
            sizes = existing(rate(control, day * 100)), existing(rate(treated, day * 100))
            found = fixed_horizon(*sizes, ALPHA)
            if found is not None and found.p_value < ALPHA:
                alarms += 1
                break
    assert alarms > 50 * 0.2


def test_a_real_difference_is_found() -> None:
    draw, found = random.Random(5), 0
    for _ in range(50):
        control, treated = converted(draw, 20_000, 4), converted(draw, 20_000, 4) + 250
        answer = reported(variant("a", 20_000, control, control=True), variant("b", 20_000, treated))
        found += answer["winner"] == "b"
    assert found >= 40


# The winner


CONTROL = variant("control", 10_000, 1_000, control=True)
GIFT = variant("gift", 10_000, 1_300)
POOR = variant("poor", 10_000, 700)
SAME = variant("same", 10_000, 1_005)


@pytest.mark.parametrize(
    ("totals", "days", "winner", "reason"),
    [
        ([CONTROL, GIFT], 7, "gift", "gift is better than that of control: +30.0%, interval +"),
        ([CONTROL, GIFT], 6.999, None, "6 of at least 7 days have passed"),
        ([CONTROL, POOR], 7, "control", "every other variant is worse"),
        ([CONTROL, SAME], 7, None, "same cannot be told from that of control"),
        ([CONTROL, POOR, SAME], 7, None, "of same cannot be told from that of control"),
        ([CONTROL, POOR, variant("bad", 10_000, 600)], 7, "control", "2 comparisons with the control"),
        ([CONTROL, GIFT, POOR, SAME], 7, "gift", "3 comparisons with the control (Bonferroni)"),
        ([CONTROL, GIFT, variant("card", 10_000, 1_350)], 7, None, "gift, card all have a better"),
        (
            [variant("control", 1_000, 99, control=True), variant("gift", 1_000, 300)],
            7,
            None,
            "every variant needs at least 100 conversions, control has 99",
        ),
        ([variant("control", 1_000, 100, control=True), variant("gift", 1_000, 300)], 7, "gift", "is better"),
        ([CONTROL, variant("gift", 9_000, 1_300)], 7, None, "the contacts do not fit the shares (p = "),
        ([CONTROL], 7, None, "nothing to compare"),
        ([GIFT, POOR], 7, None, "nothing to compare"),
        ([CONTROL, GIFT, variant("off", 0, 0, share=0)], 7, "gift", "is better"),
    ],
)
def test_the_winner_and_the_reason(
    totals: list[VariantTotals], days: float, winner: str | None, reason: str
) -> None:
    answer = reported(*totals, days=days)
    assert answer["winner"] == winner
    assert reason in answer["reason"]


def test_all_that_is_missing_is_said_at_once() -> None:
    answer = reported(variant("a", 900, 40, control=True), variant("b", 1_100, 60), days=2)
    assert answer["reason"].count(";") == 2
    assert "a has 40, b has 60" in answer["reason"]


def test_the_chosen_metric_decides() -> None:
    fewer_but_dearer = variant("b", 10_000, 800, revenue=800 * 6_000, revenue_sq=800 * 40_000_000)
    both = (CONTROL, fewer_but_dearer)
    assert reported(*both)["winner"] == "control"
    assert reported(*both, metric="revenue_per_contact")["winner"] == "b"


def test_several_variants_are_judged_more_strictly_than_one() -> None:
    alone = measured(reported(CONTROL, GIFT), "gift")
    among = measured(reported(CONTROL, GIFT, SAME, POOR), "gift")
    assert among["interval"][0] < alone["interval"][0] < alone["interval"][1] < among["interval"][1]
    third = sequential(existing(rate(1_000, 10_000)), existing(rate(1_300, 10_000)), 0.05 / 3)
    assert third is not None
    assert among["p_value"] == pytest.approx(3 * third.p_value)
    assert among["interval"] == pytest.approx([third.low, third.high])
    assert among["lift"] == alone["lift"]


# Shares


@pytest.mark.parametrize(
    ("contacts", "shares", "p_value"),
    [
        ((500, 500), (5_000, 5_000), 1.0),
        ((540, 460), (5_000, 5_000), 0.011412),
        ((920, 80), (9_000, 1_000), 0.035015),
        ((300, 400, 300), (3_333, 3_333, 3_334), 4.55e-5),
        ((0, 0), (5_000, 5_000), None),
        ((20, 1), (9_900, 100), None),
        ((10, 10), (10_000, 0), 0.0),
        ((10,), (10_000,), None),
        ((), (), None),
    ],
)
def test_the_contacts_are_held_against_the_shares(
    contacts: tuple[int, ...], shares: tuple[int, ...], p_value: float | None
) -> None:
    totals = [
        variant(str(i), n, 0, share=share) for i, (n, share) in enumerate(zip(contacts, shares, strict=True))
    ]
    found = sample_ratio(totals)
    assert found == (None if p_value is None else pytest.approx(p_value, rel=2e-2))


@pytest.mark.parametrize(("treated", "mismatch"), [(10_460, False), (10_480, True)])
def test_a_mismatch_is_flagged_below_one_in_a_thousand(treated: int, mismatch: bool) -> None:
    answer = reported(CONTROL, variant("b", treated, 1_000))
    assert answer["sample_ratio"]["mismatch"] is mismatch
    assert (answer["sample_ratio"]["p_value"] < 0.001) is mismatch


# Odd totals


NOTHING = {"lift": None, "interval": None, "p_value": None, "significant": False}


@pytest.mark.parametrize(
    ("control", "treated", "metric", "expected"),
    [
        ((0, 0), (0, 0), "conversion_rate", NOTHING | {"value": None}),
        ((0, 0), (50, 10), "revenue_per_contact", NOTHING | {"value": 4.0}),
        ((50, 0), (50, 10), "conversion_rate", NOTHING | {"value": 0.2}),
        ((50, 10), (50, 0), "conversion_rate", NOTHING | {"value": 0.0, "lift": -1.0}),
        ((50, 10), (50, 0), "average_order_value", NOTHING | {"value": None}),
        ((50, 0), (50, 10), "average_order_value", NOTHING | {"value": 20.0}),
        ((1, 1), (1, 1), "average_order_value", NOTHING | {"value": 20.0, "lift": 0.0}),
        ((80, 40), (80, 80), "conversion_rate", NOTHING | {"value": 1.0, "lift": 1.0}),
        ((80, 80), (80, 40), "conversion_rate", NOTHING | {"value": 0.5, "lift": -0.5}),
        ((80, 24), (80, 40), "conversion_rate", NOTHING | {"value": 0.5, "lift": pytest.approx(2 / 3)}),
    ],
)
def test_what_cannot_be_said_is_none(
    control: tuple[int, int], treated: tuple[int, int], metric: str, expected: dict[str, object]
) -> None:
    answer = reported(variant("a", *control, control=True), variant("b", *treated))
    assert measured(answer, "b", metric) == expected
    assert answer["winner"] is None


def test_orders_that_all_cost_the_same_have_no_interval() -> None:
    def dull(name: str, *, control: bool = False) -> VariantTotals:
        orders, revenue = 400, 400 * 1_000
        return variant(
            name,
            1_000,
            orders,
            control=control,
            revenue=revenue,
            revenue_sq=revenue * 1_000,
            orders_revenue=revenue,
        )

    answer = reported(dull("a", control=True), dull("b"))
    assert measured(answer, "b", "average_order_value") == NOTHING | {"value": 10.0, "lift": 0.0}
    assert measured(answer, "b", "revenue_per_contact")["interval"] is not None


def test_revenue_below_zero_is_no_yardstick() -> None:
    answer = reported(variant("a", 500, 100, control=True, revenue=-5_000), variant("b", 500, 100))
    assert measured(answer, "a", "revenue_per_contact")["value"] == -0.1
    assert measured(answer, "b", "revenue_per_contact") == NOTHING | {"value": 4.0}


def test_a_value_that_hangs_on_a_few_orders_has_no_interval_yet() -> None:
    one_large = variant("b", 1_000, 200, revenue=900_000, revenue_sq=500_000**2 + 199 * 2_010**2)
    answer = reported(variant("a", 1_000, 200, control=True), one_large)
    assert measured(answer, "b", "revenue_per_contact")["interval"] is None
    assert measured(answer, "b", "conversion_rate")["interval"] is not None


@pytest.mark.parametrize(
    ("started_ms", "now_ms", "started_at", "days"),
    [
        (None, 5 * DAY_MS, None, 0),
        (DAY_MS, 5 * DAY_MS, "1970-01-02T00:00:00Z", 4),
        (0, 8 * DAY_MS - 1, "1970-01-01T00:00:00Z", 7.99),
        (5 * DAY_MS, DAY_MS, "1970-01-06T00:00:00Z", 0),
    ],
)
def test_the_days_it_has_run(
    started_ms: int | None, now_ms: int, started_at: str | None, days: float
) -> None:
    answer = report(
        [CONTROL, GIFT], metric="conversion_rate", confidence=0.95, started_ms=started_ms, now_ms=now_ms
    )
    assert (answer["started_at"], answer["days"]) == (started_at, days)


def test_the_counts_are_given_in_per_cent_and_currency_units() -> None:
    answer = reported(variant("a", 10, 3, control=True, share=3_333, revenue=1_234), variant("b", 11, 4))
    assert answer["contacts"] == 21
    assert {key: value for key, value in answer["variants"][0].items() if key != "metrics"} == {
        "name": "a",
        "control": True,
        "share": 33.33,
        "contacts": 10,
        "conversions": 3,
        "orders": 3,
        "revenue": 12.34,
    }


def test_no_variants_make_an_empty_report() -> None:
    answer = reported()
    assert (answer["variants"], answer["contacts"], answer["winner"]) == ([], 0, None)


# Properties

COUNT = st.integers(-3, 3) | st.integers(0, 2_000) | st.integers(-(2**70), 2**70)
SUM = COUNT | st.just(10**320)
ROW = st.tuples(st.integers(0, 10_000), *[COUNT] * 3, *[SUM] * 4, st.booleans())


@given(st.lists(ROW, max_size=5), st.sampled_from(AB_METRICS))
def test_totals_that_cannot_be_make_a_report_all_the_same(rows: list[tuple[Any, ...]], metric: str) -> None:
    totals = [
        VariantTotals(str(i), share, control, *counts) for i, (share, *counts, control) in enumerate(rows)
    ]
    answer = reported(*totals, metric=metric)
    assert [one["name"] for one in answer["variants"]] == [one.name for one in totals]


CONTACTS = st.lists(
    st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 10**7))) | st.just((0, 0)),
    min_size=2,
    max_size=60,
)


@given(CONTACTS, st.sampled_from(AB_METRICS))
def test_the_sums_say_what_the_contacts_say(contacts: list[reference.Contact], metric: str) -> None:
    found, slow = estimate(reference.totals("a", contacts), metric), reference.estimate(contacts, metric)
    if slow is None:
        assert found is None
    else:
        assert found == Estimate(float(slow[0]), float(slow[1]), len(contacts))


PLAUSIBLE = st.builds(
    lambda contacts, share: (contacts, round(contacts * share)), st.integers(50, 5_000), st.floats(0, 1)
)


@given(st.lists(PLAUSIBLE, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_variants_does_not_matter(
    counts: list[tuple[int, int]], order: random.Random
) -> None:
    totals = [variant(str(i), *pair, control=i == 0) for i, pair in enumerate(counts)]
    shuffled = order.sample(totals, len(totals))
    first, second = reported(*totals), reported(*shuffled)
    assert {one["name"]: one for one in first["variants"]} == {one["name"]: one for one in second["variants"]}
    assert first["winner"] == second["winner"]
    assert first["sample_ratio"]["p_value"] == pytest.approx(second["sample_ratio"]["p_value"])


@given(CONTACTS, CONTACTS, st.integers(2, 1_000))
def test_another_currency_changes_values_and_nothing_else(
    left: list[reference.Contact], right: list[reference.Contact], times: int
) -> None:
    def answer(factor: int) -> dict[str, Any]:
        # Everybody 40 times, so that there are enough conversions for intervals.
        return reported(
            *(
                reference.totals(name, [(n, r * factor) for n, r in contacts] * 40, control=name == "a")
                for name, contacts in (("a", left), ("b", right))
            )
        )

    plain, scaled = answer(1), answer(times)
    for metric in AB_METRICS:
        one, other = measured(plain, "b", metric), measured(scaled, "b", metric)
        if one["value"] is not None:
            one["value"] *= 1 if metric == "conversion_rate" else times
        assert numbers(other) == pytest.approx(numbers(one), rel=1e-6, abs=1e-9)
        assert {key for key in one if one[key] is None} == {key for key in other if other[key] is None}


def numbers(measure: dict[str, Any]) -> list[float]:
    """All numbers of one metric; the interval's, where there is one, come last."""
    first = [measure[key] for key in ("value", "lift", "p_value") if measure[key] is not None]
    return first + (measure["interval"] or [])


@given(PLAUSIBLE, PLAUSIBLE, st.floats(0.5, 0.999, exclude_min=True))
def test_the_interval_excludes_zero_exactly_when_the_p_value_is_small(
    control: tuple[int, int], treated: tuple[int, int], confidence: float
) -> None:
    def turned(pair: tuple[int, int]) -> Estimate:
        return existing(rate(pair[1], pair[0]))

    found = sequential(turned(control), turned(treated), 1 - confidence)
    if found is not None and abs(found.p_value - (1 - confidence)) > 1e-9:
        assert (found.low > 0 or found.high < 0) == (found.p_value < 1 - confidence)
        assert found.low <= found.lift <= found.high
