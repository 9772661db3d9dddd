"""Dates in templates: `%d %B %Y` and the like, the same on every machine.

Python's own strftime asks the C library, which asks the locale; here the names are English and the directives
those that Liquid users know from Ruby.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from engine.flow.zone import ms_to_local

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DIRECTIVE: Final = re.compile(r"%([-_0^]?)([A-Za-z%])")
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class Moment(NamedTuple):
    """An instant as the clock of a zone shows it."""

    ms: int
    day: date
    minute: int
    ms_of_minute: int
    offset_minutes: int
    zone: str


def moment(place: ZoneInfo, ms: int) -> Moment:
    """What the zone's calendar and clock show at an instant."""
    day, minute, rest = ms_to_local(place, ms)
    local = ((day.toordinal() - _EPOCH_ORDINAL) * 1440 + minute) * 60_000 + rest
    return Moment(ms, day, minute, rest, (local - ms) // 60_000, place.key)


def format_moment(pattern: str, at: Moment) -> str:
    """Fill in a pattern. `%-d` leaves out padding, `%_d` pads with spaces, `%^a` writes capitals; a directive
    that is not known stays as it is written."""

    def fill(match: re.Match[str]) -> str:
        flag, letter = match.groups()
        if letter in _COMPOUND:
            return format_moment(_COMPOUND[letter], at)
        if letter in _NUMBERS:
            width, padding, number = _NUMBERS[letter]
            padding = {"_": " ", "0": "0"}.get(flag, padding)
            value = str(number(at))
            return value if flag == "-" else value.rjust(width, padding)
        if letter in _WORDS:
            word = _WORDS[letter](at)
            return word.upper() if flag == "^" else word
        return match.group()

    return _DIRECTIVE.sub(fill, pattern)


def _hour(at: Moment) -> int:
    return at.minute // 60


def _hour_of_twelve(at: Moment) -> int:
    return (_hour(at) - 1) % 12 + 1


def _offset(at: Moment) -> str:
    hours, minutes = divmod(abs(at.offset_minutes), 60)
    return f"{'-' if at.offset_minutes < 0 else '+'}{hours:02d}{minutes:02d}"


_NUMBERS: Final[dict[str, tuple[int, str, Callable[[Moment], int]]]] = {
    "Y": (4, "0", lambda at: at.day.year),
    "C": (2, "0", lambda at: at.day.year // 100),
    "y": (2, "0", lambda at: at.day.year % 100),
    "m": (2, "0", lambda at: at.day.month),
    "d": (2, "0", lambda at: at.day.day),
    "e": (2, " ", lambda at: at.day.day),
    "j": (3, "0", lambda at: at.day.timetuple().tm_yday),
    "H": (2, "0", _hour),
    "k": (2, " ", _hour),
    "I": (2, "0", _hour_of_twelve),
    "l": (2, " ", _hour_of_twelve),
    "M": (2, "0", lambda at: at.minute % 60),
    "S": (2, "0", lambda at: at.ms_of_minute // 1000),
    "L": (3, "0", lambda at: at.ms_of_minute % 1000),
    "s": (1, "0", lambda at: at.ms // 1000),
    "u": (1, "0", lambda at: at.day.isoweekday()),
    "w": (1, "0", lambda at: at.day.isoweekday() % 7),
    "G": (4, "0", lambda at: at.day.isocalendar().year),
    "V": (2, "0", lambda at: at.day.isocalendar().week),
}
_WORDS: Final[dict[str, Callable[[Moment], str]]] = {
    "A": lambda at: _DAYS[at.day.weekday()],
    "a": lambda at: _DAYS[at.day.weekday()][:3],
    "B": lambda at: _MONTHS[at.day.month - 1],
    "b": lambda at: _MONTHS[at.day.month - 1][:3],
    "h": lambda at: _MONTHS[at.day.month - 1][:3],
    "p": lambda at: "AM" if _hour(at) < 12 else "PM",
    "P": lambda at: "am" if _hour(at) < 12 else "pm",
    "z": _offset,
    "Z": lambda at: at.zone,
    "n": lambda at: "\n",
    "t": lambda at: "\t",
    "%": lambda at: "%",
}
_COMPOUND: Final = {
    "F": "%Y-%m-%d",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "c": "%a %b %e %H:%M:%S %Y",
}
