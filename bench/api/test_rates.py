"""Durable events a second over one stream, for each kind in the table, in turns with a minimal program.

The engine is a process of its own on a disk; the sender is this process, on another core. The lines are those of
`api.measure.work`: about 300 bytes, contacts with ten traits in random order. Ratios are of the medians of this run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.measure import floor, work
from api.measure.engine import Engine
from api.measure.stream import send
from bench.conftest import Record
from bench.lattice import WALKED, lattice
from bench.rounds import in_turns

EVERY, WALK = "Every", "Walk"


class RoundSize(msgspec.Struct, frozen=True):
    """Sizes of a round: `events` of each kind, a tenth of them for events that walk far."""

    contacts: int
    events: int
    rounds: int

    def each(self, name: str) -> int:
        return self.events // 10 if name == WALK else self.events


SIZES = [
    pytest.param(RoundSize(50_000, 60_000, 3), id="small"),
    pytest.param(RoundSize(1_000_000, 500_000, 5), id="1M", marks=pytest.mark.nightly),
]


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> RoundSize:
    size: RoundSize = request.param
    return size


@pytest.fixture
def engine(size: RoundSize, tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "data") as engine:
        engine.launch(work.flow())
        engine.launch(work.flow(id="every", event=EVERY, where=None))
        engine.launch(lattice(WALK))
        for first in range(0, size.contacts, 100_000):
            send(engine.stream, work.contacts(min(100_000, size.contacts), first))
        yield engine
        engine.stop()


def test_durable_events_a_second(
    size: RoundSize, engine: Engine, record: Record, benchmark: Any, tmp_path: Path
) -> None:
    def body(turn: int, name: str) -> bytes:
        run, count = name[:1].lower(), size.each(name)
        return work.events(count, contacts=size.contacts, first=turn * count, name=name, run=run)

    def sent(name: str) -> Callable[[int], float]:
        return lambda turn: send(engine.stream, body(turn, name)).seconds

    works = {name: sent(name) for name in (work.ORDER, EVERY, work.VIEW, WALK)}
    works["least"] = lambda turn: floor.append(body(turn, "Least"), tmp_path / f"least-{turn}")
    took: dict[str, float] = benchmark.pedantic(in_turns, args=(size.rounds, works), rounds=1)
    rates = {name: size.each(name) / seconds for name, seconds in took.items()}
    record(f"durable events, reference flow ({size.contacts:,} contacts)", rates[work.ORDER], "a second")
    record("durable events, each of which starts a run", rates[EVERY], "a second")
    record("durable events that no flow asks for", rates[work.VIEW], "a second")
    record(f"durable events, each of which walks {WALKED} of 150 nodes", rates[WALK], "a second")
    record("the least program: parse the lines, append them to LMDB", rates["least"], "a second")
    for name, what in ((work.ORDER, "reference flow"), (EVERY, "a run each"), (work.VIEW, "asked by nobody")):
        record(f"ratio to the least program: {what}", 100 * rates[name] / rates["least"], "%")
    entered = {flow["id"]: flow["entered"] for flow in engine.client.rows("flows")}
    assert 0.1 < entered["reference"] / (size.rounds * size.events) < 0.15
    assert entered["every"] == size.rounds * size.events
    assert entered["lattice"] == size.rounds * size.each(WALK)
