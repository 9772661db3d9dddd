"""Compaction under load: the time it blocks the loop, and the time that commits, and so acknowledgements, wait for it.

An engine (`bench.host`) receives a stream as fast as it can, with and without a compaction of its store. Meanwhile
single events are sent beside the stream, each after the acknowledgement of the last.
"""

from __future__ import annotations

import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.measure import work
from api.measure.engine import Engine
from api.measure.stream import send
from bench.conftest import Record
from bench.host import HostReport

NEVER = 1 << 60
REQUEST = "quart_trio.asgi.TrioASGIHTTPConnection.handle_request"
"""The task in which a compaction that was asked for goes on."""
SIZES = [
    pytest.param((20_000, 200_000), id="small"),
    pytest.param((200_000, 1_500_000), id="200k", marks=pytest.mark.nightly),
]


class Compacted(msgspec.Struct):
    """Seconds: each acknowledgement of a single event, and the compaction (0: there was none)."""

    acknowledged: list[float]
    took: float


def measured(engine: Engine, body: bytes, *, compact: bool) -> Compacted:
    """Send the stream, single events beside it, and perhaps compact meanwhile."""
    found = Compacted([], 0.0)
    streaming = threading.Thread(target=send, args=(engine.stream, body))
    streaming.start()
    time.sleep(0.5)
    compacting = threading.Thread(target=_compact, args=(engine, found))
    if compact:
        compacting.start()
    connection = HTTPConnection(engine.intake.host, engine.intake.port, timeout=60)
    while compacting.is_alive() if compact else streaming.is_alive():
        began = time.perf_counter()
        payload = msgspec.json.encode({"userId": f"single{len(found.acknowledged)}", "event": "Seen"})
        connection.request("POST", "/v1/track", payload, {"Content-Type": "application/json"})
        assert connection.getresponse().read()
        found.acknowledged.append(time.perf_counter() - began)
    connection.close()
    streaming.join()
    return found


def _compact(engine: Engine, found: Compacted) -> None:
    connection = HTTPConnection(engine.http.host, engine.http.port, timeout=600)
    began = time.perf_counter()
    connection.request("POST", "/v1/store/compact")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
    found.took = time.perf_counter() - began
    connection.close()


@pytest.mark.parametrize("size", SIZES)
def test_compaction_under_load(size: tuple[int, int], record: Record, benchmark: Any, tmp_path: Path) -> None:
    contacts, events = size
    report = tmp_path / "report.json"
    options = ("--every-bytes", str(NEVER), "--report", str(report))
    engine = Engine(tmp_path / "data", command=(sys.executable, "-m", "bench.host", *options))
    engine.launch(work.flow())
    for first in range(0, contacts, 100_000):
        send(engine.stream, work.contacts(min(100_000, contacts - first), first))
    bodies = [work.events(events, contacts=contacts, first=turn * events) for turn in range(2)]
    plain = measured(engine, bodies[0], compact=False)
    compacted: Compacted = benchmark.pedantic(
        measured, args=(engine, bodies[1]), kwargs={"compact": True}, rounds=1
    )
    engine.stop()
    steps = msgspec.json.decode(report.read_bytes(), type=HostReport).steps
    step = steps[REQUEST]
    record(f"a compaction beside a stream ({contacts:,} contacts)", compacted.took, "s")
    record("the longest hold of the loop by it", step.wall_ms, "ms")
    record("the longest of them in CPU time", step.cpu_ms, "ms")
    for name, one in (("without", plain), ("while it went on", compacted)):
        times = sorted(one.acknowledged)
        record(f"a single event beside the stream, {name}: the median", times[len(times) // 2] * 1e3, "ms")
        record(f"the slowest of {len(times):,}", times[-1] * 1e3, "ms")
    assert compacted.took > 0
