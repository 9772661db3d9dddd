"""The cost of an event as contacts grow in number: kernels of two sizes take turns with the same flow and events.

The kernel alone, as journal and decoding do not depend on the number of contacts. Most of the growth is cache misses,
as contacts come in random order. The long form needs some 10 GB of memory and ten minutes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from api.measure import work
from bench.bare import Bare
from bench.conftest import Record
from bench.rounds import in_turns
from engine.gc_tuning import spared

EVENTS = 20_000


@pytest.mark.parametrize(
    ("few", "many", "rounds"),
    [(10_000, 100_000, 5), pytest.param(100_000, 10_000_000, 25, marks=pytest.mark.nightly)],
    ids=["small", "10M"],
)
def test_an_event_as_contacts_grow(few: int, many: int, rounds: int, record: Record, benchmark: Any) -> None:
    gc.disable()
    try:
        kernels = {contacts: Bare(contacts) for contacts in (few, many)}
    finally:
        gc.enable()
    for kernel in kernels.values():
        kernel.control("launch", flow=work.flow())

    def events(kernel: Bare, name: str) -> Callable[[int], float]:
        return lambda turn: kernel.events(EVENTS, first=turn * EVENTS, name=name)

    works = {
        f"{contacts} {name}": events(kernel, name)
        for contacts, kernel in kernels.items()
        for name in (work.ORDER, work.VIEW)
    }
    with spared():
        took: dict[str, float] = benchmark.pedantic(in_turns, args=(rounds, works), rounds=1)
    for name, what in ((work.ORDER, "reference flow"), (work.VIEW, "no flow asks for it")):
        for contacts in kernels:
            record(
                f"an event with {contacts:,} contacts, {what}",
                took[f"{contacts} {name}"] / EVENTS * 1e6,
                "µs",
            )
        ratio = took[f"{many} {name}"] / took[f"{few} {name}"]
        record(f"{many:,} ÷ {few:,} contacts, {what}", ratio, "times")
    for kernel in kernels.values():
        assert 0.1 < kernel.kernel.flow("reference")["entered"] / (rounds * EVENTS) < 0.15
