"""Input lines in Segment's shapes, and their conversion into events.

One line is one JSON object. `decode_lines` serves the streams, the journal and the simulator alike, so that a
replayed batch runs through the code that accepted it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import msgspec

from engine.limits import (
    CONTROL_BYTES_MAX,
    CONTROL_DEPTH_MAX,
    LINE_DEPTH_MAX,
    MESSAGE_BYTES_MAX,
)
from engine.model import Control, Input
from ext.wire.event import Event, convert, narrow, survey
from ext.wire.line_reader import read_lines

NOTHING = msgspec.Raw(b"{}")
_any = msgspec.json.Decoder()


class _Message(msgspec.Struct, tag_field="type"):
    """Part of the envelope that all messages share; keys not listed (context, integrations…) are ignored."""

    kind: ClassVar[int] = 0

    userId: str | None = None
    anonymousId: str | None = None
    messageId: str | None = None
    timestamp: str | None = None


class Track(_Message, tag="track", kw_only=True):
    event: str
    body: msgspec.Raw = msgspec.field(name="properties", default=NOTHING)


class Identify(_Message, tag="identify", kw_only=True):
    kind: ClassVar[int] = 1
    event: ClassVar[str] = ""
    body: msgspec.Raw = msgspec.field(name="traits", default=NOTHING)


class Alias(_Message, tag="alias", kw_only=True):
    kind: ClassVar[int] = 2
    event: ClassVar[str] = ""
    body: ClassVar[msgspec.Raw] = NOTHING
    previousId: str


class _Named(_Message, kw_only=True):
    """Message whose name, category or group stands beside its properties, and belongs into them."""

    name: Any = None
    category: Any = None
    groupId: Any = None
    properties: msgspec.Raw = NOTHING

    @property
    def body(self) -> msgspec.Raw:
        """Properties with name, category and group among them; the properties' own values win."""
        beside = {"name": self.name, "category": self.category, "groupId": self.groupId}
        named = {key: value for key, value in beside.items() if value is not None}
        if not named:
            return self.properties
        properties = _any.decode(self.properties)
        if properties is not None and not isinstance(properties, dict):
            return self.properties
        return msgspec.Raw(msgspec.json.encode({**named, **(properties or {})}))


class Page(_Named, tag="page", kw_only=True):
    """Message `page`, stored as the event `Page Viewed` with `name` and `category` among the properties."""

    event: ClassVar[str] = "Page Viewed"


class Screen(_Named, tag="screen", kw_only=True):
    """Message `screen`, stored as the event `Screen Viewed`."""

    event: ClassVar[str] = "Screen Viewed"


class Group(_Named, tag="group", kw_only=True):
    """Message `group`, stored as the event `Group Joined` with the group's traits and `groupId` as properties."""

    event: ClassVar[str] = "Group Joined"
    properties: msgspec.Raw = msgspec.field(name="traits", default=NOTHING)


Message = Track | Identify | Alias | Page | Screen | Group

_messages = msgspec.json.Decoder(Message)


class Rejection(msgspec.Struct, frozen=True):
    """Refusal of line `line` of a body, counted from 0 with blank lines included."""

    line: int
    code: str
    detail: str


class Decoded(msgspec.Struct):
    """Inputs in order, and the lines of exactly these inputs in `body`, each ended by a newline, for the journal."""

    inputs: list[Input]
    body: bytes
    rejected: list[Rejection]
    lines: int


def decode_lines(data: bytes, *, control: bool = False) -> Decoded:
    """Decode whole NDJSON lines. Never raises: refused lines are in `rejected`.

    `control=True` also takes lines of type `control`; only the journal and the engine itself may pass that.
    """
    inputs: list[Input] | None = read_lines(data, partial(_decode_unusual, control))
    if inputs is None:
        return _decode_one_by_one(data, control)
    body = data if data.endswith(b"\n") or not data else data + b"\n"
    return Decoded(inputs, body, [], len(inputs))


def _decode_unusual(control: bool, line: bytes) -> Input | None:
    """Decode a line that the fast reader left over; return None if it is blank or rejected."""
    decoded = decode_line(line, control=control) if line.strip() else None
    return None if isinstance(decoded, Rejection) else decoded


def _decode_one_by_one(data: bytes, control: bool) -> Decoded:
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    inputs: list[Input] = []
    accepted: list[bytes] = []
    rejected: list[Rejection] = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        decoded = decode_line(line, number, control=control)
        if isinstance(decoded, Rejection):
            rejected.append(decoded)
        else:
            inputs.append(decoded)
            accepted.append(line)
    return Decoded(inputs, b"\n".join([*accepted, b""]), rejected, len(lines))


def decode_line(line: bytes, number: int = 0, *, control: bool = False) -> Input | Rejection:
    """Decode one line; `number` is the line number for a rejection."""
    if control and (operation := _control(line)) is not None:
        return operation
    if len(line) > MESSAGE_BYTES_MAX:
        return Rejection(number, "too_large", f"A message has at most {MESSAGE_BYTES_MAX} bytes.")
    depth, plain, _ = survey(line)
    if depth > LINE_DEPTH_MAX:
        return Rejection(number, "too_deep", f"A message nests at most {LINE_DEPTH_MAX} levels deep.")
    if (depth and not plain) or b"\n" in line:
        return Rejection(number, "not_one_line", "A message is one JSON object on one line.")
    try:
        line.decode()
        events, wrong = convert([_messages.decode(line)], number)
    except UnicodeDecodeError:
        return Rejection(number, "not_utf8", "A message is UTF-8.")
    except msgspec.ValidationError as error:
        return Rejection(number, "invalid", f"{error}.")
    except msgspec.DecodeError as error:
        return Rejection(number, "not_json", f"{error}.")
    if wrong:
        return Rejection(*wrong[0])
    assert events[0] is not None
    return events[0]


def _control(line: bytes) -> Control | None:
    if len(line) > CONTROL_BYTES_MAX or b'"control"' not in line or survey(line)[0] > CONTROL_DEPTH_MAX:
        return None
    try:
        raw = _any.decode(line)
    except msgspec.DecodeError:
        return None
    if not isinstance(raw, dict) or raw.get("type") != "control":
        return None
    return control_of(raw)


def control_of(raw: dict[str, Any]) -> Control:
    """Return the operation in a decoded `{"type": "control", "op": …}`. Integers beyond 64 bits become doubles."""
    args = {key: value for key, value in raw.items() if key not in ("type", "op")}
    return Control(str(raw["op"]), narrow(args))


def encode_control(operation: Control) -> bytes:
    """Return the line, newline included, that `decode_lines(control=True)` reads back as this operation."""
    return msgspec.json.encode({"type": "control", "op": operation.op, **operation.args}) + b"\n"


SegmentKind = Literal["track", "identify", "alias", "page", "screen", "group"]

__all__ = [
    "Decoded",
    "Event",
    "Message",
    "Rejection",
    "SegmentKind",
    "control_of",
    "decode_line",
    "decode_lines",
    "encode_control",
]
