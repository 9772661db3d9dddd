"""The simulated store behaves like LMDB, as far as the engine uses it, and a power cut loses only what it may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import pytest

from tests.sim.disk import Disk, PowerCut
from tests.sim.environment import Commit, SimulatedEnvironment, newest

MAP_BYTES = 1 << 20


def opened(disk: Disk, **options: bool) -> SimulatedEnvironment:
    return SimulatedEnvironment(
        disk, "store", map_size=MAP_BYTES, watch=lambda commit, durable: None, **options
    )


def steps(chance: Random, count: int) -> Iterator[tuple[str, bytes, bytes]]:
    for _ in range(count):
        key = bytes([chance.randrange(20)])
        yield (
            chance.choice(("put", "put", "append", "new", "delete", "from", "last", "cut")),
            key,
            chance.randbytes(700),
        )


def carried_out(transaction: Any, step: str, key: bytes, value: bytes) -> object:
    cursor = transaction.cursor()
    match step:
        case "put":
            return transaction.put(key, value)
        case "append":
            last = cursor.last() and cursor.key()
            return transaction.put((last or b"") + key, value, append=True, overwrite=False)
        case "new":
            return transaction.put(key, value, overwrite=False)
        case "delete":
            return transaction.delete(key)
        case "last":
            return cursor.last() and cursor.item()
        case "cut":
            found = cursor.set_range(key) and cursor.delete()
            return found, cursor.key()
        case _:
            found, items = cursor.set_range(key), []
            while found:
                items.append(cursor.item())
                found = cursor.next()
            return items


@pytest.mark.parametrize("seed", range(10))
def test_it_answers_as_lmdb_does(seed: int, tmp_path: Path) -> None:
    chance = Random(seed)
    real, disk = lmdb.open(str(tmp_path), map_size=MAP_BYTES), Disk(chance)
    for _ in range(20):
        ours = opened(disk)
        with real.begin(write=True) as one, ours.begin(write=True) as other:
            for step in steps(chance, 10):
                assert carried_out(one, *step) == carried_out(other, *step), step
            assert one.stat()["entries"] == other.stat()["entries"]
    real.close()


def committed(disk: Disk, upto: int, **options: bool) -> tuple[int, int]:
    """Commit until the power fails. Return how many commits returned, and how many the disk then holds."""
    number = 0
    try:
        env = opened(disk, **options)
        for number in range(upto):
            with env.begin(write=True) as transaction:
                transaction.put(b"%d" % (number % 3), b"%d" % number * 300)
        return upto, newest(disk, "store")
    except PowerCut:
        return number, newest(disk, "store")


@pytest.mark.parametrize("calls", range(1, 40))
def test_a_power_cut_leaves_one_of_two_neighbours_whole(calls: int) -> None:
    for seed in range(10):
        disk = Disk(Random(seed))
        disk.cut_in(calls, power=True)
        returned, held = committed(disk, 20)
        assert held in (returned, returned + 1)
        with opened(disk).begin() as transaction:
            for place in range(min(3, held)):
                number = max(n for n in range(held) if n % 3 == place)
                assert transaction.get(b"%d" % place) == b"%d" % number * 300


def test_without_syncs_a_power_cut_loses_commits() -> None:
    lost = 0
    for seed in range(20):
        disk = Disk(Random(seed))
        disk.cut_in(30, power=True)
        returned, held = committed(disk, 20, sync=False)
        lost += held < returned
    assert lost > 0


def test_a_killed_process_loses_nothing_it_wrote() -> None:
    disk = Disk(Random(0))
    env = opened(disk, sync=False)
    with env.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    disk.cut(power=False)
    with pytest.raises(PowerCut):
        env.begin()
    with opened(disk).begin() as transaction:
        assert transaction.get(b"a") == b"1"


def test_a_commit_is_reported_before_and_after(tmp_path: Path) -> None:
    reports: list[tuple[int, bool]] = []

    def watch(commit: Commit, durable: bool) -> None:
        reports.append((commit.number, durable))

    env = SimulatedEnvironment(Disk(Random(0)), "store", map_size=MAP_BYTES, watch=watch)
    with env.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    assert reports == [(1, False), (1, True)]


def test_full_maps_and_full_disks_raise_the_errors_of_lmdb() -> None:
    disk = Disk(Random(0))
    env = SimulatedEnvironment(disk, "store", map_size=8_192, watch=lambda commit, durable: None)
    with pytest.raises(lmdb.MapFullError), env.begin(write=True) as transaction:
        transaction.put(b"a", bytes(9_000))
    disk.full = True
    with pytest.raises(lmdb.DiskError), env.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    disk.calm()
    with env.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    assert newest(disk, "store") == 1
