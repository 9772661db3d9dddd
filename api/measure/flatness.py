"""Whether a curve is flat: two questions, both of which have to be answered with no.

**Does it drift?** The slope is that of Theil and Sen, the median of the slopes between all pairs of samples, which
neither outliers nor the teeth of a saw sway; times the time judged it is what the curve has risen by.

**Is it higher at the end than at the beginning?** The medians of the first and of the last fifth are compared. A step
in the middle moves them, and hardly moves the slope; a leak that began in the middle moves both.

Only rising counts: what falls is no leak. What a curve may rise by is stated with it: a share of its first fifth, or so
much at all, whichever is more. Under MINIMUM_S of samples or with fewer than SAMPLES_MIN nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

MINIMUM_S = 60.0
SAMPLES_MIN = 20
FIFTH = 5


class Quantity(msgspec.Struct, frozen=True):
    """What is judged: `name` of the field of a sample, `scale` to the unit shown. It may rise by `share` of itself, or
    by `least` in that unit."""

    name: str
    what: str
    unit: str
    share: float
    least: float
    scale: float = 1.0


class Verdict(msgspec.Struct, frozen=True):
    """On one quantity, in its unit: the medians of the first and the last fifth, the drift over the time judged, and
    what both may come to. `flat`: None where there is too little to tell."""

    name: str
    what: str
    unit: str
    first: float
    last: float
    drift: float
    allowed: float
    flat: bool | None

    @property
    def words(self) -> str:
        if self.flat is None:
            return "too short to judge"
        if self.flat:
            return "flat"
        rises = []
        if self.drift > self.allowed:
            rises.append("drifts up")
        if self.last - self.first > self.allowed:
            rises.append("ends higher than it began")
        return f"NOT FLAT: {' and '.join(rises)}"


def judge(quantity: Quantity, points: Iterable[tuple[float, float | None]]) -> Verdict | None:
    """`points`: seconds and values, in order; those without a value are left out. None where there is not one."""
    known = [(at_s, value * quantity.scale) for at_s, value in points if value is not None]
    if not known:
        return None
    fifth = max(1, len(known) // FIFTH)
    first = median(value for _, value in known[:fifth])
    last = median(value for _, value in known[-fifth:])
    lasted_s = known[-1][0] - known[0][0]
    drift = slope(known) * lasted_s
    allowed = max(quantity.share * abs(first), quantity.least)
    long_enough = lasted_s >= MINIMUM_S and len(known) >= SAMPLES_MIN
    return Verdict(
        name=quantity.name,
        what=quantity.what,
        unit=quantity.unit,
        first=first,
        last=last,
        drift=drift,
        allowed=allowed,
        flat=max(drift, last - first) <= allowed if long_enough else None,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of Theil and Sen, a second; 0 for fewer than two points."""
    slopes = [
        (value - before) / (at_s - before_s)
        for place, (at_s, value) in enumerate(points)
        for before_s, before in points[:place]
        if at_s > before_s
    ]
    return median(slopes) if slopes else 0.0
