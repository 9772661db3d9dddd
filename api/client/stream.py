"""Sending lines to a running engine's stream, with an account that survives broken connections.

Lines that are not acknowledged are kept. When the connection breaks (the engine was killed, say) the feed
connects again and goes on with the first line that has no acknowledgement, so nothing is missing. Lines that
had become durable without their acknowledgement arriving are sent twice; with a `messageId` they count once
(rule 8).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec
import trio

from api.config import Address
from engine.errors import TidemillError
from engine.wire import Rejection

WINDOW_BYTES = 8 * 1024 * 1024
"""Sent and not acknowledged: what is kept to be sent again."""
CHUNK_BYTES = 64 * 1024
RETRY_S = 0.1
PATIENCE_S = 30.0
READ_BYTES = 64 * 1024
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class FeedError(TidemillError):
    """The lines could not all be sent: the engine refuses this feed, or is gone for too long."""


class Sent(msgspec.Struct, frozen=True):
    """All `lines` are done with, of them `rejected` were not taken; `connections` were needed."""

    lines: int
    rejected: int
    connections: int


class _Error(msgspec.Struct):
    code: str
    detail: str
    line: int | None = None
    retry_after: int | None = None


class _Answer(msgspec.Struct):
    ack: int | None = None
    error: _Error | None = None


_answers = msgspec.json.Decoder(_Answer)


async def send_stream(
    address: Address,
    lines: Iterable[bytes],
    on_ack: Callable[[int], None] = lambda _: None,
    *,
    on_rejection: Callable[[Rejection], None] = lambda _: None,
    key: str = "",
    patience_s: float = PATIENCE_S,
    window_bytes: int = WINDOW_BYTES,
) -> Sent:
    """Send `lines` and return when all are acknowledged.

    `on_ack(n)` is called when the first n of `lines` are durable or rejected; `on_rejection` once for each line that is
    rejected, counted from 0 over all of `lines`. `key` is a write key. Raises FeedError after `patience_s` without a
    connection or an acknowledgement, and ValueError for a line with a newline inside.
    """
    return await _send(address, _chunks_of(lines), on_ack, on_rejection, key, patience_s, window_bytes)


async def send_live(
    address: Address,
    chunks: Iterable[list[bytes]],
    on_ack: Callable[[int], None] = lambda _: None,
    *,
    on_rejection: Callable[[Rejection], None] = lambda _: None,
    key: str = "",
    patience_s: float = PATIENCE_S,
) -> Sent:
    """Send lines that are still being written: `chunks` yields lists of them as they come, and may block.

    It is read in a worker thread, and each chunk is sent at once. Everything else is as in `send_stream`.
    """
    return await _send(address, chunks, on_ack, on_rejection, key, patience_s, WINDOW_BYTES, live=True)


def _chunks_of(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield lines in lists of about CHUNK_BYTES, the last one smaller."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


async def _send(
    address: Address,
    chunks: Iterable[list[bytes]],
    on_ack: Callable[[int], None],
    on_rejection: Callable[[Rejection], None],
    key: str,
    patience_s: float,
    window_bytes: int,
    *,
    live: bool = False,
) -> Sent:
    feed = _Feed(chunks, on_ack, on_rejection, window_bytes, live=live)
    connections = 0
    give_up_at = trio.current_time() + patience_s
    while True:
        acknowledged = feed.acknowledged
        try:
            stream = await _connect(address)
        except OSError as error:
            reason = f"No engine takes streams at {address} ({(error.strerror or str(error)).lower()})"
        else:
            connections += 1
            async with stream:
                if await feed.run(stream, key):
                    return Sent(feed.acknowledged, feed.rejected, connections)
            reason = f"The engine at {address} breaks the connection"
        now = trio.current_time()
        if feed.acknowledged > acknowledged:
            give_up_at = now + patience_s
        elif now >= give_up_at:
            detail = f"{reason}; the first {feed.acknowledged} lines are safely in."
            raise FeedError("unreachable", detail, remedy="Start the engine and send the rest.")
        await trio.sleep(RETRY_S)


async def _connect(address: Address) -> trio.SocketStream:
    if address.is_unix:
        return await trio.open_unix_socket(address.path)
    return await trio.open_tcp_stream(address.host, address.port)


class _Feed:
    """The account. `acknowledged` lines are done with; `_kept` are the lines from there on that were drawn."""

    def __init__(
        self,
        chunks: Iterable[list[bytes]],
        on_ack: Callable[[int], None],
        on_rejection: Callable[[Rejection], None],
        window_bytes: int,
        *,
        live: bool = False,
    ) -> None:
        self._chunks = iter(chunks)
        self._live = live
        self._on_ack = on_ack
        self._on_rejection = on_rejection
        self._window_bytes = window_bytes
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._drawn_all = False
        self._reading: trio.Event | None = None  # set when the chunk being read in a thread is in `_ahead`
        self._ahead: list[bytes] | Exception = []
        self._room = trio.Event()
        self._rejected_before = 0  # rejections of lines below this were told already
        self.acknowledged = 0
        self.rejected = 0

    async def run(self, stream: trio.SocketStream, key: str) -> bool:
        """Send over one connection. Return True when all lines are settled, False when it broke."""
        self._room = trio.Event()
        fault: Exception | None = None

        async def write() -> None:
            nonlocal fault
            try:
                await self._write(stream, key)
            except Exception as error:  # of the caller's lines; raised below, out of the nursery's group
                fault = error
                nursery.cancel_scope.cancel()

        refused: FeedError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            refused = await self._read(stream)
            nursery.cancel_scope.cancel()
        if fault is not None:
            raise fault
        if refused is not None:
            raise refused
        return self._drawn_all and not self._kept

    async def _write(self, stream: trio.SocketStream, key: str) -> None:
        try:
            if key:
                await stream.send_all(msgspec.json.encode({"writeKey": key}) + b"\n")
            again = tuple(self._kept)
            for start in range(0, len(again), 256):
                await stream.send_all(b"".join(again[start : start + 256]))
            while chunk := await self._draw():
                await stream.send_all(chunk)
            await stream.send_eof()
        except BROKEN:
            return  # the reader sees it too, after the last acknowledgements

    async def _draw(self) -> bytes:
        """Return new lines and keep them; b"" after the last. Waits while the window is full."""
        while self._kept_bytes >= self._window_bytes:
            self._room = trio.Event()
            await self._room.wait()
        drawn = await self._next_chunk()
        chunk = [line.removesuffix(b"\n") + b"\n" for line in drawn]
        for line in chunk:
            if line.count(b"\n") > 1:
                raise ValueError(f"a line with a newline inside: {line[:60]!r}")
        self._kept.extend(chunk)
        self._kept_bytes += sum(map(len, chunk))
        self._drawn_all = not chunk
        return b"".join(chunk)

    async def _next_chunk(self) -> list[bytes]:
        """Return the next lines, an empty list after the last. One read that is interrupted is not read again."""
        if not self._live:
            return next(self._chunks, [])
        if self._reading is None:
            self._reading = trio.Event()
            trio.lowlevel.spawn_system_task(self._read_ahead, self._reading)
        await self._reading.wait()
        self._reading = None
        if isinstance(self._ahead, BaseException):
            raise self._ahead
        return self._ahead

    async def _read_ahead(self, done: trio.Event) -> None:
        """Read the next chunk in a thread. A connection that breaks meanwhile must not lose what was read."""
        try:
            self._ahead = await trio.to_thread.run_sync(next, self._chunks, [], abandon_on_cancel=True)
        except Exception as error:  # raised where the chunk is asked for
            self._ahead = error
        done.set()

    async def _read(self, stream: trio.SocketStream) -> FeedError | None:
        """Read answers until the engine ends its side, or the connection breaks."""
        first = self.acknowledged
        tail = b""
        try:
            while data := await stream.receive_some(READ_BYTES):
                *answers, tail = (tail + data).split(b"\n")
                for answer in answers:
                    if (refused := self._book(answer, first)) is not None:
                        return refused
        except BROKEN:
            return None  # what is not acknowledged is sent again
        return None

    def _book(self, line: bytes, first: int) -> FeedError | None:
        try:
            answer = _answers.decode(line)
        except msgspec.DecodeError:
            return FeedError("no_stream", "What answers there is no tidemill stream.")
        if answer.ack is not None:
            self._acknowledge(first + answer.ack)
        if (error := answer.error) is None or error.retry_after is not None:
            return None
        if error.line is None:
            if error.code in ("stopping", "stopped", "too_many_connections"):
                return None  # the connection ends; another may do better
            return FeedError(error.code, error.detail)
        number = first + error.line
        if number >= self._rejected_before:
            self._rejected_before = number + 1
            self.rejected += 1
            self._on_rejection(Rejection(number, error.code, error.detail))
        return None

    def _acknowledge(self, lines: int) -> None:
        if lines == self.acknowledged:
            return
        assert self.acknowledged < lines <= self.acknowledged + len(self._kept), (
            "acknowledged what was not sent"
        )
        while self.acknowledged < lines:
            self._kept_bytes -= len(self._kept.popleft())
            self.acknowledged += 1
        self._room.set()
        self._on_ack(lines)
