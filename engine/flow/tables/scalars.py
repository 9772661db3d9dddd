"""The shapes of the small values: ids, event names, durations, times, zones, edges."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.flow.document import NO_RELEVANCE
from engine.flow.tables.containers import Key
from engine.flow.tables.findings import Reader
from engine.flow.tables.pointer import quoted
from engine.flow.tables.shapes import WRONG, Choice, Parsed, Target, Text
from engine.flow.values import (
    DURATION_PATTERN,
    ID_PATTERN,
    TIME_PATTERN,
    is_id,
    parse_duration,
    parse_instant,
    parse_time_of_day,
)
from engine.flow.zone import zone, zone_names
from engine.limits import EVENT_NAME_BYTES_MAX


def an_id(of: str) -> Parsed:
    """The shape of an id, called `of` in sentences."""

    def parse(text: str) -> str:
        if not is_id(text):
            raise ValueError(f"{quoted(text)} is not an id: 1 to 64 of a-z, 0-9 and -, not beginning with -.")
        return text

    return Parsed(f"the id of {of}", "invalid_id", parse, ID_PATTERN)


def matching(words: str, code: str, pattern: str, allowed: str) -> Parsed:
    """The shape of a text that a regular expression describes and `allowed` explains."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f"{quoted(text)} is not {words}: {allowed}.")
        return text

    return Parsed(words, code, parse, pattern)


class EventName(Text):
    """The name of an event: fixed text, so that it is known what a flow may launch."""

    def __init__(self) -> None:
        super().__init__("the name of an event", EVENT_NAME_BYTES_MAX)

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        name = super().read(raw, at, reader)
        if name is not WRONG and "{{" in name:
            reader.problem(at, "invalid_name", "The name of an event is fixed text, not a template.")
        return name


def _longer_than_nothing(text: str) -> int:
    ms = parse_duration(text)
    if not ms:
        raise ValueError(f"{quoted(text)} is no time at all; a longer duration is expected here.")
    return ms


def _relevance(text: str) -> int:
    return NO_RELEVANCE if text == "none" else parse_duration(text)


def _offset(text: str) -> int:
    return parse_duration(text, negative=True)


def _zone_name(text: str) -> str:
    zone(text)
    return text


_DURATION: Final = "a duration such as 36h or 1d12h"

DURATION: Final = Parsed(_DURATION, "invalid_duration", parse_duration, DURATION_PATTERN)
PERIOD: Final = Parsed(_DURATION, "invalid_duration", _longer_than_nothing, DURATION_PATTERN)
OFFSET: Final = Parsed("a duration such as 2d or -2d", "invalid_duration", _offset, f"-?{DURATION_PATTERN}")
RELEVANCE: Final = Parsed(
    "a duration, or none,", "invalid_duration", _relevance, f"({DURATION_PATTERN}|none)"
)
TIME: Final = Parsed("a time of day such as 08:00", "invalid_time", parse_time_of_day, TIME_PATTERN)
INSTANT: Final = Parsed("an instant such as 2026-12-01T00:00:00Z", "invalid_instant", parse_instant)
ZONE: Final = Parsed("a time zone such as Europe/London", "unknown_zone", _zone_name, known=zone_names())


def an_edge(about: str = "The node that follows; without it the run ends here.") -> Key:
    """The key of an edge."""
    return Key(Target(), about, nullable=True)


def a_kind_key(name: str) -> Key:
    """The key that says what kind of node this is."""
    return Key(Choice(name), f"This is a {name} node.", required=True)
