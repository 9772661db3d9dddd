"""Single events as `POST /v1/track` over 64 kept connections, from a sender process of its own.

First the maximum, each request after the answer to the last. Then half of that rate: each request has an instant at
which it is due, and its delay counts from there. Both alternate in rounds; delays are medians over the rounds.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest

from api.measure import work
from api.measure.engine import Engine
from api.measure.requests import CONNECTIONS, Asked, ask
from api.measure.stream import Beside, send
from bench.conftest import Record

CONTACTS = 50_000


@pytest.mark.parametrize(
    ("count", "rounds"),
    [(10_000, 3), pytest.param(200_000, 5, marks=pytest.mark.nightly)],
    ids=["small", "long"],
)
def test_single_events(count: int, rounds: int, record: Record, benchmark: Any, tmp_path: Path) -> None:
    most: list[Asked] = []
    half: list[Asked] = []

    def asks() -> None:
        with Engine(tmp_path / "data") as engine, Beside() as beside:
            engine.launch(work.flow())
            send(engine.stream, work.contacts(CONTACTS))
            for turn in range(rounds):
                body = work.events(count, contacts=CONTACTS, first=turn * count, run="m")
                most.append(beside.start(ask, engine.intake, body).result())
                body = work.events(count // 2, contacts=CONTACTS, first=turn * count, run="h")
                rate = most[-1].per_second / 2
                half.append(beside.start(ask, engine.intake, body, rate=rate).result())
            engine.stop()

    benchmark.pedantic(asks, rounds=1)
    record(
        f"requests of one event over {CONNECTIONS} connections",
        median(one.per_second for one in most),
        "a second",
    )
    record("a core of the sender meanwhile", 100 * median(one.busy for one in most), "% busy")
    record("an answer at half of that rate, median", median(one.p50_ms for one in half), "ms")
    record("an answer at half of that rate, p99", median(one.p99_ms for one in half), "ms")
    record("an answer at half of that rate, the worst of all", max(one.worst_ms for one in half), "ms")
    assert all(one.busy < 0.9 for one in most), "the sender measured itself"
