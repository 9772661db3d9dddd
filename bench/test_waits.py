"""Waits in a running engine: their lateness at half of its load, and very many due at one instant.

Lateness is measured twice: when the step after the wait ran, by the engine's own clock, and when this process read the
message, which leaves once the step is durable. Loads come from a process of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.measure import waits, work
from api.measure.engine import Engine
from api.measure.stream import send
from bench.conftest import Record

CONTACTS = 50_000
PROBE = 60_000
"""Events by which the engine's full rate is found."""
MEANWHILE = 5_000
"""Events a second that come in while the waits end."""


@pytest.mark.parametrize(
    ("load_s", "count"),
    [(4.0, 1_000), pytest.param(30.0, 10_000, marks=pytest.mark.nightly)],
    ids=["small", "long"],
)
def test_lateness_at_half_load(
    load_s: float, count: int, record: Record, benchmark: Any, tmp_path: Path
) -> None:
    with Engine(tmp_path / "data", messages=True) as engine:
        engine.launch(work.flow())
        engine.launch(waits.timed_flow())
        send(engine.stream, work.contacts(CONTACTS))
        rate = send(engine.stream, work.events(PROBE, contacts=CONTACTS, run="p")).per_second / 2
        load = work.events(int(rate * load_s), contacts=CONTACTS, run="l")
        late: waits.Lateness = benchmark.pedantic(
            waits.lateness, args=(engine, load), kwargs={"rate": rate, "waits": count}, rounds=1
        )
    record("half load", rate, "events a second")
    record(f"lateness of a step after a wait, median of {count:,}", late.ran_p50_ms, "ms")
    record("lateness of a step after a wait, p99", late.ran_p99_ms, "ms")
    record("lateness of a step after a wait, the worst", late.ran_worst_ms, "ms")
    record("lateness of its message, durable and read, p99", late.handed_over_p99_ms, "ms")
    assert late.earliest_ms >= 0


@pytest.mark.parametrize(
    ("count", "fill_rate"),
    [(50_000, 25_000), pytest.param(1_000_000, 40_000, marks=pytest.mark.nightly)],
    ids=["50k", "1M"],
)
def test_waits_due_at_one_instant(
    count: int, fill_rate: int, record: Record, benchmark: Any, tmp_path: Path
) -> None:
    with Engine(tmp_path / "data") as engine:
        many: waits.Burst = benchmark.pedantic(
            waits.burst,
            args=(engine,),
            kwargs={"waits": count, "fill_rate": fill_rate, "rate": MEANWHILE},
            rounds=1,
        )
        stats = engine.client.get("flows", "burst", "stats")["nodes"]
        engine.stop()
    record(f"{count:,} waits due at one instant, each running a step: all done", many.seconds, "s")
    record(f"an acknowledgement meanwhile, {many.acknowledged:,} events, p99", many.acks_p99_ms, "ms")
    record("an acknowledgement meanwhile, the worst", many.acks_worst_ms, "ms")
    assert stats["step"]["executed"] == count
