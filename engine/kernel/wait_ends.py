"""Ends of waits that depend on a date, a zone or a window (rules 4 and 5)."""

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
    """Return the contact's `timezone` if it is valid, else the flow's."""
    name = traits.get("timezone")
    return name if isinstance(name, str) and is_zone(name) else flow_zone


def zone_of(traits: dict[str, Any], flow_zone: str) -> ZoneInfo:
    """Return the zone with the name that `zone_name` returns."""
    return zone(zone_name(traits, flow_zone))


def date_of(value: object, until: Until, where: ZoneInfo) -> int | None:
    """Return the end of a dynamic wait in ms UTC, or None if `value` is not a date.

    Without `at` the offset is elapsed time from the date, which without a time of day means midnight in the zone. With
    `at` the whole days of the offset move the calendar date, `at` is the time of day there, and the rest of the offset
    is added as elapsed time: "two days before, at 10:00" is 10:00 also over a clock change.
    """
    local = _local_date_and_ms(value, where)
    if local is None:
        return None
    day, ms = local
    if until.at_minute is None:
        return ms + until.offset_ms
    days, rest = divmod(until.offset_ms, DAY_MS)
    try:
        return local_to_ms(where, day + timedelta(days=days), until.at_minute) + rest
    except OverflowError:
        return None


def _local_date_and_ms(value: object, where: ZoneInfo) -> tuple[date, int] | None:
    """Return the date in the zone and the instant in ms UTC, which for a plain date is its midnight."""
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
