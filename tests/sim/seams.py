"""The seams between engine and world: every access to the outside is replaced here by the simulated world.

| the engine's | becomes |
|---|---|
| `lmdb.open` | an environment on a simulated disk |
| `trio.to_thread.run_sync` (commits, recovery) | a step of the loop after a drawn delay |
| `time.monotonic`, `perf_counter`, `thread_time`, `time` in `engine` and `api` | the virtual clock of trio |
| `os.urandom` (a journal's key) | drawn from the seed |
| the directory's lock and `fsync` of names, Python's collector | nothing |
| the free space of the disk, asked for after a write that failed | plenty |
| pages of memory taken ahead, pages of LMDB looked at before it trusts them | nothing |
| files written anew after a contact was deleted (`environment.Environment.rewrite`) | nothing |
| bounds of `engine.limits` and `engine.tuning` | smaller ones, drawn from the seed |
| `engine.store.frame.encode`, recovery | the same, and a note to the account |
| sockets, `select.epoll` and waiting for them, in the listeners of `api` | lines of a simulated network |
| hypercorn and the guards before it (`api.management.server`) | a desk where the same app is asked by ASGI |
| `keys.json`, and the look whether it has changed | the keys of the world |
| bounds of the intake's bodies and of a stream's bytes in flight | drawn from the seed |
| the order in which trio runs ready tasks | drawn from the seed |

Nothing else of the engine is touched; `api.serve.open_ways_in` is what starts and stops all ways in.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from random import Random
from types import SimpleNamespace
from typing import Any

import lmdb
import msgspec
import pytest
import trio
import trio._core._run as scheduler
import trio.testing

from api import keyfile, serve
from api.config import Address
from api.intake import bursts, connections
from api.intake.http_listener import Intake
from api.intake.stream_listener import Stream
from api.keys import Key
from api.management import server
from engine import gc_tuning, limits, service, tuning
from engine.store import directory, environment, frame, page_check
from tests.sim.network import Net
from tests.sim.web import Desk

COMMIT_S = (0.0, 0.0005, 0.002, 0.02, 0.3, 0.3)
"""Duration of work in a thread, before and after it, in seconds."""


class SimPath(PurePosixPath):
    """A path of the simulated disk, on which all directories exist."""

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        assert exist_ok, "a directory of the engine may be there already"

    def glob(self, pattern: str) -> Iterator[SimPath]:
        return iter(())  # nothing is rewritten here


class WaysIn(msgspec.Struct):
    """The simulated counterparts of what the listeners use."""

    net: Net
    desk: Desk
    keys: Callable[[object], tuple[Key, ...]]
    """The issued keys, as they are at present."""
    keys_mark: Callable[[object], object]
    """Another one after each change of the keys."""
    bodies_bytes_max: int
    in_flight_bytes_max: int


@contextmanager
def replaced(
    chance: Random,
    clock: trio.testing.MockClock,
    open_environment: Callable[..., Any],
    recover: Callable[..., Any],
    encoded: Callable[[int, bytes], None],
    bounds: Mapping[str, float],
    ways_in: WaysIn,
) -> Iterator[None]:
    """Put `engine` and `api` into a simulated world until the block ends; trio must run with `clock`."""

    patch = pytest.MonkeyPatch()
    _replace_engine(patch, chance, clock, encoded)
    for name, bound in bounds.items():
        patch.setattr(tuning if hasattr(tuning, name) else limits, name, bound)
    patch.setattr(lmdb, "open", open_environment)
    patch.setattr(service, "recover", recover)
    _replace_ways_in(patch, ways_in)
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


def _replace_engine(
    patch: pytest.MonkeyPatch,
    chance: Random,
    clock: trio.testing.MockClock,
    encoded: Callable[[int, bytes], None],
) -> None:
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

    async def rewrite(environment: environment.Environment) -> None:
        await trio.lowlevel.checkpoint()

    encode = frame.encode

    def encode_and_tell(seq: int, *args: Any, **named: Any) -> bytes:
        value = encode(seq, *args, **named)
        encoded(seq, value)
        return value

    clocks = ("monotonic", "perf_counter", "thread_time", "time")
    clock_module = SimpleNamespace(**dict.fromkeys(clocks, clock.current_time))
    for name, module in sorted(sys.modules.items()):
        if name.startswith(("engine.", "api.")) and getattr(module, "time", None) is time:
            patch.setattr(module, "time", clock_module)
    patch.setattr(os, "urandom", chance.randbytes)
    patch.setattr(trio.to_thread, "run_sync", run_sync)
    patch.setattr(trio.from_thread, "run_sync", call)
    patch.setattr(trio.from_thread, "check_cancelled", lambda: None)
    patch.setattr(environment, "sync_names", lambda path: None)
    patch.setattr(environment, "free_bytes", lambda folder: 1 << 40)
    patch.setattr(environment.Environment, "rewrite", rewrite)
    patch.setattr(page_check, "check", lambda file, name: None)
    patch.setattr(service, "wants_touch", lambda: False)
    patch.setattr(directory, "hold", hold)
    patch.setattr(gc_tuning, "spared", nothing)
    patch.setattr(frame, "encode", encode_and_tell)


def _replace_ways_in(patch: pytest.MonkeyPatch, found: WaysIn) -> None:
    net = found.net
    patch.setattr(serve, "listening", net.listening)
    patch.setattr(serve, "bound", lambda listener: Address(host="127.0.0.1"))
    patch.setattr(serve, "Intake", partial(Intake, bodies_bytes_max=found.bodies_bytes_max))
    patch.setattr(serve, "Stream", partial(Stream, in_flight_bytes_max=found.in_flight_bytes_max))
    patch.setattr(server, "serve", found.desk.serve)
    for module in (serve, keyfile):
        patch.setattr(module, "read_keys", found.keys)
    patch.setattr(keyfile, "mark", found.keys_mark)
    patch.setattr(connections, "socket", SimpleNamespace(socket=net.socket, SHUT_WR=socket.SHUT_WR))
    patch.setattr(bursts, "select", SimpleNamespace(epoll=net.epoll, EPOLLIN=select.EPOLLIN))
    patch.setattr(trio.lowlevel, "wait_readable", net.wait_readable)
    patch.setattr(trio.lowlevel, "wait_writable", net.wait_writable)
