"""A full map or disk: new input is refused with 503, nothing is lost, and all goes on when there is room."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest
import trio

from engine import limits, tuning
from engine.errors import StoreError, Unavailable
from engine.model import Effect, Receipt
from engine.service import running
from engine.store.environment import Environment, StoreFull
from engine.wire import decode_lines
from tests.store.fake_kernel import fake_of
from tests.store.helpers import Collector, config, events, line, recovery_of, run, until

SMALL = 1 << 19


def disk_full() -> Callable[[], None]:
    """Let every write of any store fail as a full disk does; returns what ends that."""

    async def write(self: Environment, fill: object, *, aside: bool = False) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreFull(self.name)

    patch = pytest.MonkeyPatch()
    patch.setattr(Environment, "write", write)
    return patch.undo


def test_a_full_journal_makes_room_for_itself_by_a_checkpoint(tmp_path: Path) -> None:
    async def test() -> None:
        settings = config(tmp_path, journal_map_bytes=SMALL, checkpoint_map_bytes=1 << 24)
        async with running(settings) as service:
            for n in range(200):
                await service.submit(events(1, first=n, padding=10_000))
            statistics = service.statistics()
            assert statistics["checkpoint"]["made"] >= 3
            assert statistics["accepts_input"]
            assert sum(fake_of(service).counted.values()) == 200

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert sum(fake_of(service).counted.values()) == 200

    run(test)
    run(again)


def test_a_full_disk_refuses_new_input_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_RETRY_S", 0)

    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(10))
            room = disk_full()
            try:
                waiting = await service.enqueue(events(1, first=10))
                await until(lambda: not service.accepts_input)
                with pytest.raises(Unavailable) as refused:
                    await service.submit(events(1, first=11))
                assert refused.value.code == "store_full"
                with pytest.raises(Unavailable):
                    await service.control("echo")
                assert not waiting.done
            finally:
                room()
            await waiting.wait()
            assert service.accepts_input
            await service.submit(events(1, first=11))

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert sum(fake_of(service).counted.values()) == 12

    run(test)
    run(again)


def test_a_stop_with_a_full_disk_ends_and_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STOP_FULL_S", 0.1)
    ends: list[Callable[[], None]] = []

    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(10))
            ends.append(disk_full())
            ticket = await service.enqueue(events(1, first=10))
            await until(lambda: not service.accepts_input)
        with pytest.raises(Unavailable):
            await ticket.wait()

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert sum(fake_of(service).counted.values()) == 10

    try:
        run(test)
    finally:
        ends[0]()
    run(again)


def test_a_stop_with_a_full_disk_does_not_wait_for_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STOP_FULL_S", 0.1)
    monkeypatch.setattr(limits, "DELIVERY_STOP_S", 0.1)
    ends: list[Callable[[], None]] = []

    class Filling(Collector):
        async def deliver(self, effect: Effect) -> Receipt:
            ends.append(disk_full())
            return await super().deliver(effect)

    async def test() -> None:
        async with running(config(tmp_path, channel=Filling())) as service:
            await service.submit(decode_lines(line("c1", "send", channel="email")))
            await until(lambda: not service.accepts_input)

    try:
        run(test)
    finally:
        ends[0]()


def test_a_full_checkpoint_store_only_postpones_checkpoints(tmp_path: Path) -> None:
    async def test() -> None:
        settings = config(tmp_path, checkpoint_map_bytes=1 << 15, checkpoint_every_s=0)
        async with running(settings) as service:
            for n in range(20):
                await service.submit(events(400, first=400 * n))
            await until(lambda: service.statistics()["checkpoint"]["failed"] == 1)
            await service.submit(events(1, first=9_000))

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert recovery_of(service).batches > 0, "the tail is still there"
            assert sum(fake_of(service).counted.values()) == 8_001

    run(test)
    run(again)


def test_a_disk_that_fails_stops_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, env: lmdb.Environment) -> None:
            self._env = env

        def begin(self, write: bool = False) -> lmdb.Transaction:
            if write:
                raise lmdb.Error("Input/output error")
            return self._env.begin()

        def __getattr__(self, name: str) -> object:
            return getattr(self._env, name)

    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(10))
            environment = service._journal._env
            monkeypatch.setattr(environment, "_env", Broken(environment._env))
            with pytest.raises(Unavailable):
                await service.submit(events(1, first=10))
            await trio.sleep_forever()

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert recovery_of(service).checkpoint_seq == 0
            assert sum(fake_of(service).counted.values()) == 10

    with pytest.raises(ExceptionGroup) as stopped:
        run(test)
    assert stopped.group_contains(StoreError, match="Input/output error")
    monkeypatch.undo()
    run(again)


@pytest.mark.parametrize(("free_bytes", "raised"), [(0, StoreFull), (1 << 40, StoreError)])
def test_a_write_cut_short_is_a_full_disk_if_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, raised: type[Exception]
) -> None:
    def fill(transaction: object) -> None:
        raise lmdb.Error(f"mdb_txn_commit: {os.strerror(errno.EIO)}")

    async def test() -> None:
        env = Environment(tmp_path / "journal", name="journal", map_bytes=SMALL)
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free_bytes, f_frsize=1))
        with pytest.raises(raised):
            await env.write(fill)
        env.close()

    run(test)
