"""Two distribution functions, Student's t and chi-square, on `math` alone: all that the report of an A/B test needs."""

from __future__ import annotations

from math import erfc, exp, fabs, inf, lgamma, log, log1p, sqrt
from typing import Final

BETA_TURNS_MAX: Final = 10_000  # it takes about the square root of the degrees of freedom


def student_t_tail(t: float, freedom: float) -> float:
    """Return P(|T| > t) of Student's t: the regularised incomplete beta function I(freedom / (freedom + t²))."""
    if freedom > 1e7:  # the normal distribution to seven digits, and the fraction would take long
        return erfc(fabs(t) / sqrt(2))
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def student_t_quantile(tail: float, freedom: float) -> float:
    """Return the t > 0 with P(|T| > t) = `tail`, by halving: slow, sure, and called once for an interval."""
    high = 1.0
    while student_t_tail(high, freedom) > tail:
        high *= 2
    low = 0.0
    while low < (middle := (low + high) / 2) < high:
        if student_t_tail(middle, freedom) > tail:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) by its continued fraction (Abramowitz and Stegun 26.5.8), on the side where that converges
    fast.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    # Lentz's algorithm: the fraction 1 + e₁/(1 + e₂/(1 + …)) as a product of c·d, two terms a turn.
    fraction, c, d = 1.0, 1.0, 0.0
    for m in range(BETA_TURNS_MAX):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        even = (m + 1) * (b - m - 1) * x / ((a + 2 * m + 1) * (a + 2 * m + 2))
        for term in (odd, even):
            c, d = 1 + term / c, 1 / (1 + term * d)
            fraction *= c * d
        if fabs(c * d - 1) < 1e-15:
            break
    return front / fraction


def chi_square_tail(x: float, freedom: int) -> float:
    """Return P(X > x) of chi-square: the regularised incomplete gamma function Q(freedom / 2, x / 2).

    For whole `freedom` it is a finite sum: Q(a + 1, y) = Q(a, y) + yᵃ e⁻ʸ / Γ(a + 1), from Q(½, y) = erfc √y or
    Q(1, y) = e⁻ʸ (Abramowitz and Stegun 26.4.4 and 26.4.5).
    """
    y = x / 2
    if y <= 0 or y == inf:
        return 0.0 if y > 0 else 1.0
    a, tail = (0.5, erfc(sqrt(y))) if freedom % 2 else (1.0, exp(-y))
    while a < freedom / 2:
        tail += exp(a * log(y) - y - lgamma(a + 1))
        a += 1
    return min(tail, 1.0)
