"""A delivery by itself, over a fake kernel, with a clock that jumps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import trio
from trio.testing import MockClock

from engine.delivery.channels import Channel, Outbox
from engine.delivery.delivery import Delivery
from engine.errors import Unavailable
from engine.model import Receipt
from tests.store.fake_kernel import FakeKernel


class DeliveryBench:
    """A delivery over a fake kernel whose outbox the test fills."""

    def __init__(self, channels: dict[str, Channel | Outbox]) -> None:
        self.kernel = FakeKernel()
        self.before: int | None = None
        self.refusals = 0
        self.journaled: list[list[Receipt]] = []
        self.delivery = Delivery(
            self.kernel,  # type: ignore[arg-type]
            channels,
            durable_before=lambda: self.before,
            journal=self.journal,
            chance=Random(1),
        )

    async def journal(self, receipts: list[Receipt]) -> None:
        await trio.lowlevel.checkpoint()
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("store_full", "Full.")
        self.journaled.append(receipts)
        for receipt in receipts:
            self.kernel.pending.pop(int(receipt.effect[1:]), None)

    def add(self, *channels: str) -> None:
        for channel in channels:
            self.kernel._effect("c", channel, 0)
        self.delivery.wake()

    @property
    def receipts(self) -> dict[str, str]:
        return {one.effect: one.status for batch in self.journaled for one in batch}


@asynccontextmanager
async def bench(channels: dict[str, Channel | Outbox]):  # type: ignore[no-untyped-def]
    made = DeliveryBench(channels)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.delivery.run)
        yield made
        await made.delivery.stop()


def jump(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test with a clock that jumps whenever all tasks sleep."""
    trio.run(test, clock=MockClock(autojump_threshold=0))
