"""Lines over one acknowledged stream: as fast as they are taken, or in blocks at a rate.

At a rate every block has an instant at which it is due, and its delay counts from there to the acknowledgement that
covers it: an engine that stalls is charged for everything that should have been sent meanwhile, not only for what it
kept waiting. One plain socket and `poll`: the sender must cost less than what it measures.
"""

from __future__ import annotations

import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from api.config import Address
from api.measure.engine import MeasureError

SEND_BYTES = 1 << 18
PATIENCE_S = 60.0
T = TypeVar("T")


class Sent(msgspec.Struct):
    """`seconds` from the first byte to the last acknowledgement. With a rate, one entry a block: when it was due
    (seconds since 1970) and how long after that it was acknowledged."""

    lines: int
    seconds: float
    due_s: list[float]
    delays_s: list[float]

    @property
    def per_second(self) -> float:
        return self.lines / self.seconds


class _Answer(msgspec.Struct):
    ack: int | None = None
    error: Any = None


_answers = msgspec.json.Decoder(_Answer)


def send(address: Address, body: bytes) -> Sent:
    """Send whole lines as fast as they are taken; returns once all are acknowledged. Raises MeasureError."""
    return send_blocks(address, [body], body.count(b"\n"))


def send_at(address: Address, body: bytes, *, rate: float, each: int) -> Sent:
    """Send whole lines at `rate` a second, `each` at a time. Raises MeasureError."""
    lines = body.splitlines(keepends=True)
    blocks = [b"".join(lines[at : at + each]) for at in range(0, len(lines) // each * each, each)]
    return send_blocks(address, blocks, each, period_s=each / rate)


def send_blocks(address: Address, blocks: Sequence[bytes], each: int, *, period_s: float = 0.0) -> Sent:
    """Send blocks of `each` lines, one every `period_s`."""
    with connect(address) as sock:
        sender = Sender(sock, blocks, each, period_s)
        sender.run()
        return sender.sent()


class Sender:
    """Sends blocks of `each` lines over a socket, one every `period_s` (0: as fast as they are taken).

    `blocks` may make a block when it is asked for one: that is while the one before is on its way.
    """

    def __init__(self, sock: socket.socket, blocks: Iterable[bytes], each: int, period_s: float) -> None:
        self.acknowledged = 0
        """Lines."""
        self.delays_s: list[float] = []
        """Of blocks acknowledged, in order; whoever reads them may take them out."""
        sock.setblocking(False)
        self._sock = sock
        self._blocks = iter(blocks)
        self._each = each
        self._period_s = period_s
        self._next: bytes | None = next(self._blocks, None)
        self._drawn = self._heard = 0
        self._view = memoryview(b"")
        self._tail = b""
        self._open: deque[float] = deque()

    @property
    def drawn(self) -> int:
        """Lines of blocks whose time has come."""
        return self._drawn * self._each

    def run(self) -> None:
        poll = select.poll()
        self._wall_s, self._start_s = time.time(), time.perf_counter()
        heard_s = self._start_s
        while self._next is not None or self.acknowledged < self.drawn:
            drawn = self._draw()
            poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._view else 0))
            ready = poll.poll(self._wait_ms())
            for _, events in ready:
                if events & select.POLLOUT:
                    self._view = self._view[self._sock.send(self._view[:SEND_BYTES]) :]
                if events & ~select.POLLOUT:
                    self._receive()
                    heard_s = time.perf_counter()
            if not ready and self._open and time.perf_counter() - heard_s > PATIENCE_S:
                raise MeasureError("no_answer", f"Nothing was acknowledged for {PATIENCE_S:.0f} seconds.")
            if drawn:
                self._next = next(self._blocks, None)
        self._end_s = time.perf_counter()

    def _draw(self) -> bool:
        """Whether the next block was taken: the former is sent, and this one due."""
        if self._view or self._next is None:
            return False
        due_s = self._start_s + self._drawn * self._period_s
        if due_s > time.perf_counter():
            return False
        self._view = memoryview(self._next)
        self._open.append(due_s)
        self._drawn += 1
        return True

    def _wait_ms(self) -> float:
        if self._view or self._next is None:
            return 1_000.0
        wait_s = self._start_s + self._drawn * self._period_s - time.perf_counter()
        return min(max(0.0, wait_s * 1_000), 1_000.0)

    def _receive(self) -> None:
        data = self._sock.recv(1 << 16)
        if not data:
            raise MeasureError("gone", "The engine ended the stream.")
        *answers, self._tail = (self._tail + data).split(b"\n")
        for line in answers:
            answer = _answers.decode(line)
            if answer.ack is None:
                raise MeasureError("rejected", f"The engine did not take a line: {answer.error}.")
            self.acknowledged = answer.ack
        now_s = time.perf_counter()
        while self._heard < self.acknowledged // self._each:
            self._heard += 1
            self.delays_s.append(now_s - self._open.popleft())

    def sent(self) -> Sent:
        due_s = [self._wall_s + number * self._period_s for number in range(self._drawn)]
        return Sent(self.acknowledged, self._end_s - self._start_s, due_s, self.delays_s)


def connect(address: Address) -> socket.socket:
    """A blocking socket connected to `address`."""
    if address.is_unix:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.path)
        return sock
    sock = socket.create_connection((address.host, address.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Beside:
    """One process of its own for senders: `start(function, …)` gives a future. It is up when the block begins."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def __enter__(self) -> Beside:
        self._pool.submit(time.time).result(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def start(self, work: Callable[..., T], *args: Any, **options: Any) -> Future[T]:
        return self._pool.submit(work, *args, **options)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
