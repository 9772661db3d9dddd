"""Local time: zones, the two awkward hours of a year, and the windows of a wait (rule 4).

The zones are those of the tzdata package, never the machine's own files: a batch replayed on another machine
must meet the same clock. (Upgrading tzdata changes the ends of waits that are computed from then on; ends
already computed are kept, rule 6.)

A local time is resolved by one idea, from which both awkward cases follow: it means *the first instant at
which the zone's clock reads that time or a later one*. A time skipped in spring is the first instant after
the gap; one that comes twice in autumn is the first of the two. Python's `fold` alone answers the second
case only, so a gap is resolved by looking for the transition.

A window of a day is the half-open stretch of instants from its opening to its closing time, each resolved as
above. A window that a gap swallows whole is therefore empty on that day.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from engine.flow.document import Window

_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1)
_EPOCH_ORDINAL: Final = _EPOCH.toordinal()
_FIRST_S: Final = -62_135_596_800 + 2 * 86_400  # the calendar of Python, less what an offset can add
_LAST_S: Final = 253_402_300_799 - 2 * 86_400
_DAYS_AHEAD: Final = 16
"""Each weekday comes at least once, even where a zone skips a day of the calendar (Apia in 2011)."""


@cache
def zone_names() -> frozenset[str]:
    """All IANA names that tzdata knows."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def is_zone(name: object) -> bool:
    """Whether this is an IANA name, spelt exactly (`Europe/London`)."""
    return isinstance(name, str) and name in zone_names()


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; ValueError if there is none."""
    if not is_zone(name):
        raise ValueError(f"{name[:64]!r} is not a time zone such as Europe/London.")
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _offset_s(place: ZoneInfo, utc_s: int) -> int:
    """Seconds east of UTC at an instant."""
    bounded = min(max(utc_s, _FIRST_S), _LAST_S)
    moment = (_EPOCH + timedelta(seconds=bounded)).replace(tzinfo=place)
    offset = place.fromutc(moment).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def ms_to_local(place: ZoneInfo, ms: int) -> tuple[date, int, int]:
    """The zone's calendar and clock at an instant: date, minute of the day, milliseconds of the minute."""
    local = ms + _offset_s(place, ms // 1000) * 1000
    days, rest = divmod(local, _DAY_MS)
    ordinal = min(max(days + _EPOCH_ORDINAL, 1), date.max.toordinal())
    return date.fromordinal(ordinal), rest // 60_000, rest % 60_000


def local_to_ms(place: ZoneInfo, day: date, minute: int) -> int:
    """The instant of a local time, `minute` counted from midnight (0 to 1440).

    Skipped in spring: the first instant after the gap. Twice in autumn: the first (rule 4).
    """
    return _resolve(place, day.toordinal(), minute)


@lru_cache(maxsize=8192)
def _resolve(place: ZoneInfo, ordinal: int, minute: int) -> int:
    wall_s = (ordinal - _EPOCH_ORDINAL) * 86_400 + minute * 60
    if not _FIRST_S <= wall_s <= _LAST_S:
        return wall_s * 1000
    wall = (_EPOCH + timedelta(seconds=wall_s)).replace(tzinfo=place)
    first, second = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert first is not None
    assert second is not None
    if first >= second:  # an ordinary time, or one that comes twice
        return (wall_s - round(first.total_seconds())) * 1000
    return _end_of_gap(place, wall_s, round(first.total_seconds()), round(second.total_seconds())) * 1000


def _end_of_gap(place: ZoneInfo, wall_s: int, before: int, after: int) -> int:
    """The second at which the clock jumps over `wall_s`: bisected between the two readings of that time."""
    early, late = wall_s - after, wall_s - before
    while late - early > 1:
        middle = (early + late) // 2
        if _offset_s(place, middle) + middle > wall_s:
            late = middle
        else:
            early = middle
    return late


def leaving(windows: tuple[Window, ...], place: ZoneInfo, ms: int) -> int:
    """The first instant at or after `ms` inside one of the windows (rule 4); without windows, `ms` itself.

    `[opens, closes)` on an allowed day; an overnight window belongs to the day on which it opens;
    `opens == closes` is the whole day. From the last days of the year 9999 on, windows are not looked at.
    """
    if not windows or not _FIRST_S <= ms // 1000 <= _LAST_S - _DAYS_AHEAD * 86_400:
        return ms
    return min(_leaving_one(window, place, ms) for window in windows)


def _leaving_one(window: Window, place: ZoneInfo, ms: int) -> int:
    assert window.days, "a window has at least one day"
    opens, closes, days_later = window.opens, window.closes, 0
    if opens == closes:
        opens, closes, days_later = 0, 0, 1
    elif opens > closes:
        days_later = 1
    today = ms_to_local(place, ms)[0].toordinal()
    for ordinal in range(today - 2, today + _DAYS_AHEAD):
        if (ordinal + 6) % 7 not in window.days:
            continue
        closing = _resolve(place, ordinal + days_later, closes)
        if closing > ms and closing > (opening := _resolve(place, ordinal, opens)):
            return max(opening, ms)
    raise AssertionError("no such weekday within two weeks")


__all__ = ["is_zone", "leaving", "local_to_ms", "ms_to_local", "zone", "zone_names"]
