"""The collector may run rarely, because the engine makes no cycles and no objects that grow with the batches."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.clock import VirtualClock
from engine.delivery.channels import DEFAULT_NAMES
from engine.errors import Refused
from engine.gc_tuning import THRESHOLDS, spared
from engine.kernel import Kernel
from engine.model import Batch, Control
from engine.service import ServiceConfig, running
from engine.wire import decode_lines
from tests.store.helpers import Collector, config, run
from tests.store.live_store import DAY, FLOW, START, orders, prepare

TRIOS = ("CancelScope", "tuple")
"""Trio keeps up to about a thousand deadlines that are over."""


@pytest.fixture
def by_hand() -> Iterator[None]:
    """Collect only where the test says so. (The first look at all objects makes some.)"""
    tracked()
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tracked() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects())


def test_recovered_objects_are_frozen_until_the_service_ends(tmp_path: Path) -> None:
    before = gc.get_threshold()

    async def test() -> None:
        async with running(config(tmp_path)):
            assert gc.get_freeze_count() > 10_000
            assert gc.get_threshold() == THRESHOLDS

    run(test)
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before


def test_younger_objects_are_still_collected() -> None:
    class Knot:
        def __init__(self) -> None:
            self.self = self

    with spared():
        assert gc.isenabled()
        Knot()
        assert gc.collect() > 0
        assert not any(isinstance(one, Knot) for one in gc.get_objects())


@pytest.mark.usefixtures("by_hand")
def test_a_kernel_makes_no_cycles_and_keeps_no_more_objects_with_every_batch() -> None:
    kernel = Kernel()
    seen: list[int] = []

    def batch(number: int) -> None:
        pending = kernel.outbox(0, 10)
        inputs = [
            *decode_lines(orders(number * 40, 40)).inputs,
            Control("receipts", {"receipts": [{"effect": one.id, "status": "bounced"} for one in pending]}),
            Control("pause", {"flow": "missing"}),
            Control("add_codes", {"pool": "spring", "codes": [f"{number}"]}),
        ]
        kernel.apply(Batch(kernel.seq + 1, START + number * DAY, inputs))

    kernel.apply(
        Batch(1, START, [Control("launch", {"flow": {**FLOW, "frequency": {"mode": "every_time"}}})])
    )
    for number in range(600):
        batch(number)
        if number % 50 == 0:
            snapshot = kernel.snapshot(full=number == 0)
            while snapshot.part(100) is not None:
                pass
        if number in (299, 599):
            del snapshot
            found = gc.collect()
            assert found == 0 or not seen, "what is made once does not matter"
            seen.append(tracked().total())
    assert kernel.counts()["effects"] > 1_000
    assert seen[1] - seen[0] < 50, "300 batches, and no object more"


@pytest.mark.usefixtures("by_hand")
def test_a_service_makes_no_cycles_and_keeps_no_more_objects_with_every_batch(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    channels = dict.fromkeys(DEFAULT_NAMES, Collector())
    seen: list[Counter[str]] = []

    async def test() -> None:
        async with running(ServiceConfig(data=tmp_path, clock=clock, channels=channels)) as service:
            await prepare(service)
            for number in range(160):
                await service.submit(decode_lines(orders(number * 20, 20)))
                with pytest.raises(Refused):
                    await service.control("pause", flow="missing")
                clock.set(clock.now_ms() + DAY)
                if number % 40 == 0:
                    await service._checkpointer.make()
                if number in (79, 159):
                    found = gc.collect()
                    assert found == 0 or not seen
                    seen.append(tracked())

    run(test)
    more = {name: n - seen[0][name] for name, n in seen[1].items() if n - seen[0][name] > 5}
    assert more.keys() <= set(TRIOS), "80 rounds, and no object more"
