"""Durations, local times and windows on `datetime` and `zoneinfo`, for the reference (rules 4 and 5).

Slow and obvious: a window is looked for day by day, a local time that does not exist minute by minute.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def duration(text: str) -> int:
    """Return the milliseconds of `1d12h` or `-2d`."""
    sign = -1 if text.startswith("-") else 1
    parts = re.findall(r"(\d+)([smhdw])", text)
    assert "".join(number + unit for number, unit in parts) == text.removeprefix("-"), text
    return sign * sum(int(number) * UNITS_MS[unit] for number, unit in parts)


def minute_of_day(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def instant(text: str) -> int:
    """Return the milliseconds UTC of an RFC 3339 instant; digits beyond the third are cut. Raise ValueError."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text):
        raise ValueError(text)
    whole = re.sub(r"\.(\d{1,6})\d*", lambda m: "." + m[1].ljust(6, "0"), text.upper())
    return from_datetime(datetime.fromisoformat(whole))


def from_datetime(moment: datetime) -> int:
    return (moment - EPOCH) // MS


def to_datetime(ms: int, zone: ZoneInfo | None = None) -> datetime:
    return (EPOCH + ms * MS).astimezone(zone or UTC)


def write(ms: int) -> str:
    """Return milliseconds UTC as the trace shows them."""
    moment = to_datetime(ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{ms % 1000:03d}Z" if ms % 1000 else "Z")


def zone_of(*names: Any) -> ZoneInfo:
    """Return the first of `names` that is a zone, else UTC."""
    for name in names:
        if isinstance(name, str) and name:
            try:
                return ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                continue
    return ZoneInfo("UTC")


def local(zone: ZoneInfo, day: date, minute: int) -> int:
    """Return the instant of a local time: in a gap the first instant after it, of two the first."""
    wall = datetime.combine(day, time(minute // 60, minute % 60))
    utc = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == wall:
        return from_datetime(utc)
    probe = wall - timedelta(hours=26)
    utc = probe.replace(tzinfo=zone).astimezone(UTC)
    while utc.astimezone(zone).replace(tzinfo=None) < wall:
        utc += timedelta(minutes=1)
    return from_datetime(utc)


def leaving(windows: list[dict[str, Any]], zone: ZoneInfo, ms: int) -> int:
    """Return the first instant at or after `ms` that is inside one of the windows."""
    if not windows:
        return ms
    today = to_datetime(ms, zone).date()
    found = []
    for window in windows:
        days = window.get("days", DAYS)
        opens = minute_of_day(window.get("from", "00:00"))
        closes = minute_of_day(window.get("to", "00:00"))
        for shift in range(-2, 16):
            day = today + timedelta(days=shift)
            if DAYS[day.weekday()] not in days:
                continue
            begin = local(zone, day, opens)
            end = local(zone, day if opens < closes else day + timedelta(days=1), closes)
            if begin < end and ms < end:
                found.append(max(begin, ms))
                break
    return min(found)


def date_of(value: Any, zone: ZoneInfo, at: str | None, offset_ms: int) -> int | None:
    """Return the end of a dynamic wait by the date `value`, or None where it is no date.

    Decided: without `at` the offset is elapsed time. With `at` its whole days move the date on the calendar, and
    `at` is the time of day there, so that "two days before, at 10:00" is 10:00 also over a clock change; what
    the offset has beyond whole days is elapsed time again.
    """
    if isinstance(value, datetime):
        moment = from_datetime(value)
    elif isinstance(value, str):
        try:
            moment = local(zone, plain_date(value), 0) if len(value) == 10 else instant(value)
        except ValueError:
            return None
    else:
        return None
    if at is None:
        return moment + offset_ms
    day = (
        plain_date(value) if isinstance(value, str) and len(value) == 10 else to_datetime(moment, zone).date()
    )
    whole_days, rest_ms = divmod(offset_ms, UNITS_MS["d"])
    return local(zone, day + timedelta(days=whole_days), minute_of_day(at)) + rest_ms


def occurrence(rule: dict[str, Any], zone: ZoneInfo, since: int) -> int:
    """Return the first occurrence of a schedule at or after `since` (rule 11)."""
    day = to_datetime(since, zone).date() - timedelta(days=1)
    while True:
        tomorrow = day + timedelta(days=1)
        last = tomorrow.month != day.month
        if (
            rule["every"] == "day"
            or (rule["every"] == "week" and DAYS[day.weekday()] in rule["days"])
            or (rule["every"] == "month" and (day.day in rule["days"] or (last and "last" in rule["days"])))
        ):
            found = local(zone, day, minute_of_day(rule["at"]))
            if found >= since:
                return found
        day = tomorrow


def plain_date(text: str) -> date:
    """Return the date of `YYYY-MM-DD`. Raise ValueError for other texts."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    return date.fromisoformat(text)
