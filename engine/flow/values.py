"""The small values of a flow document as people write them: durations, times of day, ids, instants.

Every reader takes text and gives integers (milliseconds, minutes) or raises ValueError with a sentence that
says what the value should look like; `validate` puts the place in front of it.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from engine.limits import DURATION_MS_MAX
from ext.wire.instant import format as format_instant
from ext.wire.instant import parse as parse_instant

__all__ = [
    "DAY_NAMES",
    "ID_PATTERN",
    "format_duration",
    "format_instant",
    "format_time_of_day",
    "is_id",
    "parse_date",
    "parse_duration",
    "parse_instant",
    "parse_time_of_day",
]

ID_PATTERN: Final = "[a-z0-9][a-z0-9-]{0,63}"
"""Ids of flows, nodes, branches, pools and segments."""

DURATION_PATTERN: Final = "([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?"
TIME_PATTERN: Final = "([01][0-9]|2[0-3]):([0-5][0-9])"

DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""By number: 0 is Monday."""

_UNIT_MS: Final = {"w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_id = re.compile(ID_PATTERN)
_duration = re.compile(DURATION_PATTERN)
_time = re.compile(TIME_PATTERN)
_loose = re.compile("(?:[0-9]+[wdhms])+")


def is_id(text: str) -> bool:
    """Whether the text is an id: 1 to 64 of a-z, 0-9 and the hyphen, not beginning with a hyphen."""
    return _id.fullmatch(text) is not None


def parse_duration(text: str, *, negative: bool = False) -> int:
    """`1d12h` to milliseconds: one or more `<integer><unit>`, units w d h m s, largest first, each once.

    A day is 24 hours of elapsed time. `negative=True` (an offset) allows a leading `-`. ValueError otherwise,
    or beyond `limits.DURATION_MS_MAX`.
    """
    body = text[1:] if negative and text.startswith("-") else text
    match = _duration.fullmatch(body)
    if not body or match is None:
        raise ValueError(_not_a_duration(text, body))
    total = sum(int(part[:-1]) * _UNIT_MS[part[-1]] for part in match.groups() if part)
    if total > DURATION_MS_MAX:
        raise ValueError(f"{text!r} is longer than ten years.")
    return -total if body is not text else total


def _not_a_duration(text: str, body: str) -> str:
    if _loose.fullmatch(body) and len(body) <= 64:
        return f"{text!r} is not a duration: units go largest first (w d h m s), each once, as in 1d12h."
    return f"{text[:64]!r} is not a duration such as 90s, 36h or 1d12h."


def format_duration(ms: int) -> str:
    """Milliseconds to the shortest text that `parse_duration` reads back; parts of a second are cut."""
    sign, rest = ("-", -ms) if ms < 0 else ("", ms)
    parts = []
    for unit, size in _UNIT_MS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts) if parts else "0s"


def parse_time_of_day(text: str) -> int:
    """`"08:30"` to minutes after midnight (0 to 1439); ValueError if it is not HH:MM."""
    match = _time.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a time of day such as 08:00 (00:00 to 23:59).")
    return int(match[1]) * 60 + int(match[2])


def format_time_of_day(minute: int) -> str:
    """Minutes after midnight to `"08:30"`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_date(text: str) -> date | None:
    """The day of `2026-07-10`; None where the text is written in any other way (`fromisoformat` alone takes weeks,
    2026-W28-5, as well). ValueError where there is no such day."""
    return date.fromisoformat(text) if _DATE.fullmatch(text) else None
