"""Rule 4, slowly: a clock that ticks minute by minute and looks at what it shows.

It knows one thing about a zone, what its clock reads at an instant of UTC, and one thing about rule 4: a local time
means the first instant at which the clock reads that time or a later one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.flow.document import Window

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ticking:
    """The readings of a zone's clock at every minute of UTC from `start` for `days` days."""

    def __init__(self, place: ZoneInfo, start: datetime, days: int) -> None:
        self.instants = [start + minute * MINUTE for minute in range(days * 1440)]
        self.readings = [instant.astimezone(place).replace(tzinfo=None, fold=0) for instant in self.instants]

    def first(self, local: datetime) -> datetime | None:
        """Return the first minute at which the clock reads `local` or later, or None if it is not within the days."""
        if self.readings[0] >= local:
            return None
        for instant, reading in zip(self.instants, self.readings, strict=True):
            if reading >= local:
                return instant
        return None

    def leaving(self, windows: tuple[Window, ...], at: datetime) -> datetime | None:
        """Return the first minute from `at` on inside a window, or None if it is not within the days."""
        stretches = [stretch for window in windows for stretch in self._stretches(window)]
        for instant in self.instants:
            if instant >= at and any(opens <= instant < closes for opens, closes in stretches):
                return instant
        return None

    def _stretches(self, window: Window) -> list[tuple[datetime, datetime]]:
        found = []
        day = self.readings[0].date()
        while day <= self.readings[-1].date():
            if day.weekday() in window.days:
                opens, closes = (self.first(local) for local in _bounds(window, day))
                if opens is not None and closes is not None:
                    found.append((opens, closes))
            day += timedelta(days=1)
        return found


def _bounds(window: Window, day: date) -> tuple[datetime, datetime]:
    midnight = datetime(day.year, day.month, day.day)
    if window.opens == window.closes:
        return midnight, midnight + timedelta(days=1)
    opens = midnight + window.opens * MINUTE
    closes = midnight + window.closes * MINUTE
    return opens, closes if closes > opens else closes + timedelta(days=1)


def to_ms(instant: datetime) -> int:
    """Return milliseconds UTC."""
    return (instant - EPOCH) // timedelta(milliseconds=1)
