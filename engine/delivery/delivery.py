"""Delivery: effects of durable batches go to their channels, receipts come back as ordinary input.

The kernel's outbox is the queue: it is durable already, so nothing is copied. Each channel has a lane of its own
(`engine.delivery.channel_queue`) that reads the outbox a page at a time, tries again what could not be delivered, and
spares a destination that is down; it holds up no other lane, and memory stays bounded however many effects wait. A
receipt for each effect is journaled (as the operation `receipts`, many at a time), which takes the effect out of the
outbox.

At least once: after a crash, effects without a durable receipt are delivered again under the same id.
Effects of a channel mapped to `Outbox`, or not configured any more, stay until the application sends
receipts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import trio

from engine import limits, tuning
from engine.delivery.channel_queue import Lane
from engine.delivery.channels import Channel, Holding, Outbox
from engine.errors import Unavailable
from engine.kernel import Kernel
from engine.model import Effect, Receipt

log = logging.getLogger("tidemill.delivery")

_Settled = tuple[int, Receipt]
"""The seq of an effect, and what became of it."""


class Delivery:
    """Effects with a seq below `durable_before()` are durable (None: all); `journal` takes receipts; `chance` spreads
    attempts over time."""

    def __init__(
        self,
        kernel: Kernel,
        channels: Mapping[str, Channel | Outbox],
        *,
        durable_before: Callable[[], int | None],
        journal: Callable[[list[Receipt]], Awaitable[None]],
        chance: Random,
    ) -> None:
        self._kernel = kernel
        self._durable_before = durable_before
        self._journal = journal
        self._stopping = False
        self._ended = trio.Event()
        self._scope = trio.CancelScope()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._settled, self._receipts = trio.open_memory_channel[_Settled](tuning.DELIVERY_RECEIPTS_MAX)
        self._unjournaled: set[int] = set()
        """Seqs of effects that are settled, and are in the outbox until their receipts are journaled."""
        self._lanes = [
            Lane(
                channel,
                names,
                page=self._durable_page,
                pending=self._is_pending,
                settle=self._settle,
                chance=chance,
            )
            for channel, names in _lanes(channels)
        ]

    def wake(self) -> None:
        """There may be durable effects that were not seen yet."""
        for lane in self._lanes:
            lane.wake()

    async def run(self) -> None:
        """Deliver until `stop`. Returns when the receipts of all that was delivered are journaled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_receipts)
                async with self._settled:
                    with self._scope:
                        async with trio.open_nursery() as lanes:
                            for lane in self._lanes:
                                lanes.start_soon(_run, lane)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Begin nothing new; give what is under way DELIVERY_STOP_S to end."""
        self._stopping = True
        for lane in self._lanes:
            lane.stop()
        self._scope.deadline = trio.current_time() + limits.DELIVERY_STOP_S
        await self._ended.wait()

    def statistics(self) -> dict[str, object]:
        """`receipts` by channel and status, `attempts_failed` and `gave_up` since the start; effects `set_aside`
        until another attempt, and `destinations_down`."""
        receipts: dict[str, dict[str, int]] = {}
        for (channel, status), count in sorted(self._counts.items()):
            receipts.setdefault(channel, {})[status] = count
        return {
            "receipts": receipts,
            "attempts_failed": sum(lane.attempts_failed for lane in self._lanes),
            "gave_up": sum(lane.gave_up for lane in self._lanes),
            "set_aside": sum(lane.set_aside for lane in self._lanes),
            "destinations_down": sum(lane.destinations_down for lane in self._lanes),
        }

    def _durable_page(self, cursor: int) -> list[Effect]:
        page = self._kernel.outbox(cursor, tuning.DELIVERY_PAGE_EFFECTS)
        before = self._durable_before()
        return page if before is None else [effect for effect in page if effect.seq < before]

    def _is_pending(self, effect: Effect) -> bool:
        return self._kernel.is_pending(effect) and effect.seq not in self._unjournaled

    async def _settle(self, effect: Effect, receipt: Receipt) -> None:
        self._counts[effect.channel, receipt.status] += 1
        self._unjournaled.add(effect.seq)
        await self._settled.send((effect.seq, Receipt(effect.id, receipt.status, _tellable(receipt.detail))))

    async def _take_receipts(self) -> None:
        async for first in self._receipts:
            batch = [first]
            while len(batch) < tuning.DELIVERY_RECEIPTS_MAX:
                try:
                    batch.append(self._receipts.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            await self._journal_receipts([receipt for _, receipt in batch])
            self._unjournaled.difference_update(seq for seq, _ in batch)

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


async def _run(lane: Lane) -> None:
    """Run a lane; what its channel holds is given back in any case."""
    try:
        await lane.run()
    finally:
        if isinstance(lane.channel, Holding):
            with trio.CancelScope(shield=True):
                await lane.channel.aclose()


def _tellable(detail: object) -> str:
    """What a channel said, as it can be journaled: of bounded length, and encodable. A thousand of them, of six bytes
    a character in JSON, fit into one control line."""
    text = "" if detail is None else str(detail)
    return text[: limits.PROBLEM_DETAIL_CHARS_MAX].encode(errors="replace").decode()


def _lanes(channels: Mapping[str, Channel | Outbox]) -> list[tuple[Channel, frozenset[str]]]:
    """Each channel object once, with the names mapped to it."""
    lanes: dict[int, tuple[Channel, frozenset[str]]] = {}
    for name, channel in sorted(channels.items()):
        if not isinstance(channel, Outbox):
            _, names = lanes.get(id(channel), (channel, frozenset()))
            lanes[id(channel)] = (channel, names | {name})
    return list(lanes.values())
