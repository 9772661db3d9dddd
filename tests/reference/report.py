"""The metrics of an A/B test the slow way: from the contacts themselves, by the textbook, in fractions.

A contact is (orders, revenue in hundredths). Where the report uses one exact sum of squares, this takes variances
and covariance apart and puts them together by the delta method for a quotient.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from engine.ab_test.report import VariantTotals

Contact = tuple[int, int]


def totals(
    name: str, contacts: Sequence[Contact], *, share: int = 5_000, control: bool = False
) -> VariantTotals:
    """Return the totals that a kernel would have counted."""
    return VariantTotals(
        name=name,
        share=share,
        control=control,
        contacts=len(contacts),
        conversions=sum(orders > 0 for orders, _ in contacts),
        orders=sum(orders for orders, _ in contacts),
        revenue=sum(revenue for _, revenue in contacts),
        orders_sq=sum(orders * orders for orders, _ in contacts),
        revenue_sq=sum(revenue * revenue for _, revenue in contacts),
        orders_revenue=sum(orders * revenue for orders, revenue in contacts),
    )


def estimate(contacts: Sequence[Contact], metric: str) -> tuple[Fraction, Fraction] | None:
    """Value and variance per contact; None where there is nothing to divide by. At least two contacts."""
    orders = [Fraction(orders) for orders, _ in contacts]
    revenue = [Fraction(revenue, 100) for _, revenue in contacts]
    if metric == "conversion_rate":
        rate = _mean([Fraction(one > 0) for one in orders])
        return rate, rate * (1 - rate)
    if metric == "revenue_per_contact":
        return _mean(revenue), _covariance(revenue, revenue)
    per, total = _mean(orders), _mean(revenue)
    if per == 0:
        return None
    variance = (
        _covariance(revenue, revenue) / per**2
        - 2 * total * _covariance(revenue, orders) / per**3
        + total**2 * _covariance(orders, orders) / per**4
    )
    return total / per, variance


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _covariance(left: Sequence[Fraction], right: Sequence[Fraction]) -> Fraction:
    of_left, of_right = _mean(left), _mean(right)
    products = ((a - of_left) * (b - of_right) for a, b in zip(left, right, strict=True))
    return sum(products, Fraction(0)) / (len(left) - 1)
