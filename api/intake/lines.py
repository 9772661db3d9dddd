"""Lines out of a stream of bytes in any cut, numbered, without holding more of a line than the bound.

Whole lines are passed on as one block, as they came: `engine.wire.decode_lines` takes hundreds of lines at a
time for the price of a few calls. A line longer than the bound is rejected by its number as soon as it is known
to be too long, and the rest of it is skipped.
"""

from __future__ import annotations

import msgspec

from engine.limits import MESSAGE_BYTES_MAX
from engine.wire import Rejection
from ext.wire.line_reader import count_lines


class Block(msgspec.Struct, frozen=True):
    """Whole lines `first` up to before `until`. `rejected`: a line after them that is too long, if any.

    Skipped lines lie between the `until` of a block and the `first` of the next.
    """

    data: bytes
    first: int
    until: int
    rejected: tuple[Rejection, ...] = ()


class LineCutter:
    """Feed it bytes; every call gives the lines they completed. Lines count from 0."""

    def __init__(self, line_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._line_bytes_max = line_bytes_max
        self._lines = 0
        self._tail = b""
        self._skipping = False

    def feed(self, data: bytes) -> Block:
        """Feed bytes; return the lines that they complete."""
        if self._skipping:
            end = data.find(b"\n") + 1
            if not end:
                return Block(b"", self._lines, self._lines)
            self._skipping = False
            self._lines += 1
            data = data[end:]
        end = data.rfind(b"\n") + 1
        whole = b"".join((self._tail, memoryview(data)[:end])) if end else b""
        self._tail = data[end:] if end else self._tail + data
        first = self._lines
        self._lines += count_lines(whole)
        if len(self._tail) <= self._line_bytes_max:
            return Block(whole, first, self._lines)
        self._tail = b""
        self._skipping = True
        detail = f"A message has at most {self._line_bytes_max} bytes."
        return Block(whole, first, self._lines, (Rejection(self._lines, "too_large", detail),))

    def end(self) -> Block:
        """End with a last line without a newline. It is a whole line: a message cut short is never valid JSON."""
        if self._skipping:
            self._skipping = False
            self._lines += 1
        first = self._lines
        tail, self._tail = self._tail, b""
        self._lines += bool(tail)
        return Block(tail, first, self._lines)
