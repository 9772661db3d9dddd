"""Where the simulated world takes the place of the real one: everything the engine knows of outside is replaced here.

| the engine's | becomes |
|---|---|
| `lmdb.open` | an environment on a simulated disk |
| `trio.to_thread.run_sync` (commits, recovery) | a step of the loop after a drawn delay |
| `time.monotonic`, `time.perf_counter`, `time.thread_time` in `engine` | the virtual clock of trio |
| `os.urandom` (a journal's key) | drawn from the seed |
| the directory's lock and `fsync` of names, Python's collector | nothing |
| the free space of the disk, asked for after a write that failed | plenty |
| pages of memory taken ahead, pages of LMDB looked at before it trusts them | nothing |
| bounds of `engine.limits` | smaller ones, drawn from the seed |
| `engine.frame.encode`, recovery | the same, and the account is told |
| the order in which trio runs what is ready | drawn from the seed |

Nothing else of the engine is touched.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from random import Random
from types import SimpleNamespace
from typing import Any

import lmdb
import pytest
import trio
import trio._core._run as scheduler
import trio.testing

from engine import directory, frame, garbage, limits, pages, service, store

COMMIT_S = (0.0, 0.0005, 0.002, 0.02, 0.3, 0.3)
"""How long work in a thread takes, before and after."""


class SimPath(PurePosixPath):
    """A path of the simulated disk: directories are there already."""

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        assert exist_ok, "a directory of the engine may be there already"

    def glob(self, pattern: str) -> Iterator[SimPath]:
        return iter(())  # nothing is rewritten here


@contextmanager
def replaced(
    chance: Random,
    clock: trio.testing.MockClock,
    open_environment: Callable[..., Any],
    recover: Callable[..., Any],
    encoded: Callable[[int, bytes], None],
    bounds: Mapping[str, float],
) -> Iterator[None]:
    """Until the block ends, `engine` lives in a simulated world; trio must be run with `clock`."""

    @contextmanager
    def hold(data: SimPath) -> Iterator[SimPath]:
        yield data

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    async def run_sync(
        work: Callable[..., Any], *args: Any, limiter: trio.CapacityLimiter | None = None
    ) -> Any:
        async with limiter or contextlib.nullcontext():
            await trio.sleep(chance.choice(COMMIT_S))
            try:
                return work(*args)
            finally:
                with trio.CancelScope(shield=True):  # a thread is not interrupted
                    await trio.sleep(chance.choice(COMMIT_S))

    def call(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    encode = frame.encode

    def encode_and_tell(seq: int, *args: Any, **named: Any) -> bytes:
        value = encode(seq, *args, **named)
        encoded(seq, value)
        return value

    patch = pytest.MonkeyPatch()
    told = SimpleNamespace(
        monotonic=clock.current_time, perf_counter=clock.current_time, thread_time=clock.current_time
    )
    for name, module in sorted(sys.modules.items()):
        if name.startswith("engine.") and getattr(module, "time", None) is time:
            patch.setattr(module, "time", told)
    for name, bound in bounds.items():
        patch.setattr(limits, name, bound)
    patch.setattr(lmdb, "open", open_environment)
    patch.setattr(os, "urandom", chance.randbytes)
    patch.setattr(trio.to_thread, "run_sync", run_sync)
    patch.setattr(trio.from_thread, "run_sync", call)
    patch.setattr(trio.from_thread, "check_cancelled", lambda: None)
    patch.setattr(store, "sync_names", lambda path: None)
    patch.setattr(store, "free_bytes", lambda folder: 1 << 40)
    patch.setattr(pages, "check", lambda file, name: None)
    patch.setattr(service, "wants_touch", lambda: False)
    patch.setattr(directory, "hold", hold)
    patch.setattr(garbage, "spared", nothing)
    patch.setattr(service, "recover", recover)
    patch.setattr(frame, "encode", encode_and_tell)
    patch.setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    logging.disable()
    state = scheduler._r.getstate()
    scheduler._r.seed(chance.random())
    try:
        yield
    finally:
        scheduler._r.setstate(state)
        logging.disable(logging.NOTSET)
        patch.undo()
