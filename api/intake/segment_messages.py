"""Messages as Segment's clients send them, and the lines that are kept of them.

What is kept of a message is its text as it came: properties are never decoded and encoded again, because
numbers would change their spelling. Four things are mended, each by changing the envelope alone: a message
over several lines is put on one; `type` comes from the path where the message has none; ids that are numbers
(the Ruby client sends them so, and the Python client a numeric `previousId`) become strings; a `writeKey` beside
the message is taken out, so that no key stands in a journal.

Rejected: reading epoch numbers as timestamps (seconds or milliseconds would be a guess).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import msgspec

from engine.limits import MESSAGE_BYTES_MAX
from engine.model import Input
from engine.wire import Decoded, Rejection, SegmentKind, decode_line, decode_lines

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Taken = tuple[Input, bytes] | Rejection
"""A message as the engine takes it and the line that is kept of it, or what is wrong with it."""

_KEY = b'"writeKey"'
_TYPED = {kind: b'{"type":"%s"' % kind.encode() for kind in get_args(SegmentKind)}
_envelopes = msgspec.json.Decoder(dict[str, msgspec.Raw])


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    """Cut `body` after newlines into pieces of at most `size` bytes; a longer line is a piece of its own."""
    start = 0
    while start < len(body):
        end = body.rfind(b"\n", start, start + size) + 1 if len(body) - start > size else len(body)
        if end == 0:
            end = body.find(b"\n", start + size) + 1 or len(body)
        yield body[start:end]
        start = end


def take_batch(messages: list[bytes]) -> Decoded:
    """Take the messages of a batch; `rejected` counts them from 0. Corrects what can be corrected."""
    if not messages:
        return Decoded([], b"", [], 0)
    joined = b"\n".join(messages)
    if joined.count(b"\n") == len(messages) - 1 and _KEY not in joined:
        decoded = decode_lines(joined)
        if not decoded.rejected:
            return decoded
    inputs: list[Input] = []
    lines: list[bytes] = []
    rejected: list[Rejection] = []
    for index, message in enumerate(messages):
        taken = take_message(message, None, index)
        if isinstance(taken, Rejection):
            rejected.append(taken)
        else:
            inputs.append(taken[0])
            lines.append(taken[1])
    return Decoded(inputs, b"\n".join([*lines, b""]), rejected, len(messages))


def take_each(messages: Sequence[tuple[bytes, str]]) -> list[Taken]:
    """Take each message of its kind, as `take_message` does; those without corrections at the cost of one."""
    ready = [_ready(message.strip(), kind) for message, kind in messages]
    body = b"\n".join([*filter(None, ready), b""])
    inputs: list[Input] = []
    if body.count(b"\n") == sum(map(bool, ready)):
        decoded = decode_lines(body)
        inputs = [] if decoded.rejected else decoded.inputs
    if not inputs:
        return [take_message(message, kind) for message, kind in messages]
    decoded_inputs = iter(inputs)
    return [
        (next(decoded_inputs), line) if line else take_message(message, kind)
        for line, (message, kind) in zip(ready, messages, strict=True)
    ]


def take_message(message: bytes, kind: str | None, number: int = 0) -> Taken:
    """Take one message.

    Return it and the line that is kept of it. `kind` is the type its path gives it, None in a batch.
    """
    line = message.strip()
    if b"\n" in line:
        try:
            line = msgspec.json.format(line, indent=-1)
        except DECODE_ERRORS as error:
            return Rejection(number, "not_json", sentence(error))
    ready = _ready(line, kind)
    if ready:
        taken = decode_line(ready, number)
        if not isinstance(taken, Rejection):
            return taken, ready
    mended = _mend(line, kind, number)
    if isinstance(mended, Rejection):
        return mended
    taken = decode_line(mended, number)
    return taken if isinstance(taken, Rejection) else (taken, mended)


def _ready(line: bytes, kind: str | None) -> bytes:
    """Return the line to decode, if no key has to be moved and `type` is first or absent.
    Else b""."""
    if _KEY in line:
        return b""
    if kind is None:
        return line
    typed = _TYPED[kind]
    if line.startswith(typed):
        return line
    if b'"type"' not in line and line.startswith(b"{"):
        return typed + b"," + line[1:]
    return b""


def _mend(line: bytes, kind: str | None, number: int) -> bytes | Rejection:
    """Return the line with its envelope corrected; properties and traits are passed on as they are."""
    if len(line) > MESSAGE_BYTES_MAX:
        return Rejection(number, "too_large", f"A message has at most {MESSAGE_BYTES_MAX} bytes.")
    try:
        line.decode()
        fields = _envelopes.decode(line)
    except UnicodeDecodeError:
        return Rejection(number, "not_utf8", "A message is UTF-8.")
    except msgspec.ValidationError as error:
        return Rejection(number, "invalid", sentence(error))
    except RecursionError:
        return Rejection(number, "too_deep", "The message is nested too deeply.")
    except msgspec.DecodeError as error:
        return Rejection(number, "not_json", sentence(error))
    changed = fields.pop("writeKey", None) is not None
    changed |= kind is not None and "type" not in fields
    if kind is not None and bytes(fields.setdefault("type", _text(kind))) != bytes(_text(kind)):
        return Rejection(number, "type_mismatch", f"The path says `{kind}`, and `type` says otherwise.")
    for name in ("userId", "anonymousId", "messageId", "previousId", "timestamp"):
        raw = bytes(fields.get(name, b""))
        if raw == b"null":
            del fields[name]
        elif name != "timestamp" and (raw[:1].isdigit() or raw[:1] == b"-"):
            fields[name] = _text(raw.decode())
        else:
            continue
        changed = True
    return msgspec.json.encode(fields) if changed else line


def _text(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def sentence(error: Exception) -> str:
    """Return what was wrong with a JSON text, for people."""
    if isinstance(error, RecursionError):
        return "It is nested too deeply."
    return f"{error}."
