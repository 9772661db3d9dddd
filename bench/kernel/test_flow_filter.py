"""The cost of an event that triggers many flows, by their number and by the number of distinct clauses that they share.

Every flow is launched by the same event and has three clauses out of a pool of distinct ones: comparisons of twenty
keys, half of them of the event and half of the contact, each true for one event in ten. So of a thousand flows about
one has all three; its run begins and ends immediately. The figure includes that run, the duplicate check, the history
and all other work of the kernel for an event. "one by one" tries every flow, as the kernel does for an event with few
flows; the results of clauses are cached there as well, so the rest is the price of a thousand flows.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from bench.conftest import Measure
from engine.kernel import Kernel
from engine.model import Batch, Control, Input
from engine.wire import decode_lines

START_MS = 1_786_320_000_000
CONTACTS = 100
BATCH = 500
KEYS = 10
VALUES = 10
ONE_BY_ONE = 1 << 40


def pool(distinct: int) -> list[str]:
    keys = [f"{root}{n}" for n in range(KEYS) for root in ("event.properties.p", "customer.t")]
    return [f"{key} == {value}" for value in range(VALUES) for key in keys][:distinct]


class FlowCrowd:
    """A kernel with many flows on one event, its clock, and a source of batches."""

    def __init__(self, flows: int, distinct: int) -> None:
        self.kernel = Kernel(key=bytes(range(16)))
        self.random = random.Random(7)
        self.now_ms = START_MS
        self.number = 0
        for n in range(CONTACTS):
            self.apply(
                decode_lines(
                    f'{{"type":"identify","userId":"c-{n}","traits":{self.values("t")}}}'.encode()
                ).inputs
            )
        clauses = pool(distinct)
        for n in range(flows):
            where = " && ".join(self.random.sample(clauses, 3))
            start = {"kind": "launch", "trigger": {"event": "Cart Viewed"}, "where": where}
            flow = {"id": f"f-{n:04}", "name": "f", "folder": "main", "nodes": {"start": start}}
            self.apply([Control("launch", {"flow": flow | {"frequency": {"mode": "every_time"}}})])

    def values(self, prefix: str) -> str:
        return "{" + ",".join(f'"{prefix}{n}":{self.random.randrange(VALUES)}' for n in range(KEYS)) + "}"

    def apply(self, inputs: list[Input]) -> list[Any]:
        self.now_ms += 1
        return self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, inputs)).answers

    def carts(self) -> tuple[list[Input]]:
        lines = []
        for _ in range(BATCH):
            self.number += 1
            lines.append(
                f'{{"type":"track","userId":"c-{self.random.randrange(CONTACTS)}","event":"Cart Viewed",'
                f'"messageId":"m-{self.number}","properties":{self.values("p")}}}'
            )
        return (decode_lines("\n".join(lines).encode()).inputs,)

    @property
    def entered(self) -> int:
        return sum(int(flow["entered"]) for flow in self.kernel.flows())


def measured(flows: int, distinct: int, measure: Measure, *, one_by_one: bool = False) -> None:
    crowd = FlowCrowd(flows, distinct)
    if one_by_one:
        crowd.kernel._core.subscriptions.matched_from = ONE_BY_ONE
    how = ", one by one" if one_by_one else ""
    what = f"an event for {flows:,} flows, {distinct} distinct clauses{how}"
    measure(what, crowd.apply, each=BATCH, setup=crowd.carts, rounds=30, unit="µs")
    assert flows < 1_000 or crowd.entered > 0


@pytest.mark.parametrize("distinct", [10, 50, 200])
@pytest.mark.parametrize("flows", [10, 100, 1_000])
def test_an_event_for_many_flows(flows: int, distinct: int, measure: Measure) -> None:
    measured(flows, distinct, measure)


def test_the_flows_one_by_one(measure: Measure) -> None:
    measured(1_000, 50, measure, one_by_one=True)
