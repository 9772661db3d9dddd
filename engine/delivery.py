"""Delivery: effects of durable batches go to their channels, receipts come back as ordinary input.

The kernel's outbox is the queue: it is durable already, so nothing is copied. Each channel has a lane with
a cursor of its own that reads the outbox a page at a time and feeds a few workers; a channel that is down
holds up its lane only, and memory stays bounded however many effects wait. A receipt for each effect is
journaled (as the operation `receipts`, many at a time), which takes the effect out of the outbox.

At least once: after a crash, effects without a durable receipt are delivered again under the same id.
Effects of a channel mapped to `Outbox`, or not configured any more, stay until the application sends
receipts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio

from engine import limits
from engine.channels import Channel, Holding, Outbox, TryLater
from engine.errors import Unavailable
from engine.kernel import Kernel
from engine.model import Effect, Receipt

log = logging.getLogger("tidemill.delivery")


class Delivery:
    """Effects with a seq below `durable_before()` are durable (None: all); `journal` takes receipts."""

    def __init__(
        self,
        kernel: Kernel,
        channels: Mapping[str, Channel | Outbox],
        *,
        durable_before: Callable[[], int | None],
        journal: Callable[[list[Receipt]], Awaitable[None]],
    ) -> None:
        self._kernel = kernel
        self._durable_before = durable_before
        self._journal = journal
        self._lanes = _lanes(channels)
        self._news = trio.Event()
        self._stopping = False
        self._ended = trio.Event()
        self._scope = trio.CancelScope()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._attempts_failed = 0

    def wake(self) -> None:
        """There may be durable effects that were not seen yet."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until `stop`. Returns when the receipts of all that was delivered are journaled."""
        send, receive = trio.open_memory_channel[Receipt](limits.DELIVERY_RECEIPTS_MAX)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_receipts, receive)
                async with send:
                    with self._scope:
                        async with trio.open_nursery() as lanes:
                            for channel, names in self._lanes:
                                lanes.start_soon(self._lane, channel, names, send)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Begin nothing new; give what is under way DELIVERY_STOP_S to end."""
        self._stopping = True
        self._news.set()
        self._scope.deadline = trio.current_time() + limits.DELIVERY_STOP_S
        await self._ended.wait()

    def pending(self, effect: Effect) -> bool:
        """Whether the effect still waits for a receipt (its contact may have been deleted meanwhile)."""
        return any(one.id == effect.id for one in self._kernel.outbox(effect.seq - 1, 1))

    def statistics(self) -> dict[str, object]:
        """`receipts` by channel and status since the start, and `attempts_failed`."""
        receipts: dict[str, dict[str, int]] = {}
        for (channel, status), count in sorted(self._counts.items()):
            receipts.setdefault(channel, {})[status] = count
        return {"receipts": receipts, "attempts_failed": self._attempts_failed}

    async def _lane(
        self, channel: Channel, names: frozenset[str], receipts: trio.MemorySendChannel[Receipt]
    ) -> None:
        """Feed one channel's workers in order of the effects' seq."""
        send, receive = trio.open_memory_channel[Effect](0)
        async with _held(channel), trio.open_nursery() as nursery, send:
            for _ in range(channel.workers):
                nursery.start_soon(self._work, channel, receive, receipts)
            cursor = 0
            while not self._stopping:
                self._news = news = trio.Event() if self._news.is_set() else self._news
                page = self._durable_page(cursor)
                for effect in page:
                    if self._stopping:
                        break
                    cursor = effect.seq
                    if effect.channel in names:
                        await send.send(effect)
                if page:
                    await trio.lowlevel.checkpoint()
                else:
                    await news.wait()

    def _durable_page(self, cursor: int) -> list[Effect]:
        page = self._kernel.outbox(cursor, limits.DELIVERY_PAGE_EFFECTS)
        before = self._durable_before()
        return page if before is None else [effect for effect in page if effect.seq < before]

    async def _work(
        self,
        channel: Channel,
        effects: trio.MemoryReceiveChannel[Effect],
        receipts: trio.MemorySendChannel[Receipt],
    ) -> None:
        async for effect in effects:
            receipt = await self._deliver(channel, effect)
            if receipt is not None:
                self._counts[effect.channel, receipt.status] += 1
                await receipts.send(receipt)

    async def _deliver(self, channel: Channel, effect: Effect) -> Receipt | None:
        """Try until there is a receipt, or the attempts are used up. None: it is not wanted any more."""
        pause_s = limits.DELIVERY_BACKOFF_S
        attempt = 0
        while self.pending(effect):
            attempt += 1
            try:
                return await channel.deliver(effect)
            except (TryLater, OSError) as error:
                self._attempts_failed += 1
                if attempt == limits.DELIVERY_ATTEMPTS_MAX:
                    return Receipt(effect.id, "failed", f"Gave up after {attempt} attempts: {error}")
                if self._stopping:
                    return None
                await trio.sleep(_pause_s(error, pause_s))
                pause_s = min(2 * pause_s, limits.DELIVERY_BACKOFF_S_MAX)
            except Exception as error:
                # One message a channel cannot handle must not stop the others, nor come back at every start.
                log.exception("Channel %s failed with effect %s.", effect.channel, effect.id)
                return Receipt(effect.id, "failed", f"{type(error).__name__}: {error}")
        return None

    async def _take_receipts(self, receipts: trio.MemoryReceiveChannel[Receipt]) -> None:
        async for first in receipts:
            batch = [first]
            while len(batch) < limits.DELIVERY_RECEIPTS_MAX:
                try:
                    batch.append(receipts.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            await self._journal_receipts(batch)

    async def _journal_receipts(self, batch: list[Receipt]) -> None:
        while True:
            try:
                await self._journal(batch)
            except Unavailable as error:
                if self._stopping:
                    log.warning("%d deliveries will be repeated after the next start: %s", len(batch), error)
                    return
                await trio.sleep(error.retry_after_s)
            else:
                return


@asynccontextmanager
async def _held(channel: Channel) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if isinstance(channel, Holding):
            with trio.CancelScope(shield=True):
                await channel.aclose()


def _pause_s(error: TryLater | OSError, pause_s: float) -> float:
    """How long to wait before the next attempt: what the other side asked, within reason, else our own."""
    if isinstance(error, TryLater) and error.after_s is not None:
        return min(error.after_s, limits.DELIVERY_RETRY_AFTER_S_MAX)
    return pause_s


def _lanes(channels: Mapping[str, Channel | Outbox]) -> list[tuple[Channel, frozenset[str]]]:
    """Each channel object once, with the names mapped to it."""
    lanes: dict[int, tuple[Channel, frozenset[str]]] = {}
    for name, channel in sorted(channels.items()):
        if not isinstance(channel, Outbox):
            _, names = lanes.get(id(channel), (channel, frozenset()))
            lanes[id(channel)] = (channel, names | {name})
    return list(lanes.values())
