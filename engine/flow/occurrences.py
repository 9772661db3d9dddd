"""When a scheduled launch occurs (rule 11): pure calendar arithmetic in the flow's zone.

A local time that does not exist occurs at the first instant after the gap, one that exists twice at the first;
a day of the month that a month lacks is skipped, `last` (0) is the last day.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from engine.flow.document import ScheduleTrigger
from engine.flow.zone import local_to_ms, ms_to_local

DAYS_AHEAD = 366 * 8 + 2
"""The 29th of February alone is the rarest rule: over a turn of the century eight years lie between two."""


def next_occurrence(trigger: ScheduleTrigger, zone: ZoneInfo, ms: int) -> int | None:
    """The first occurrence at or after `ms`, ms UTC; None at the end of the calendar."""
    day = ms_to_local(zone, ms)[0]
    # A clock change can put the local time of the day before at or after `ms`.
    day = day - timedelta(days=1) if day > date.min else day
    for _ in range(DAYS_AHEAD):
        if _occurs_on(trigger, day):
            found = local_to_ms(zone, day, trigger.at_minute)
            if found >= ms:
                return found
        if day == date.max:
            return None
        day += timedelta(days=1)
    return None


def _occurs_on(trigger: ScheduleTrigger, day: date) -> bool:
    if trigger.every == "day":
        return True
    if trigger.every == "week":
        return day.weekday() in trigger.days
    last = monthrange(day.year, day.month)[1]
    return day.day in trigger.days or (0 in trigger.days and day.day == last)
