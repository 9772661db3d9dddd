"""Many flows on one event name: the cost of an event as flows, and distinct sub-predicates, grow in number.

Every flow's `where` has three conditions of a pool. Every event is checked against all flows, and no run starts, as one
of the three never holds: the figure is the cost of the check, not of runs. Kernels of each kind take turns.

This is the easiest case: clauses that never hold rule out all flows together. `test_flow_filter.py` has clauses that
hold now and then, and some runs; quote that figure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from bench.bare import Bare
from bench.conftest import Record
from bench.rounds import in_turns
from engine.wire import decode_lines

EVENTS = 2_000
NAME = "Asked For"
ALL_HOLD = b'{"type":"track","userId":"c0","event":"Asked For","properties":{"total":100000}}'
"""The one event for which every condition of the pool holds."""


@cache
def pool(distinct: int) -> list[str]:
    """Return different conditions: about half hold for a contact's event, the last third for no event."""
    often = distinct - distinct // 3
    holding = [
        (
            f"event.properties.total >= {n}.0",
            f'customer.first_name != "first_name-{n}"',
            f"customer.orders_count < {n + 3}",
        )[n % 3]
        for n in range(often)
    ]
    return holding + [f"event.properties.total > {1_000 + n}.0" for n in range(distinct - often)]


def conditions(number: int, distinct: int) -> str:
    """Return the conditions of flow `number`: two that often hold, and one that never does."""
    choice = pool(distinct)
    often = distinct - distinct // 3
    never = often + number % (distinct - often)
    return " && ".join(choice[at] for at in (number % often, (7 * number + 3) % often, never))


def asked(flows: int, distinct: int, contacts: int) -> Bare:
    """Return a kernel with a number of running flows on one event."""
    kernel = Bare(contacts)
    for number in range(flows):
        start = {"kind": "launch", "trigger": {"event": NAME}, "where": conditions(number, distinct)}
        kernel.control("launch", flow={"id": f"f{number}", "name": "F", "nodes": {"start": start}})
    used = {part for number in range(flows) for part in conditions(number, distinct).split(" && ")}
    assert len(used) == distinct
    return kernel


KINDS = {"few": (60, 50), "many": (1_000, 50), "many, more": (1_000, 500)}
"""Flows, and distinct conditions among all of theirs."""


@pytest.mark.parametrize(
    ("contacts", "rounds"),
    [(5_000, 5), pytest.param(100_000, 25, marks=pytest.mark.nightly)],
    ids=["small", "100k"],
)
def test_flows_on_one_event(contacts: int, rounds: int, record: Record, benchmark: Any) -> None:
    kernels = {name: asked(flows, distinct, contacts) for name, (flows, distinct) in KINDS.items()}

    def events(kernel: Bare) -> Callable[[int], float]:
        return lambda turn: kernel.events(EVENTS, first=turn * EVENTS, name=NAME)

    works = {name: events(kernel) for name, kernel in kernels.items()}
    took: dict[str, float] = benchmark.pedantic(in_turns, args=(rounds, works), rounds=1)
    for name, (flows, distinct) in KINDS.items():
        what = f"an event that {flows:,} flows ask for, {distinct} conditions among them distinct"
        record(what, took[name] / EVENTS * 1e6, "µs")
    record("1,000 flows ÷ 60 flows, 50 distinct in both", took["many"] / took["few"], "times")
    assert [kernel.kernel.counts()["waiting"] for kernel in kernels.values()] == [0, 0, 0]
    for name, kernel in kernels.items():
        kernel.apply(decode_lines(ALL_HOLD).inputs)
        entered = sum(flow["entered"] for flow in kernel.kernel.flows())
        assert entered == KINDS[name][0], "until now every flow's conditions were false, not in error"
