"""Starts: with contacts and as many waiting runs from a checkpoint, and with a journal to replay after a kill.

A start lasts from the start of the process until it accepts events: Python, the imports, recovery, the listeners.
Replay is the additional time of a recovery whose checkpoint has a journal after it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.measure import work
from api.measure.engine import Engine
from api.measure.stream import send
from bench.conftest import Record

CHUNK = 100_000
EVERY = "Every"
RESIDENT_MB_MAX = 900
"""Of an engine with a million contacts and as many waiting runs, each with the event that started it."""


def fill(engine: Engine, contacts: int) -> None:
    """Add contacts, each with a run that waits three days."""
    engine.launch(work.flow())
    engine.launch(work.flow(id="every", event=EVERY, where=None))
    for first in range(0, contacts, CHUNK):
        send(engine.stream, work.contacts(min(CHUNK, contacts - first), first))
    for first in range(0, contacts, CHUNK):
        count = min(CHUNK, contacts - first)
        send(engine.stream, work.events(count, contacts=contacts, first=first, name=EVERY, run="f"))


@pytest.mark.parametrize(
    ("contacts", "events", "rounds"),
    [(50_000, 60_000, 2), pytest.param(1_000_000, 600_000, 5, marks=pytest.mark.nightly)],
    ids=["small", "1M"],
)
def test_starts(
    contacts: int, events: int, rounds: int, record: Record, benchmark: Any, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    starts: list[float] = []
    restored: list[float] = []
    resident: list[int] = []
    with Engine(data) as engine:
        fill(engine, contacts)
        stopped_s = engine.stop()

    def start() -> None:
        with Engine(data) as engine:
            starts.append(engine.started_s)
            restored.append(engine.metrics()["tidemill_recovery_seconds"])
            resident.append(engine.resident_bytes())
            assert engine.metrics()["tidemill_waiting"] == contacts
            engine.stop()

    benchmark.pedantic(start, rounds=rounds)
    with Engine(data) as engine:
        send(engine.stream, work.events(events, contacts=contacts, run="k"))
        engine.kill()
    with Engine(data) as engine:
        found = engine.metrics()
        engine.kill()
    assert found["tidemill_recovery_inputs"] >= events
    if contacts == 1_000_000:
        assert min(resident) / 1e6 <= RESIDENT_MB_MAX
    replay_s = found["tidemill_recovery_seconds"] - min(restored)
    name = f"{contacts:,} contacts, as many waiting runs"
    record(f"a start from a checkpoint ({name})", min(starts), "s")
    record("— of it recovery", min(restored), "s")
    record("memory of the engine after it", min(resident) / 1e6, "MB")
    record("the stop before it, with its checkpoint", stopped_s, "s")
    record("journal replayed after a kill, events", found["tidemill_recovery_inputs"] / replay_s, "a second")
