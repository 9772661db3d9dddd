"""A submission on its way into a batch, and the ticket that its sender waits for."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from engine import limits
from engine.errors import Refused, Unavailable
from engine.model import Control, Input
from engine.wire import Decoded, decode_lines

Answer = dict[str, Any] | Refused | None


class Ticket:
    """The promise that a submission becomes durable. Tickets are resolved in the order they were given."""

    __slots__ = ("_done", "answers", "error")

    def __init__(self) -> None:
        self._done = trio.Event()
        self.error: str | None = None
        self.answers: list[Answer] = []
        """An answer per input, once durable."""

    @property
    def done(self) -> bool:
        """Whether `wait` would return, or raise, at once."""
        return self._done.is_set()

    async def wait(self) -> None:
        """Return when the submission is durable. Raises Unavailable when the engine stopped before that."""
        await self._done.wait()
        if self.error is not None:
            raise stopping(self.error)

    def resolve(self, error: str | None = None) -> None:
        self.error = error
        self._done.set()


class Submission(msgspec.Struct):
    """Inputs and their lines, cut and acknowledged as one. `last`: the ticket ends with this piece."""

    inputs: list[Input]
    body: bytes
    ticket: Ticket
    last: bool


def stopping(code: str) -> Unavailable:
    """Return the error for callers that wait, or come too late, while the engine stops."""
    return Unavailable(code, "The engine is stopping.", retry_after_s=5)


def pieces_of(decoded: Decoded) -> list[tuple[list[Input], bytes]]:
    """Cut a submission that is too large for one batch at line ends; nearly every one is one piece."""
    body = decoded.body
    if len(decoded.inputs) <= limits.BATCH_INPUTS_MAX and len(body) <= limits.BATCH_BYTES_MAX:
        return [(decoded.inputs, body)]
    control = any(isinstance(one, Control) for one in decoded.inputs)
    pieces: list[tuple[list[Input], bytes]] = []
    lines: list[bytes] = []
    size = 0
    for line in (*body.splitlines(keepends=True), b""):
        full = len(lines) == limits.BATCH_INPUTS_MAX or size + len(line) > limits.BATCH_BYTES_MAX
        if lines and (full or not line):
            piece = decode_lines(b"".join(lines), control=control)
            pieces.append((piece.inputs, piece.body))
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    assert sum(len(inputs) for inputs, _ in pieces) == len(decoded.inputs), "cutting loses nothing"
    return pieces
