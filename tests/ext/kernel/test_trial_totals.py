"""Totals of an A/B test (rule 22), kept order by order, beside the sums over contacts that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ext.kernel.contact import Trial
from ext.kernel.trial_totals import TrialTotals

amounts = st.integers(-(10**12), 10**15)


def test_a_first_order_is_a_conversion_and_a_second_one_is_not() -> None:
    totals = TrialTotals(contacts=1)
    first = totals.order(Trial("gift", 5, 0, 0), 300)
    assert (first.variant, first.first_ms, first.orders, first.revenue) == ("gift", 5, 1, 300)
    assert (totals.conversions, totals.orders, totals.revenue) == (1, 1, 300)
    totals.order(first, 200)
    assert (totals.conversions, totals.orders, totals.revenue) == (1, 2, 500)


def test_two_orders_of_one_contact_add_what_their_sum_squares_to() -> None:
    totals = TrialTotals()
    totals.order(totals.order(Trial("gift", 0, 0, 0), 300), 200)
    assert (totals.orders_sq, totals.revenue_sq, totals.orders_revenue) == (2**2, 500**2, 2 * 500)


@given(st.lists(st.lists(amounts, max_size=5), max_size=8))
def test_the_sums_are_those_over_contacts(contacts: list[list[int]]) -> None:
    totals = TrialTotals(contacts=len(contacts), expected=5_000 * len(contacts))
    for orders in contacts:
        trial = Trial("gift", 0, 0, 0)
        for worth in orders:
            trial = totals.order(trial, worth)
        assert (trial.orders, trial.revenue) == (len(orders), sum(orders))
    assert totals.sums() == (
        len(contacts),
        sum(bool(orders) for orders in contacts),
        sum(map(len, contacts)),
        sum(map(sum, contacts)),
        sum(len(orders) ** 2 for orders in contacts),
        sum(sum(orders) ** 2 for orders in contacts),
        sum(len(orders) * sum(orders) for orders in contacts),
        5_000 * len(contacts),
    )
