"""The journal keeps what was appended, in order, until it is trimmed, and can be trimmed when it is full."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import pytest
import trio

from engine import tuning
from engine.errors import StoreError
from engine.store import frame
from engine.store.environment import StoreFull
from engine.store.journal import Journal
from tests.store.helpers import run


def value(seq: int, body: bytes = b"") -> bytes:
    return frame.encode(seq, seq, version=1, count=0, previous=0, bodies=[body])


async def fill(journal: Journal, upto: int, body: bytes = b"") -> None:
    for seq in range(journal.last_seq + 1, upto + 1):
        await journal.append(seq, value(seq, body))


def seqs(journal: Journal, after: int = 0) -> list[int]:
    return [one.seq for one in journal.read(after)]


def test_frames_come_back_in_order_after_reopening(tmp_path: Path) -> None:
    async def test() -> bytes:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 300)
            return journal.key

    key = run(test)
    with closing(Journal(tmp_path)) as journal:
        assert journal.key == key
        assert journal.last_seq == 300
        assert seqs(journal) == list(range(1, 301))
        assert seqs(journal, 298) == [299, 300]
        assert seqs(journal, 300) == []


def test_a_new_journal_has_a_key_of_its_own(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "a")) as a, closing(Journal(tmp_path / "b")) as b:
        assert a.key != b.key
        assert len(a.key) == 16
        assert (a.last_seq, a.trimmed, a.first_seq, a.read(0)) == (0, 0, None, [])


def test_reading_goes_by_slices(tmp_path: Path) -> None:
    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 10, b"x" * 1000)
            assert [one.seq for one in journal.read(0, bytes_max=2500)] == [1, 2, 3]
            assert [one.seq for one in journal.read(3, bytes_max=1)] == [4]

    run(test)


@pytest.mark.parametrize("slice_frames", [1, 7, 1000])
def test_trimming_takes_what_is_asked_and_no_more(
    tmp_path: Path, slice_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "JOURNAL_TRIM_FRAMES_MAX", slice_frames)

    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 20)
            assert await journal.trim(14) == 14
            assert await journal.trim(14) == 0
            assert (journal.trimmed, journal.first_seq, journal.last_seq) == (14, 15, 20)
            assert await journal.trim(20) == 6
            await journal.append(21, value(21))

    run(test)
    with closing(Journal(tmp_path)) as journal:
        assert (journal.trimmed, seqs(journal, 20)) == (20, [21])


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 5)

    run(test)
    with lmdb.open(str(tmp_path), lock=False) as env, env.begin(write=True) as transaction:
        transaction.delete((3).to_bytes(8))
    with closing(Journal(tmp_path)) as journal, pytest.raises(StoreError, match="frame 3 is missing"):
        journal.read(0)


def test_a_full_journal_takes_no_more_and_has_room_after_trimming(tmp_path: Path) -> None:
    async def test() -> None:
        with closing(Journal(tmp_path, map_bytes=1 << 20)) as journal:
            for _ in range(5):
                with pytest.raises(StoreFull):
                    await fill(journal, 100_000, Random(1).randbytes(5000))
                last = journal.last_seq
                assert seqs(journal, last - 1) == [last]
                assert await journal.trim(last - 10) > 50
                assert seqs(journal, last - 10) == list(range(last - 9, last + 1))
            live_bytes: Any = journal.statistics()["live_bytes"]
            assert live_bytes < 100_000

    run(test)


def test_a_disk_without_room_is_told_from_a_disk_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        """A transaction whose commit ends in `error`."""

        def __init__(self, transaction: lmdb.Transaction, error: lmdb.Error) -> None:
            self._transaction = transaction
            self._error = error

        def commit(self) -> None:
            self._transaction.abort()
            raise self._error

        def __getattr__(self, name: str) -> object:
            return getattr(self._transaction, name)

    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 1)
            real = journal._env._env

            class Faulty:
                error: lmdb.Error

                def begin(self, **settings: Any) -> Failing:
                    return Failing(real.begin(**settings), self.error)

                def __getattr__(self, name: str) -> object:
                    return getattr(real, name)

            faulty = Faulty()
            monkeypatch.setattr(journal._env, "_env", faulty)
            faulty.error = lmdb.DiskError("No space left on device")
            with pytest.raises(StoreFull):
                await journal.append(2, value(2))
            faulty.error = lmdb.Error("Input/output error")
            with pytest.raises(StoreError, match="Input/output error") as refused:
                await journal.append(2, value(2))
            assert refused.value.code == "commit_failed"
            monkeypatch.undo()
            assert journal.last_seq == 1
            await fill(journal, 2)
            assert seqs(journal) == [1, 2]

    run(test)


def test_writers_take_turns(tmp_path: Path) -> None:
    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 100)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fill, journal, 150)
                nursery.start_soon(journal.trim, 90)
            assert seqs(journal, 90) == list(range(91, 151))

    run(test)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match="Page 0 of the journal"):
        Journal(tmp_path)


TEXT = b"all the same, over and over; " * 2_000


@pytest.mark.parametrize(("body", "share"), [(TEXT, 0.05), (Random(1).randbytes(50_000), 1.0)])
def test_large_frames_are_compressed_where_that_helps(tmp_path: Path, body: bytes, share: float) -> None:
    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 3, body)
            assert journal.appended_bytes == 3 * len(value(1, body))
            assert journal.stored_bytes <= share * journal.appended_bytes

    run(test)
    with closing(Journal(tmp_path)) as journal:
        assert [one.body for one in journal.read(0)] == [body] * 3
        assert [one.seq for one in journal.read(0, bytes_max=len(body) + 1)] == [1], "read by what comes out"


@pytest.mark.parametrize("place", [4, 7, 8, 12, 40, -1])
def test_a_flipped_bit_of_a_compressed_frame_is_found(tmp_path: Path, place: int) -> None:
    async def test() -> None:
        with closing(Journal(tmp_path)) as journal:
            await fill(journal, 1, TEXT)

    run(test)
    with lmdb.open(str(tmp_path), lock=False) as env, env.begin(write=True) as transaction:
        stored = bytearray(transaction.get((1).to_bytes(8)) or b"")
        stored[place] ^= 1
        transaction.put((1).to_bytes(8), bytes(stored))
    with closing(Journal(tmp_path)) as journal, pytest.raises(StoreError, match="frame 1 ") as refused:
        journal.read(0)
    assert refused.value.code == "corrupt"


def test_a_journal_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("engine.store.journal.FORMAT", 1)
        Journal(tmp_path).close()
    with pytest.raises(StoreError, match="has format 1; this release reads format 2") as refused:
        Journal(tmp_path)
    assert refused.value.code == "format"
