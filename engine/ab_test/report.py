"""The report of an A/B test (rule 22): from whole numbers that the kernel counts to lifts, intervals and a winner.

The kernel adds integers; every figure here is computed from them anew, so a report never drifts and needs no
state. Variances come from exact integer sums and are divided once, at the end: sums of squares of large revenues
lose no digits.

People look at a running test every day and stop when they like what they see, so the intervals hold at all times at
once: the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas ("Time-uniform central
limit theory and asymptotic confidence sequences", 2021, arXiv:2103.06476; after Howard, Ramdas, McAuliffe and Sekhon,
"Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021), in the parameters that GrowthBook's gbstats
uses. Being asymptotic it needs some data before the first look: `INTERVAL_CONVERSIONS_MIN`, `INTERVAL_ERROR_MAX`.

Rejected: a fixed-horizon t-test in the report (looked at daily for a month it cries wolf in a quarter of all A/A
tests; `fixed_horizon` is there to be held against published figures); orders as the unit of the average order value
(orders of one contact depend on each other); numpy and scipy (two distribution functions are all that is needed).

One thing it does not know: contacts whose `within` is still open count as they are now, the same for every variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, hypot, inf, isfinite, log, log1p, sqrt
from typing import Any, Final

import msgspec

from engine.ab_test.distributions import chi_square_tail, student_t_quantile, student_t_tail
from engine.model import AB_METRICS
from ext.wire import instant

TUNING_CONTACTS: Final = 5_000
"""Contacts of both variants together at which the interval is narrowest for its confidence. GrowthBook's default, and
right here too: a hundred conversions a variant at the usual two to five per cent are 4,000 to 10,000 contacts."""

INTERVAL_CONVERSIONS_MIN: Final = 25
"""Conversions that control and variant each need before there is an interval. With fewer, the delta method makes a
losing variant look certain: at rates below two per cent, one in ten A/A tests was significant at some time."""

INTERVAL_ERROR_MAX: Final = 0.2
"""Standard error that the values compared may have, relative to the value, for there to be an interval: what 25
conversions give a rate. Revenues that a few large orders make up need more of them (one in seven A/A tests with
lognormal orders of σ = 2 was significant without this bound, one in twenty with it)."""

WINNER_DAYS_MIN: Final = 7
WINNER_CONVERSIONS_MIN: Final = 100  # of every variant
SAMPLE_RATIO_P_MIN: Final = 0.001  # below it the contacts do not fit the shares
EXPECTED_CONTACTS_MIN: Final = 5  # of every variant, for the chi-square test to hold (Cochran)

DAY_MS: Final = 24 * 3600 * 1000
UNIT_HUNDREDTHS: Final = 100  # of the currency unit


class VariantTotals(msgspec.Struct, frozen=True):
    """Totals that the kernel counted for one variant. All integers; sums go over contacts."""

    name: str
    share: int  # in hundredths of a per cent
    control: bool
    contacts: int  # that arrived
    conversions: int  # contacts with at least one goal event in time
    orders: int  # goal events in time
    revenue: int  # in hundredths of the currency unit, as below
    orders_sq: int  # sum of (a contact's orders)²
    revenue_sq: int  # sum of (a contact's revenue)²
    orders_revenue: int  # sum of a contact's orders · its revenue
    expected: int | None = (
        None  # `share`s summed over the arrivals of all variants; None: `share` never changed
    )

    @property
    def weight(self) -> int:
        """Share that its contacts are compared with: an edited share counts for contacts that arrived under it."""
        return self.share if self.expected is None else self.expected


class Estimate(msgspec.Struct, frozen=True):
    """A metric of one variant: its value, and the variance of what one of its `n` contacts adds to it."""

    value: float
    variance: float
    n: int


class Comparison(msgspec.Struct, frozen=True):
    """A variant against the control: relative lift (0.1 = ten per cent more), its interval, the p-value."""

    lift: float
    low: float
    high: float
    p_value: float


# Estimates and comparisons


def estimate(totals: VariantTotals, metric: str) -> Estimate | None:
    """Estimate the metric of one variant, revenue in currency units; None where there is nothing to divide by."""
    if metric == "conversion_rate":
        return rate(totals.conversions, totals.contacts)
    if metric == "revenue_per_contact":
        return mean(totals.revenue, totals.revenue_sq, totals.contacts, scale=UNIT_HUNDREDTHS)
    assert metric == "average_order_value", metric
    return _order_value(totals)


def rate(successes: int, n: int) -> Estimate | None:
    """Estimate the mean m of zeros and ones, with the variance m (1 - m). None without contacts."""
    if n <= 0:
        return None
    return Estimate(_quotient(successes, n), max(_quotient(successes * (n - successes), n * n), 0.0), n)


def mean(total: float, squares: float, n: int, scale: int = 1) -> Estimate | None:
    """Estimate mean and sample variance from sum and sum of squares of `n` values in 1/`scale`.

    None without contacts.
    """
    if n <= 0:
        return None
    spread = squares * n - total * total
    variance = _quotient(spread, n * (n - 1) * scale**2) if n > 1 else 0.0
    return Estimate(_quotient(total, n * scale), max(variance, 0.0), n)


def _order_value(totals: VariantTotals) -> Estimate | None:
    """Estimate revenue by orders, a quotient of two means over contacts, by the delta method.

    To first order a contact adds (its revenue - value · its orders) / (mean of orders) to the quotient. These add up
    to zero; their squares hold the variance of revenue, the covariance and the variance of orders.
    """
    n, orders, revenue = totals.contacts, totals.orders, totals.revenue
    if n <= 0 or orders <= 0:
        return None
    squares = totals.revenue_sq * orders**2 + totals.orders_sq * revenue**2
    squares -= 2 * totals.orders_revenue * orders * revenue
    variance = _quotient(squares * n**2, (n - 1) * orders**4 * UNIT_HUNDREDTHS**2) if n > 1 else 0.0
    return Estimate(_quotient(revenue, orders * UNIT_HUNDREDTHS), max(variance, 0.0), n)


def relative_lift(control: Estimate | None, variant: Estimate | None) -> float | None:
    """Return (variant - control) / control. None against a control of zero, or below it, where more would be less."""
    if control is None or variant is None or control.value <= 0:
        return None
    return _finite((variant.value - control.value) / control.value)


def sequential(
    control: Estimate, variant: Estimate, alpha: float, tuning: float = TUNING_CONTACTS
) -> Comparison | None:
    """Compute the relative lift with an interval and a p-value that hold however often one looks.

    None without a variance.

    Waudby-Smith et al. 2021, version 7: the mixing parameter ρ from `alpha` and `tuning` by equation 161, the
    interval by equation 9, the p-value by equation 155, with n the contacts of both variants. The interval excludes
    zero exactly when p < `alpha`.
    """
    lift, error = relative_lift(control, variant), _standard_error(control, variant)
    if lift is None or error is None:
        return None
    n_rho_sq = (control.n + variant.n) * (-2 * log(alpha) + log1p(-2 * log(alpha))) / tuning
    evidence_min = log1p(n_rho_sq) / 2 - log(alpha)
    half = _finite(error * sqrt(2 * (n_rho_sq + 1) / n_rho_sq * evidence_min))
    if half is None:
        return None
    score = lift / error
    evidence = score * score * n_rho_sq / (2 * (n_rho_sq + 1)) - log1p(n_rho_sq) / 2
    return Comparison(lift, lift - half, lift + half, exp(min(-evidence, 0.0)))


def fixed_horizon(control: Estimate, variant: Estimate, alpha: float) -> Comparison | None:
    """Compute the relative lift by Welch's t-test: valid for one look, at an end fixed beforehand.

    None without a variance.

    Not part of the report. The degrees of freedom are Welch and Satterthwaite's, of the absolute difference.
    """
    lift, error = relative_lift(control, variant), _standard_error(control, variant)
    if lift is None or error is None:
        return None
    part = variant.variance / variant.n / (variant.variance / variant.n + control.variance / control.n)
    freedom = 1 / (part**2 / (variant.n - 1) + (1 - part) ** 2 / (control.n - 1))
    half = error * student_t_quantile(alpha, freedom)
    return Comparison(lift, lift - half, lift + half, student_t_tail(lift / error, freedom))


def _standard_error(control: Estimate, variant: Estimate) -> float | None:
    """Compute the standard error of the relative lift, by the delta method.

    None against a control of zero, or where one does not vary.
    """
    if control.value <= 0 or control.variance <= 0 or variant.variance <= 0:
        return None
    of_variant = sqrt(variant.variance / variant.n) / control.value
    of_control = sqrt(control.variance / control.n) / control.value * (variant.value / control.value)
    error = _finite(hypot(of_variant, of_control))
    return error or None


def _quotient(numerator: float, denominator: float) -> float:
    """Divide whole numbers once, correctly rounded; infinite where a float does not reach."""
    try:
        return numerator / denominator
    except OverflowError:
        return inf


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


# The report


def sample_ratio(totals: Sequence[VariantTotals]) -> float | None:
    """Compute the p-value of the contacts against the shares: small when they do not fit (rule 22).

    Pearson's chi-square test over the variants that have a share. None while a variant expects too few contacts.
    """
    shared = [one for one in totals if one.weight > 0]
    if any(one.contacts for one in totals if one.weight <= 0):
        return 0.0
    weights, contacts = sum(one.weight for one in shared), sum(one.contacts for one in shared)
    if len(shared) < 2 or min(one.weight for one in shared) * contacts < EXPECTED_CONTACTS_MIN * weights:
        return None
    # (observed - expected)² / expected, times weights² above and below, in whole numbers.
    distances = ((one.contacts * weights - contacts * one.weight) ** 2 for one in shared)
    parts = (
        _quotient(far, contacts * one.weight * weights) for far, one in zip(distances, shared, strict=True)
    )
    return chi_square_tail(sum(parts), len(shared) - 1)


def report(
    totals: Sequence[VariantTotals], *, metric: str, confidence: float, started_ms: int | None, now_ms: int
) -> dict[str, Any]:
    """Return the report of rule 22, JSON-able: what cannot be said is None, never NaN or infinite.

    `metric` (one of AB_METRICS) decides the winner, at `confidence` (between 0 and 1, both excluded); `started_ms` is
    when the first contact arrived. In the answer shares are per cent, revenue is in currency units, lifts and
    intervals are fractions of the control's value. With several variants, intervals and p-values allow for as many
    comparisons (Bonferroni), so that one of them errs at all with a probability of at most 1 - `confidence`.
    """
    assert metric in AB_METRICS, metric
    assert 0 < confidence < 1, confidence
    control = next((one for one in totals if one.control), None)
    rivals = [one for one in totals if one is not control and (one.share > 0 or one.contacts > 0)]
    times = max(len(rivals), 1)
    figures = {
        one.name: {key: _figures(control, one, key, 1 - confidence, times) for key in AB_METRICS}
        for one in totals
    }
    elapsed_ms = 0 if started_ms is None else max(now_ms - started_ms, 0)
    p_value = sample_ratio(totals)
    mismatch = p_value is not None and p_value < SAMPLE_RATIO_P_MIN
    winner, reason = None, ""
    if control is None or not rivals:
        reason = "No winner: there is nothing to compare with a control."
    elif missing := _missing([control, *rivals], elapsed_ms, p_value if mismatch else None):
        reason = f"No winner yet: {'; '.join(missing)}."
    else:
        winner, reason = _decide(
            control.name, {one.name: figures[one.name][metric] for one in rivals}, metric
        )
    if times > 1:
        reason += f" The intervals allow for {times} comparisons with the control (Bonferroni)."
    return {
        "metric": metric,
        "confidence": confidence,
        "started_at": None if started_ms is None else instant.format(started_ms),
        "days": elapsed_ms * 100 // DAY_MS / 100,
        "contacts": sum(one.contacts for one in totals),
        "sample_ratio": {"p_value": p_value, "mismatch": mismatch},
        "variants": [_counts(one) | {"metrics": figures[one.name]} for one in totals],
        "winner": winner,
        "reason": reason,
    }


def _counts(one: VariantTotals) -> dict[str, Any]:
    return {
        "name": one.name,
        "control": one.control,
        "share": one.share / 100,
        "contacts": one.contacts,
        "conversions": one.conversions,
        "orders": one.orders,
        "revenue": _finite(_quotient(one.revenue, UNIT_HUNDREDTHS)),
    }


def _figures(
    control: VariantTotals | None, one: VariantTotals, metric: str, alpha: float, times: int
) -> dict[str, Any]:
    """Return one metric of one variant, compared at `alpha` shared among so many comparisons."""
    own, base, found = estimate(one, metric), None, None
    if control is not None and one is not control:
        base = estimate(control, metric)
        few = min(control.conversions, one.conversions) < INTERVAL_CONVERSIONS_MIN
        if own is not None and base is not None and not few and _is_firm(own) and _is_firm(base):
            found = sequential(base, own, alpha / times)
    return {
        "value": None if own is None else _finite(own.value),
        "lift": relative_lift(base, own),
        "interval": None if found is None else [found.low, found.high],
        "p_value": None if found is None else min(found.p_value * times, 1.0),
        "significant": found is not None and (found.low > 0 or found.high < 0),
    }


def _is_firm(own: Estimate) -> bool:
    return sqrt(own.variance / own.n) <= INTERVAL_ERROR_MAX * own.value


def _missing(taking_part: Sequence[VariantTotals], elapsed_ms: int, mismatch: float | None) -> list[str]:
    """Return what a winner still needs, whatever the intervals say."""
    missing = []
    if mismatch is not None:
        missing.append(
            f"the contacts do not fit the shares (p = {mismatch:.2g}), so the figures cannot be trusted"
        )
    if elapsed_ms < WINNER_DAYS_MIN * DAY_MS:
        missing.append(f"{elapsed_ms // DAY_MS} of at least {WINNER_DAYS_MIN} days have passed")
    few = [
        f"{one.name} has {one.conversions}" for one in taking_part if one.conversions < WINNER_CONVERSIONS_MIN
    ]
    if few:
        missing.append(f"every variant needs at least {WINNER_CONVERSIONS_MIN} conversions, {', '.join(few)}")
    return missing


def _decide(control: str, rivals: dict[str, dict[str, Any]], metric: str) -> tuple[str | None, str]:
    """Return the winner by the intervals of the chosen metric, and the sentence that says why."""
    title = metric.replace("_", " ")
    better = [name for name, of in rivals.items() if of["significant"] and of["lift"] > 0]
    worse = [name for name, of in rivals.items() if of["significant"] and of["lift"] < 0]
    if len(better) == 1:
        of = rivals[better[0]]
        low, high = of["interval"]
        return better[0], (
            f"The {title} of {better[0]} is better than that of {control}: "
            f"{of['lift']:+.1%}, interval {low:+.1%} to {high:+.1%}."
        )
    if better:
        return None, f"No winner yet: {', '.join(better)} all have a better {title} than {control}."
    if len(worse) == len(rivals):
        return control, f"The {title} of every other variant is worse than that of {control}."
    unclear = ", ".join(name for name in rivals if name not in worse)
    return None, f"No winner yet: the {title} of {unclear} cannot be told from that of {control}."
