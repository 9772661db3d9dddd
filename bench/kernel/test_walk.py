"""The cost of a node: events that walk 40 of a flow's 150 nodes, in turns with events whose run ends at its launch.

The kernel alone, with decoded batches. The difference, divided by the 39 nodes below the launch, is the cost of a
node: conditions, splits, limits and updates of the contact in equal parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.bare import Bare
from bench.conftest import Record
from bench.lattice import KINDS, LEVELS, TEMPLATE, WALKED, lattice
from bench.rounds import in_turns

EVENTS = 500
DONE = {
    "condition": "condition",
    "split": "branch",
    "limit": "passed",
    "step": "executed",
    TEMPLATE: "executed",
}
"""What a node of each kind counts once it did its work: one that failed would be cheap."""


@pytest.mark.parametrize(
    ("contacts", "rounds"),
    [(20_000, 9), pytest.param(1_000_000, 30, marks=pytest.mark.nightly)],
    ids=["small", "1M"],
)
def test_a_node(contacts: int, rounds: int, record: Record, benchmark: Any) -> None:
    kernel = Bare(contacts)
    kernel.control("launch", flow=lattice("all"))
    for kind in DONE:
        kernel.control("launch", flow=lattice(kind, id=kind, kinds=(kind,)))
    launch = {"kind": "launch", "trigger": {"event": "none"}}
    kernel.control("launch", flow={"id": "end", "name": "End", "nodes": {"start": launch}})

    def events(name: str) -> Callable[[int], float]:
        def warm_then_timed(turn: int) -> float:
            kernel.events(EVENTS, first=2 * turn * EVENTS, name=name)
            return kernel.events(EVENTS, first=(2 * turn + 1) * EVENTS, name=name)

        return warm_then_timed

    works = {name: events(name) for name in ("all", *DONE, "none")}
    took: dict[str, float] = benchmark.pedantic(in_turns, args=(rounds, works), rounds=1)
    each = {name: seconds / EVENTS for name, seconds in took.items()}
    record(
        f"an event that walks {WALKED} nodes ({contacts:,} contacts), kernel alone", each["all"] * 1e6, "µs"
    )
    record("an event whose run ends immediately, kernel alone", each["none"] * 1e6, "µs")
    record("a node of those walked", (each["all"] - each["none"]) / LEVELS * 1e9, "ns")
    for kind in DONE:
        what = f"a node where all {LEVELS} are of kind {kind}"
        record(what, (each[kind] - each["none"]) / LEVELS * 1e9, "ns")
    taken = 2 * rounds * EVENTS
    for kind, done in DONE.items():
        assert total(kernel, kind, done) == taken * LEVELS
    assert total(kernel, "lattice", "arrived") == taken * WALKED
    steps = sum(KINDS[level % len(KINDS)] == "step" for level in range(LEVELS))
    assert total(kernel, "lattice", "executed") == taken * steps


def total(kernel: Bare, flow: str, what: str) -> int:
    """Return the sum over all nodes of the flow."""
    return sum(node[what] for node in kernel.kernel.stats(flow)["nodes"].values())
