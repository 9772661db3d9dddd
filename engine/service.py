"""The engine in one process: stores, recovery, ingest, checkpoints and delivery, composed.

    async with running(ServiceConfig(data=Path("tidemill-data"))) as service:
        await service.submit(decode_lines(body))

All tasks live in one nursery. A task that fails stops everything: the state in memory may then be ahead of
the disk, so nothing more is written and the next start recovers. A clean end (the block ends, an error in
the block, or a cancellation from outside) first delivers what is under way, then makes everything queued
durable, writes a checkpoint and leaves no journal tail. Cancellation from outside therefore must not reach
the tasks: they are shielded, and ended by hand.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import trio

from engine import gc_tuning, limits, tuning
from engine.clock import Clock, SystemClock
from engine.delivery.channels import DEFAULT_NAMES, Channel, Log, Outbox
from engine.delivery.delivery import Delivery
from engine.errors import StoreError, Unavailable, require_assertions
from engine.ingest import Ingest
from engine.kernel import Kernel
from engine.model import Effect, Outcome, Receipt
from engine.store import directory
from engine.store.checkpoint import Checkpoints
from engine.store.checkpointer import Checkpointer
from engine.store.journal import Journal
from engine.store.recover import Progress, Recovered, recover
from engine.submission import Ticket
from engine.wire import Decoded
from ext.structures.memory import keep_freed, touch_ahead, use_large_pages, wants_touch

PROGRESS_EVERY_S = 0.1


def _kernel(key: bytes) -> Kernel:
    return Kernel(key=key)


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration of a service. Only `data` is required; the map sizes are for tests.

    `channels` adds to, or replaces among, the DEFAULT_NAMES, each of which is `log` otherwise.
    """

    data: Path
    channels: Mapping[str, Channel | Outbox] = {}
    clock: Clock = msgspec.field(default_factory=SystemClock)
    chance: Random = msgspec.field(default_factory=Random)
    """Spreads attempts to deliver over time; nothing else is drawn."""
    kernel: Callable[[bytes], Kernel] = _kernel
    """Makes a fresh kernel from the key of the data directory."""
    journal_map_bytes: int = limits.JOURNAL_MAP_BYTES
    checkpoint_map_bytes: int = limits.CHECKPOINT_MAP_BYTES
    checkpoint_every_bytes: int = tuning.CHECKPOINT_EVERY_BYTES
    checkpoint_every_s: float = tuning.CHECKPOINT_EVERY_S
    erase_s: float = limits.ERASURE_S


class Service:
    """A running engine; made by `running`. `kernel` may be read on the loop's thread, between awaits."""

    def __init__(
        self, config: ServiceConfig, kernel: Kernel, journal: Journal, checkpoints: Checkpoints
    ) -> None:
        self.config = config
        self.kernel = kernel
        self.clock = config.clock
        self.recovered: Recovered | None = None
        self.channels = resolve_channels(config.channels)
        """Every channel by name."""
        self._journal = journal
        self._started_s = time.monotonic()
        self._stopping = False
        self._failed = False
        self._growing = trio.Event()
        self._scopes: list[trio.CancelScope] = []
        self._ingest = Ingest(kernel, journal, config.clock, settled=self._settled, full=self._full)
        self._checkpointer = Checkpointer(
            kernel,
            journal,
            checkpoints,
            every_bytes=config.checkpoint_every_bytes,
            every_s=config.checkpoint_every_s,
            erase_s=config.erase_s,
            trimmed=self._ingest.retry,
        )
        self._delivery = Delivery(
            kernel,
            self.channels,
            durable_before=self._ingest.durable_effects_before,
            journal=self._receipts,
            chance=config.chance,
        )

    async def submit(self, decoded: Decoded) -> None:
        """Return when `decoded` is durable; waits while too much is queued. Raises Unavailable."""
        await self._ingest.submit(decoded)

    async def enqueue(self, decoded: Decoded) -> Ticket:
        """Queue `decoded`, waiting while too much is queued; `await ticket.wait()` returns once durable.

        Tickets are resolved in the order of enqueueing. Both raise Unavailable.
        """
        return await self._ingest.enqueue(decoded)

    async def control(self, op: str, /, **args: Any) -> dict[str, Any]:
        """Carry out an operation and give its answer once it is durable. Raises Refused or Unavailable."""
        return await self._ingest.control(op, args)

    async def compact(self) -> None:
        """Return when nothing is left in the files of contacts that were deleted before. Raises Unavailable."""
        if not await self._checkpointer.compact():
            detail = "The store could not be compacted: free some disk space."
            raise Unavailable("store_full", detail, retry_after_s=5)

    async def back_up(self, folder: Path) -> int:
        """Copy the data directory, as it is after one durable batch, into the new directory `folder`; gives that
        batch's seq. Events go on meanwhile. Raises Refused or Unavailable, and StoreError where the store cannot be
        read; there is no `folder` then."""
        async with directory.growing(folder, data=self.config.data) as partial:
            return await self._checkpointer.back_up(partial)

    def outbox(self, after: int = 0, limit: int = limits.LIST_LIMIT_DEFAULT) -> list[Effect]:
        """Return durable effects without a receipt and with seq > `after`, in order: for an application that pulls.

        Only those that are left to the application: channels mapped to `outbox`, or not configured any more.
        """
        before = self._ingest.durable_effects_before()
        found: list[Effect] = []
        while len(found) < limit:
            page = self.kernel.outbox(after, limits.LIST_LIMIT_MAX)
            for effect in page:
                if before is not None and effect.seq >= before:
                    return found[:limit]
                if isinstance(self.channels.get(effect.channel, _PULLED), Outbox):
                    found.append(effect)
            if not page:
                break
            after = page[-1].seq
        return found[:limit]

    @property
    def durable_seq(self) -> int:
        """Seq of the newest durable batch."""
        return self._ingest.durable_seq

    @property
    def accepts_input(self) -> bool:
        """Whether a submission would be taken now: not stopping, room on the disk and in the outbox."""
        return not self._stopping and self._ingest.accepts_events

    def statistics(self) -> dict[str, Any]:
        """Return numbers for /metrics and /readyz: uptime_s, accepts_input and a dict per part."""
        return {
            "uptime_s": time.monotonic() - self._started_s,
            "accepts_input": self.accepts_input,
            "ingest": self._ingest.statistics(),
            "journal": self._journal.statistics(),
            "checkpoint": self._checkpointer.statistics(),
            "delivery": self._delivery.statistics(),
            "recovery": msgspec.to_builtins(self.recovered),
        }

    async def _start(self, nursery: trio.Nursery) -> None:
        names = sorted(self.channels)
        for task in (self._ingest.run, self._checkpointer.run, self._delivery.run, self._touch_ahead):
            nursery.start_soon(self._guard, task, name=task.__qualname__)
        if names != self.kernel.channels():
            await self.control("channels", channels=names)

    async def _guard(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task that only `_stop`, or the failure of another, may end."""
        with trio.CancelScope(shield=True) as scope:
            if self._failed:
                return
            self._scopes.append(scope)
            try:
                await task()
            except BaseException:
                if not scope.cancel_called:
                    self._failed = True
                    self._cancel_tasks()
                raise

    async def _stop(self) -> None:
        """End in good order; after a failure, write nothing more."""
        self._stopping = True
        if self._failed:
            return
        try:
            # Receipts under way may wait for room on the disk: for as long as it takes, if nobody stops them.
            with trio.move_on_after(limits.DELIVERY_STOP_S + limits.STOP_FULL_S):
                await self._delivery.stop()
            await self._ingest.close()
            await self._checkpointer.make()
        finally:
            self._cancel_tasks()

    def _cancel_tasks(self) -> None:
        for scope in self._scopes:
            scope.cancel()

    def _settled(self, outcome: Outcome) -> None:
        if outcome.effects:
            self._delivery.wake()
        if wants_touch():
            self._growing.set()

    async def _touch_ahead(self) -> None:
        """Touch the memory that contacts and runs will need before the loop has to wait for it."""
        limiter = trio.CapacityLimiter(1)
        while True:
            await self._growing.wait()
            self._growing = trio.Event()
            await trio.to_thread.run_sync(touch_ahead, limiter=limiter)

    def _full(self) -> None:
        self._checkpointer.request()

    async def _receipts(self, receipts: list[Receipt]) -> None:
        await self.control("receipts", receipts=receipts)


_PULLED = Outbox()


def resolve_channels(configured: Mapping[str, Channel | Outbox]) -> dict[str, Channel | Outbox]:
    """Return every channel by name: the default ones, all on one log, and those configured."""
    log = Log()
    return {**dict.fromkeys(DEFAULT_NAMES, log), **configured}


@asynccontextmanager
async def running(
    config: ServiceConfig, *, progress: Callable[[Progress], None] = lambda _: None
) -> AsyncIterator[Service]:
    """Recover the data directory and run the engine on it until the block ends.

    Raises StoreError when the directory cannot be used, and TidemillError (`assertions_off`) in a Python that skips
    assertions. `progress` is called on the loop's thread, about ten
    times a second. An error raised inside the block leaves it as it is; that of an engine task comes in an
    ExceptionGroup.
    """
    require_assertions()
    with ExitStack() as stack:
        data = stack.enter_context(directory.hold(config.data))
        journal = Journal(data / directory.JOURNAL, map_bytes=config.journal_map_bytes)
        stack.callback(journal.close)
        checkpoints = Checkpoints(data / directory.CHECKPOINTS, map_bytes=config.checkpoint_map_bytes)
        stack.callback(checkpoints.close)
        use_large_pages()
        kernel = config.kernel(journal.key)
        recovered = await trio.to_thread.run_sync(
            recover, kernel, journal, checkpoints, _from_thread(progress)
        )
        keep_freed()
        stack.enter_context(gc_tuning.spared())
        service = Service(config, kernel, journal, checkpoints)
        service.recovered = recovered
        fault: BaseException | None = None
        async with trio.open_nursery() as nursery:
            try:
                await service._start(nursery)
                yield service
            except trio.Cancelled:
                raise
            except BaseException as error:
                fault = error
            finally:
                with trio.CancelScope(shield=True) as scope:
                    service._scopes.append(scope)
                    await service._stop()
        if fault is not None:
            raise fault


def _from_thread(progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Report from the worker thread of recovery to the loop, which can thereby end it."""
    next_s = 0.0

    def report(now: Progress) -> None:
        nonlocal next_s
        trio.from_thread.check_cancelled()
        if now.done == now.total or time.monotonic() >= next_s:
            next_s = time.monotonic() + PROGRESS_EVERY_S
            trio.from_thread.run_sync(progress, now)

    return report


__all__ = ["Service", "ServiceConfig", "StoreError", "resolve_channels", "running"]
