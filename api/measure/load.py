"""A load that lasts: events by number, made while they are sent, from a process of its own that tells how it goes.

`send_at` wants its lines beforehand and gives its delays afterwards; a load of half an hour would be a hundred
gigabytes of the former and gigabytes of the latter. Here the next block is made while the one before is on its way,
and the delays of an interval are three numbers. Delays count from when a block was due, as everywhere.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import msgspec

from api.config import Address
from api.measure import work
from api.measure.engine import MeasureError
from api.measure.stream import PATIENCE_S, Sender, connect, quantile

EACH = 1_000
"""Lines sent at one go where there is no rate."""
BLOCK_S = 0.001
"""Where there is one, a block is what comes in this time."""
END_S = 5.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Send events number `first` and on: at `rate` a second, or as fast as they are taken (0); until there are `count`
    or `seconds` are over, whichever is first. `name` and `run` are those of `work.events`."""

    first: int
    contacts: int
    rate: float = 0.0
    count: int = 1 << 62
    seconds: float = 1e9
    every_s: float = 1.0
    name: str = work.ORDER
    run: str = ""


class Interval(msgspec.Struct, frozen=True):
    """What was sent and acknowledged in `seconds`, as lines. Delays of what was acknowledged, in milliseconds; None
    where nothing was. `busy`: the share of a core that the sender used. `last`: the order is done."""

    seconds: float
    sent: int
    acknowledged: int
    p50_ms: float | None
    p99_ms: float | None
    worst_ms: float | None
    busy: float
    last: bool = False


class Load:
    """The sending process. It is up when the block begins, and gone when it ends."""

    def __init__(self, address: Address) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(address, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Load:
        self._take(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join(END_S)
        self._pipe.close()

    def start(self, order: Order) -> None:
        """The former order must be done."""
        self._pipe.send(order)

    def interval(self, timeout_s: float) -> Interval | None:
        """The next one, None where there is none within `timeout_s`. Raises what went wrong: MeasureError."""
        told: Interval | None = self._take(timeout_s)
        return told

    def intervals(self) -> Iterator[Interval]:
        """Of the order under way, up to its last."""
        while True:
            interval = self.interval(PATIENCE_S)
            if interval is None:
                raise MeasureError("no_answer", f"The load said nothing for {PATIENCE_S:.0f} seconds.")
            yield interval
            if interval.last:
                return

    def _take(self, timeout_s: float) -> Any:
        if not self._pipe.poll(timeout_s):
            return None
        try:
            told = self._pipe.recv()
        except EOFError:
            raise MeasureError("no_load", "The process that sends the load has ended.") from None
        if isinstance(told, tuple):
            raise MeasureError(*told)
        return told


def _serve(address: Address, pipe: Connection) -> None:
    """In the other process: one order after the other, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send("ready")
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        try:
            _Sending(address, pipe, order).run()
        except MeasureError as error:
            pipe.send((error.code, error.detail))
        except OSError as error:
            pipe.send(("gone", f"The stream broke: {error}."))


class _Sending:
    """One order."""

    def __init__(self, address: Address, pipe: Connection, order: Order) -> None:
        self._address = address
        self._pipe = pipe
        self._order = order
        self._each = max(1, round(order.rate * BLOCK_S)) if order.rate else EACH
        self._sent = self._acknowledged = 0

    def run(self) -> None:
        period_s = self._each / self._order.rate if self._order.rate else 0.0
        with connect(self._address) as sock:
            self._sender: Sender | None = None
            self._begin()
            self._end_s = self._began_s + self._order.seconds
            self._sender = Sender(sock, self._blocks(), self._each, period_s)
            self._sender.run()
            self._tell(last=True)

    def _blocks(self) -> Iterator[bytes]:
        """Asked for a block, the sender has time: an interval that is over is told of first."""
        order, made = self._order, 0
        while made + self._each <= order.count and time.perf_counter() < self._end_s:
            if time.perf_counter() - self._began_s >= order.every_s:
                self._tell()
            yield work.events(
                self._each, contacts=order.contacts, first=order.first + made, name=order.name, run=order.run
            )
            made += self._each

    def _begin(self) -> None:
        self._began_s, self._cpu_s = time.perf_counter(), time.process_time()

    def _tell(self, *, last: bool = False) -> None:
        sender = self._sender
        assert sender is not None, "it asks for blocks once it is there"
        seconds, cpu_s = time.perf_counter() - self._began_s, time.process_time() - self._cpu_s
        delays_ms = sorted(delay * 1e3 for delay in sender.delays_s)
        sender.delays_s.clear()
        interval = Interval(
            seconds=seconds,
            sent=sender.drawn - self._sent,
            acknowledged=sender.acknowledged - self._acknowledged,
            p50_ms=quantile(delays_ms, 0.5) if delays_ms else None,
            p99_ms=quantile(delays_ms, 0.99) if delays_ms else None,
            worst_ms=delays_ms[-1] if delays_ms else None,
            busy=cpu_s / seconds,
            last=last,
        )
        self._pipe.send(interval)
        self._sent, self._acknowledged = sender.drawn, sender.acknowledged
        self._begin()
