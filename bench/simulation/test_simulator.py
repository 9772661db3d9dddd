"""Events in virtual time: the simulator, and a backtest of a flow over a file of real orders.

The simulator decodes and plays lines, each at an instant of its own, over thirty virtual days: reference flow, contacts
with ten traits, waits of three days that end meanwhile, no trace. The backtest goes from the packed file to the counts.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from api.measure.suite import simulate
from bench.conftest import Record
from bench.rounds import in_turns
from engine.simulation import recorded_events, scenario
from engine.simulation.backtest import backtest

TESTS = Path(__file__).parents[2] / "tests"
ORDERS = TESTS / "data" / "cdnow-orders.ndjson.gz"
ORDERS_COUNT = 69_659


@pytest.mark.parametrize(
    ("events", "contacts", "rounds"),
    [(50_000, 10_000, 3), pytest.param(1_000_000, 100_000, 3, marks=pytest.mark.nightly)],
    ids=["small", "1M"],
)
def test_simulated_events(events: int, contacts: int, rounds: int, record: Record, benchmark: Any) -> None:
    works = {"simulate": lambda turn: simulate(events, contacts=contacts)}
    took: dict[str, float] = benchmark.pedantic(in_turns, args=(rounds, works), rounds=1)
    record(f"simulated events ({contacts:,} contacts)", events / took["simulate"], "a second")


def test_a_backtest_over_real_orders(record: Record, benchmark: Any) -> None:
    (flow,) = scenario.load(TESTS / "scenarios" / "cdnow-a-second-order.yaml").flows

    def once(turn: int) -> float:
        began_s = time.perf_counter()
        simulator = backtest(flow, recorded_events.events(ORDERS))
        took_s = time.perf_counter() - began_s
        assert simulator.kernel.counts()["events"] == ORDERS_COUNT
        return took_s

    took: dict[str, float] = benchmark.pedantic(in_turns, args=(5, {"backtest": once}), rounds=1)
    record("events of a backtest over the orders of CDNOW", ORDERS_COUNT / took["backtest"], "a second")
