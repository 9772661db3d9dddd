"""Checkpoints under full load: their cost to the stream, the time they block the loop, the bytes they write.

Two engines of one state (`bench.host`) take turns: one makes no checkpoints, the other makes one after a number of
bytes of input. As in service, that number fits the contacts: 256 MiB for a million, less for fewer, so that a
checkpoint holds the same share of them; it may be postponed up to five times that. A round is long enough for one.
The block device counts bytes while only the engine with checkpoints receives input. Other writes to that disk are in
the figure; `--basetemp` on a disk of its own, or a mounted file, keeps them out.

Batches and checkpoints are compressed, and the lines of `work` are much alike. So bytes are counted once more with
lines of which a quarter is noise, no two the same.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from api.measure import disk, work
from api.measure.engine import Engine
from api.measure.stream import send
from bench.conftest import Record
from bench.host import CHECKPOINTER, HostReport
from bench.rounds import in_turns
from engine.tuning import CHECKPOINT_EVERY_BYTES

NEVER = 1 << 60
NOTE = b"left at the door, as always, with the neighbour on the second floor"
"""The part that every line of `work` shares."""
SETTLE_S = 1.5
"""After a round: checkpoints fall due once a second, and one must not run into another engine's round."""


class CheckpointSize(msgspec.Struct, frozen=True):
    contacts: int
    events: int
    rounds: int

    @property
    def every_bytes(self) -> int:
        return CHECKPOINT_EVERY_BYTES * self.contacts // 1_000_000


SIZES = [
    pytest.param(CheckpointSize(50_000, 250_000, 2), id="small"),
    pytest.param(CheckpointSize(1_000_000, 5_000_000, 3), id="1M", marks=pytest.mark.nightly),
]


class EnginePair:
    """An engine with checkpoints and one without, both with the contacts and the reference flow."""

    def __init__(self, size: CheckpointSize, folder: Path) -> None:
        self.size = size
        self._reports = {name: folder / f"{name}.json" for name in ("with", "without")}
        self.engines = {
            name: self._engine(folder / name, name, size.every_bytes if name == "with" else NEVER)
            for name in self._reports
        }

    def _engine(self, data: Path, name: str, every_bytes: int) -> Engine:
        options = ("--every-bytes", str(every_bytes), "--report", str(self._reports[name]))
        engine = Engine(data, command=(sys.executable, "-m", "bench.host", *options))
        engine.launch(work.flow())
        for first in range(0, self.size.contacts, 100_000):
            send(engine.stream, work.contacts(min(100_000, self.size.contacts - first), first))
        time.sleep(SETTLE_S)
        return engine

    def send(self, name: str, turn: int) -> float:
        return self.send_body(name, self.body(turn))

    def send_body(self, name: str, body: bytes) -> float:
        seconds = send(self.engines[name].stream, body).seconds
        time.sleep(SETTLE_S)
        return seconds

    def body(self, turn: int) -> bytes:
        size = self.size
        return work.events(size.events, contacts=size.contacts, first=turn * size.events)

    def noisy_body(self, turn: int) -> bytes:
        """Return a body whose note is noise, six bits a byte."""
        draw, (first, *rest) = Random(turn), self.body(turn).split(NOTE)
        return b"".join([first, *(base64.b64encode(draw.randbytes(51)) + piece for piece in rest)])

    def stop(self) -> dict[str, HostReport]:
        """Stop both engines and return their reports."""
        for engine in self.engines.values():
            engine.stop()
        return {
            name: msgspec.json.decode(path.read_bytes(), type=HostReport)
            for name, path in self._reports.items()
        }


@pytest.fixture(params=SIZES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EnginePair]:
    pair = EnginePair(request.param, tmp_path)
    yield pair
    for engine in pair.engines.values():
        if engine.process.returncode is None:
            engine.kill()


def test_checkpoints_under_full_load(
    pair: EnginePair, record: Record, benchmark: Any, tmp_path: Path
) -> None:
    size = pair.size
    works = {name: lambda turn, name=name: pair.send(name, turn) for name in ("without", "with")}
    took: dict[str, float] = benchmark.pedantic(in_turns, args=(size.rounds, works), rounds=1)
    plain = _written(pair, pair.body, range(size.rounds, 2 * size.rounds), tmp_path)
    noisy = _written(pair, pair.noisy_body, range(2 * size.rounds, 3 * size.rounds), tmp_path)
    reports = pair.stop()
    name = f"{size.contacts:,} contacts, a checkpoint every {size.every_bytes / 1e6:,.0f} MB"
    record(f"durable events without checkpoints ({name})", size.events / took["without"], "a second")
    record("durable events with checkpoints", size.events / took["with"], "a second")
    record("what checkpoints cost of the throughput", 100 * (1 - took["without"] / took["with"]), "%")
    step = reports["with"].steps[CHECKPOINTER]
    record(f"the longest hold of the loop by {reports['with'].checkpoints} checkpoints", step.wall_ms, "ms")
    record("the longest of them in CPU time", step.cpu_ms, "ms")
    record("the longest part of a snapshot, as the engine counts it", reports["with"].part_ms, "ms")
    record("the longest collection of garbage, in whichever task", reports["with"].garbage_ms, "ms")
    longest = max(step.wall_ms for step in reports["without"].steps.values())
    record("the longest hold by any task without checkpoints", longest, "ms")
    if plain is not None and noisy is not None:
        record("bytes written for a hundred bytes of input, checkpoints included", 100 * plain, "")
        record("the same where a quarter of every line is noise", 100 * noisy, "")
    assert reports["without"].checkpoints == 0
    assert reports["with"].checkpoints >= size.rounds


def _written(pair: EnginePair, body_of: Callable[[int], bytes], turns: range, folder: Path) -> float | None:
    """Return the bytes written to disk for each byte sent to the engine with checkpoints; None if not readable."""
    before, given = disk.settled_bytes(folder), 0
    for turn in turns:
        body = body_of(turn)
        given += len(body)
        pair.send_body("with", body)
    after = disk.settled_bytes(folder)
    return None if before is None or after is None else (after - before) / given
