"""Events through the simulator: lines decoded and played, each at an instant of its own, over thirty virtual days.

Reference flow, contacts with ten traits, waits of three days that end meanwhile; no trace, as for counts.
"""

from __future__ import annotations

from typing import Any

import pytest

from api.measure.suite import simulate
from bench.conftest import Record
from bench.rounds import in_turns


@pytest.mark.parametrize(
    ("events", "contacts", "rounds"),
    [(50_000, 10_000, 3), pytest.param(1_000_000, 100_000, 3, marks=pytest.mark.nightly)],
    ids=["small", "1M"],
)
def test_simulated_events(events: int, contacts: int, rounds: int, record: Record, benchmark: Any) -> None:
    works = {"simulate": lambda turn: simulate(events, contacts=contacts)}
    took: dict[str, float] = benchmark.pedantic(in_turns, args=(rounds, works), rounds=1)
    record(f"simulated events ({contacts:,} contacts)", events / took["simulate"], "a second")
