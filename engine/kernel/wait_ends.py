"""When a wait ends, where that depends on a date, a zone or a window (rules 4 and 5)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.flow.document import Until
from engine.flow.values import parse_date
from engine.flow.zone import is_zone, local_to_ms, ms_to_local, zone
from ext.wire import instant

DAY_MS = 86_400_000


def zone_name(traits: dict[str, Any], flow_zone: str) -> str:
    """The contact's `timezone` if it is one, else the flow's."""
    own = traits.get("timezone")
    return own if isinstance(own, str) and is_zone(own) else flow_zone


def zone_of(traits: dict[str, Any], flow_zone: str) -> ZoneInfo:
    """As `zone_name`, the zone itself."""
    return zone(zone_name(traits, flow_zone))


def date_of(value: object, until: Until, where: ZoneInfo) -> int | None:
    """The end of a dynamic wait in ms UTC; None where `value` is no date.

    Without `at` the offset is elapsed time from the date (midnight in the zone where it has no time of day). With
    `at` the whole days of the offset move the calendar date, `at` is the time of day there, and what the offset has
    beyond whole days is added as elapsed time: "two days before, at 10:00" is 10:00 also over a clock change.
    """
    found = _local_date_and_ms(value, where)
    if found is None:
        return None
    day, ms = found
    if until.at_minute is None:
        return ms + until.offset_ms
    days, rest = divmod(until.offset_ms, DAY_MS)
    try:
        return local_to_ms(where, day + timedelta(days=days), until.at_minute) + rest
    except OverflowError:
        return None


def _local_date_and_ms(value: object, where: ZoneInfo) -> tuple[date, int] | None:
    """The date in the zone, and the instant: midnight of a plain date."""
    if isinstance(value, datetime):
        ms = round(value.timestamp() * 1000)
        return ms_to_local(where, ms)[0], ms
    if not isinstance(value, str):
        return None
    try:
        if (day := parse_date(value)) is not None:
            return day, local_to_ms(where, day, 0)
        ms = instant.parse(value)
    except (ValueError, OverflowError):
        return None
    return ms_to_local(where, ms)[0], ms
