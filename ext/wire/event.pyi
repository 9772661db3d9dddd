from collections.abc import Sequence
from enum import IntEnum
from typing import Any, final

class Kind(IntEnum):
    TRACK = 0
    IDENTIFY = 1
    ALIAS = 2

@final
class Event:
    """One input of a contact, ready for the kernel; immutable.

    `body` is the JSON object of its properties (TRACK) or traits (IDENTIFY), as it was received;
    `timestamp_ms` is ms UTC, the smallest 64-bit integer where none was given; `previous` is the other id of an ALIAS.
    """

    kind: Kind
    timestamp_ms: int
    contact: str
    name: str
    message_id: str | None
    previous: str | None
    body: bytes

    def __init__(
        self,
        kind: Kind,
        contact: str,
        name: str = "",
        body: bytes = b"{}",
        timestamp_ms: int = ...,
        message_id: str | None = None,
        previous: str | None = None,
    ) -> None: ...

def survey(lines: bytes) -> tuple[int, bool, int]:
    """Of lines of JSON: how deep they nest, whether every line holds one value and every value lies on one line, and
    the bytes of the longest line. Safe on any bytes; only of JSON does it say something true."""

def narrow(value: Any) -> Any:
    """A JSON value in which whole numbers beyond 64 bits have become doubles."""

def depth_of(json: bytes) -> int:
    """How deeply objects and arrays nest in a valid JSON text."""

def convert(
    messages: Sequence[object], first_line: int
) -> tuple[list[Event | None], list[tuple[int, str, str]]]:
    """Decoded messages (`engine.wire`) to events. A message that breaks a rule becomes None and a rejection
    `(line, code, sentence)`, lines counted from `first_line`."""
