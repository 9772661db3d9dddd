"""The engine as `tidemill serve` runs it, with a chosen rate of checkpoints and every step of its tasks timed.

    python -m bench.host --every-bytes 10000000 --report FILE DATA --http … --intake … --stream …

A task blocks the loop for one step, from one await to the next. The longest step of each task is recorded, by wall
clock and by CPU time (which excludes other programs). A signal writes the report as JSON, before the checkpoint of
the stop.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path
from typing import Any

import msgspec
import trio

from api.config import Settings
from api.serve import SIGNALS, open_ways_in
from engine import tuning
from engine.service import ServiceConfig, running

CHECKPOINTER = "Checkpointer.run"
"""The task that makes checkpoints and trims the journal after them."""


NEVER_S = 1e9
"""A long run is not to have checkpoints that fall due by time."""


class LongestStep(msgspec.Struct):
    """The longest step of a task, in ms, each clock by itself, and how many steps it took."""

    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    count: int = 0


class HostReport(msgspec.Struct):
    """`steps` by task; `checkpoints` made, and the seconds of the last of them; the longest collection of garbage,
    which is part of whatever step it fell into, and the longest part of a snapshot as the engine itself counts it."""

    steps: dict[str, LongestStep]
    checkpoints: int
    took_s: float
    garbage_ms: float
    part_ms: float


class Stopwatch(trio.abc.Instrument):
    """Times every step of every task, and every collection of garbage, from when it is begun to measure."""

    def __init__(self) -> None:
        self.steps: dict[str, LongestStep] = {}
        self.garbage_ms = 0.0
        self._began: tuple[float, float] | None = None
        self._collecting_s = 0.0

    def collected(self, phase: str, _: dict[str, int]) -> None:
        """Record the duration of a collection (an entry of `gc.callbacks`)."""
        if phase == "start":
            self._collecting_s = time.perf_counter()
        else:
            self.garbage_ms = max(self.garbage_ms, (time.perf_counter() - self._collecting_s) * 1e3)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = (time.perf_counter(), time.thread_time())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._began is None:
            return  # of the step in which measuring began
        wall_s, cpu_s = time.perf_counter() - self._began[0], time.thread_time() - self._began[1]
        step = self.steps.setdefault(task.name.rpartition(".engine.")[2] or task.name, LongestStep())
        step.wall_ms = max(step.wall_ms, wall_s * 1e3)
        step.cpu_ms = max(step.cpu_ms, cpu_s * 1e3)
        step.count += 1


async def host(given: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    config = ServiceConfig(
        data=Path(given.data), checkpoint_every_bytes=given.every_bytes, checkpoint_every_s=NEVER_S
    )
    settings = Settings(
        data=given.data, http=tuple(given.http), intake=tuple(given.intake), stream=tuple(given.stream)
    )
    stop, stopwatch = trio.Event(), Stopwatch()

    async def watch() -> None:
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async for _ in signals:
                stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async with running(config) as service:
            trio.lowlevel.add_instrument(stopwatch)
            gc.callbacks.append(stopwatch.collected)
            await open_ways_in(service, settings, lambda line: print(line, flush=True), stop)
            gc.callbacks.remove(stopwatch.collected)
            trio.lowlevel.remove_instrument(stopwatch)
            _write(Path(given.report), stopwatch, service.statistics()["checkpoint"])
        nursery.cancel_scope.cancel()


def _write(path: Path, stopwatch: Stopwatch, checkpoint: dict[str, Any]) -> None:
    report = HostReport(
        steps=stopwatch.steps,
        checkpoints=checkpoint["made"],
        took_s=checkpoint["took_s"],
        garbage_ms=stopwatch.garbage_ms,
        part_ms=checkpoint["longest_part_s"] * 1e3,
    )
    path.write_bytes(msgspec.json.encode(report))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.host")
    parser.add_argument("--every-bytes", type=int, default=tuning.CHECKPOINT_EVERY_BYTES)
    parser.add_argument("--report", required=True)
    parser.add_argument("data")
    for name in ("http", "intake", "stream"):
        parser.add_argument(f"--{name}", action="append", default=[])
    trio.run(host, parser.parse_args())


if __name__ == "__main__":
    main()
