"""A checkpoint exists from its last commit on; until then, and whatever happens, the former one is valid."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine import tuning
from engine.errors import StoreError
from engine.kernel import Kernel
from engine.model import Batch
from engine.store.checkpoint import Checkpoints, Link, Pace
from engine.store.checkpointer import Checkpointer
from engine.store.environment import StoreFull
from engine.store.journal import Journal
from engine.wire import decode_lines
from tests.store.fake_kernel import FakeKernel, as_kernel
from tests.store.helpers import events, run, until

KEY = bytes(range(16))


def advance(kernel: FakeKernel, count: int = 8, contacts: int = 40) -> None:
    first = len(kernel.seen)
    kernel.apply(
        Batch(kernel.seq + 1, 1_000 + kernel.seq, events(count, first=first, contacts=contacts).inputs)
    )


@contextmanager
def opened(path: Path, map_bytes: int = 1 << 24) -> Iterator[Checkpoints]:
    with closing(Checkpoints(path, map_bytes=map_bytes)) as checkpoints:
        yield checkpoints


def restored(path: Path) -> FakeKernel:
    kernel = FakeKernel()
    with opened(path) as checkpoints:
        kernel.restore(checkpoints.parts())
    return kernel


def chain_of(checkpoints: Checkpoints) -> tuple[Link, ...]:
    """Return the bases and deltas that the manifest names, oldest first."""
    assert checkpoints.manifest is not None
    return checkpoints.manifest.chain


def parts_of(checkpoints: Checkpoints) -> int:
    """Return the number of parts in the store, named by the manifest or not."""
    return checkpoints._env.read(lambda transaction: transaction.stat()["entries"]) - 1


def test_a_base_and_its_deltas_are_restored(tmp_path: Path) -> None:
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path) as checkpoints:
            for full in (True, False, False, True, False):
                advance(kernel)
                await checkpoints.write(as_kernel(kernel), key=KEY, full=full)
                assert checkpoints.seq == kernel.seq
            assert [link.full for link in chain_of(checkpoints)] == [True, False]
            assert parts_of(checkpoints) == sum(link.pieces for link in chain_of(checkpoints))

    run(test)
    assert restored(tmp_path).digest() == kernel.digest()


def test_batches_applied_meanwhile_are_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_GROUP_BYTES", 1)
    kernel = FakeKernel()

    async def work(until: trio.CancelScope) -> None:
        with until:
            while True:
                advance(kernel)
                await trio.lowlevel.checkpoint()

    async def test() -> bytes:
        with opened(tmp_path) as checkpoints:
            advance(kernel)
            before = kernel.digest()
            async with trio.open_nursery() as nursery:
                until = trio.CancelScope()
                nursery.start_soon(work, until)
                await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
                until.cancel()
            assert kernel.seq > checkpoints.seq + 1
            return before

    before = run(test)
    assert restored(tmp_path).digest() == before


@pytest.mark.parametrize("call", range(6))
def test_after_one_that_was_cancelled_at_any_moment_nothing_is_missing(
    tmp_path: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the kernel had given all parts, and only the manifest was not written."""
    kernel = Kernel()

    def meet(contacts: str) -> None:
        lines = b"".join(b'{"type":"track","userId":"%c","event":"e"}\n' % ord(name) for name in contacts)
        kernel.apply(Batch(kernel.seq + 1, 1_000, decode_lines(lines).inputs))

    async def test() -> None:
        with opened(tmp_path) as checkpoints:
            meet("abc")
            await checkpoints.write(kernel, key=KEY, full=True)
            meet("cd")
            write, aside, left = checkpoints._env.write, checkpoints._env.aside, call

            def counted(do: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
                async def one(*args: Any, **options: Any) -> Any:
                    nonlocal left
                    if left == 0:
                        scope.cancel()
                        await trio.lowlevel.checkpoint()
                    left -= 1
                    return await do(*args, **options)

                return one

            with trio.CancelScope() as scope:
                monkeypatch.setattr(checkpoints._env, "write", counted(write))
                monkeypatch.setattr(checkpoints._env, "aside", counted(aside))
                await checkpoints.write(kernel, key=KEY, full=False)
            monkeypatch.undo()
            meet("ef")
            await checkpoints.write(kernel, key=KEY, full=False)

    run(test)
    with opened(tmp_path) as checkpoints:
        restored = Kernel()
        restored.restore(checkpoints.parts())
    assert restored.digest() == kernel.digest()


@pytest.mark.parametrize("parts_written", [0, 1, 3])
@pytest.mark.parametrize("full", [True, False])
def test_a_crash_in_the_middle_leaves_the_former_one(
    tmp_path: Path, parts_written: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_GROUP_BYTES", 1)
    monkeypatch.setattr(tuning, "CHECKPOINT_PIECE_BYTES", 64)
    monkeypatch.setattr(tuning, "CHECKPOINT_GATHERED_BYTES", 1)
    kernel = FakeKernel()

    async def test() -> bytes:
        with opened(tmp_path) as checkpoints:
            advance(kernel)
            await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
            former = kernel.digest()
            advance(kernel, 40)
            with trio.CancelScope() as crash:
                snapshot = kernel.snapshot(full=full)
                taken = iter(range(parts_written))

                def part(records_max: int) -> bytes | None:
                    if next(taken, None) is None:
                        crash.cancel()
                    return type(snapshot).part(snapshot, records_max)

                monkeypatch.setattr(snapshot, "part", part)
                monkeypatch.setattr(kernel, "snapshot", lambda full: snapshot)
                await checkpoints.write(as_kernel(kernel), key=KEY, full=full)
            assert crash.cancelled_caught
            return former

    former = run(test)
    assert restored(tmp_path).digest() == former

    async def sweep() -> None:
        with opened(tmp_path) as checkpoints:
            assert (await checkpoints.sweep() > 0) == (parts_written > 0)
            assert parts_of(checkpoints) == chain_of(checkpoints)[0].pieces

    run(sweep)
    assert restored(tmp_path).digest() == former


def test_a_full_store_keeps_the_former_one_and_makes_another_when_there_is_room(tmp_path: Path) -> None:
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path, 1 << 15) as checkpoints:
            advance(kernel)
            await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
            former = kernel.digest()
            advance(kernel, 20_000)
            with pytest.raises(StoreFull):
                await checkpoints.write(as_kernel(kernel), key=KEY, full=False)
        assert restored(tmp_path).digest() == former
        with opened(tmp_path) as checkpoints:
            await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
            assert parts_of(checkpoints) == chain_of(checkpoints)[0].pieces

    run(test)
    assert restored(tmp_path).digest() == kernel.digest()


def test_parts_shrink_when_they_take_long_and_grow_again() -> None:
    pace = Pace()
    most = pace.records
    for _ in range(3):
        pace.took(tuning.CHECKPOINT_PART_S * 2)
    assert pace.records == most // 8
    pace.took(tuning.CHECKPOINT_PART_S / 2)
    assert pace.records == most // 8
    for _ in range(10):
        pace.took(0.0)
    assert pace.records == most
    for _ in range(20):
        pace.took(1.0)
    assert pace.records == 1


@pytest.mark.parametrize(
    ("changes", "full"),
    [
        ([400, 1, 1, 1, 1, 1, 1], [True, False, False, False, True, False, False]),
        ([100, 400, 1, 1, 400, 1, 1], [True, False, True, False, False, True, False]),
    ],
    ids=["many", "large"],
)
def test_a_base_comes_first_and_after_many_or_large_deltas_also_over_restarts(
    tmp_path: Path, changes: list[int], full: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_DELTAS_MAX", 3)
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            for count in changes:
                kernel.seen.clear()
                advance(kernel, count, contacts=400)
                checkpointer = Checkpointer(as_kernel(kernel), journal, checkpoints)
                assert await checkpointer.make()
                assert await checkpointer.make(), "there is nothing new to write"

    (tmp_path / "c").mkdir()
    run(test)
    assert kernel.snapshots == full


def test_a_large_part_is_kept_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_PIECE_BYTES", 10)
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path) as checkpoints:
            advance(kernel)
            await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
            assert chain_of(checkpoints)[0].pieces > 10

    run(test)
    assert restored(tmp_path).digest() == kernel.digest()


def test_after_one_that_found_no_room_comes_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            checkpointer = Checkpointer(as_kernel(kernel), journal, checkpoints)
            advance(kernel)
            assert await checkpointer.make()
            advance(kernel)

            async def full(*_: object, **__: object) -> None:
                raise StoreFull("checkpoint store")

            with monkeypatch.context() as patch:
                patch.setattr(checkpoints._env, "write", full)
                assert not await checkpointer.make()
            advance(kernel)
            assert await checkpointer.make()
            assert checkpointer.statistics()["made"] == 2
            assert checkpointer.statistics()["failed"] == 1

    run(test)
    assert kernel.snapshots[0] is kernel.snapshots[-1] is True


def test_the_journal_is_trimmed_up_to_the_checkpoint_and_no_further(tmp_path: Path) -> None:
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            room: list[bool] = []
            checkpointer = Checkpointer(
                as_kernel(kernel), journal, checkpoints, trimmed=lambda: room.append(True)
            )
            for _ in range(5):
                advance(kernel)
                await journal.append(kernel.seq, b"x")
            await journal.append(kernel.seq + 1, b"x")
            await checkpointer.make()
            assert (journal.first_seq, journal.trimmed) == (6, 5)
            assert room == [True]
            await checkpointer.make()
            assert room == [True], "nothing to trim, no more room"

    run(test)


def test_nothing_is_trimmed_after_a_start_while_a_backup_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel()
    (tmp_path / "copy").mkdir()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            advance(kernel)
            await journal.append(kernel.seq, b"x")
            await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
            checkpointer = Checkpointer(as_kernel(kernel), journal, checkpoints)
            async with trio.open_nursery() as nursery:

                async def started_meanwhile(_: Path) -> None:
                    nursery.start_soon(checkpointer.run)
                    await trio.sleep(0.1)
                    assert journal.first_seq == 1

                monkeypatch.setattr(checkpoints, "copy", started_meanwhile)
                await checkpointer.back_up(tmp_path / "copy")
                await until(lambda: journal.trimmed == 1)
                nursery.cancel_scope.cancel()

    run(test)


@pytest.mark.parametrize("setting", [{"every_bytes": 1_000}, {"every_s": 0.1}])
def test_checkpoints_fall_due_by_bytes_and_by_time(tmp_path: Path, setting: dict[str, Any]) -> None:
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            checkpointer = Checkpointer(as_kernel(kernel), journal, checkpoints, **setting)
            advance(kernel)
            await journal.append(kernel.seq, b"x" * 1_000)
            with trio.move_on_after(1.3):
                await checkpointer.run()
            assert checkpoints.seq == 1
            assert kernel.snapshots == [True]

    run(test)


@pytest.mark.parametrize(
    ("appended", "stored", "delta_bytes", "due"),
    [
        (999, 999, 0, False),
        (1_000, 1, 0, True),
        (1_000, 1_000, 750, True),
        (1_000, 1_000, 751, False),
        (1_000, 300, 250, False),
        (1_000 * tuning.CHECKPOINT_STRETCH_MAX - 1, 1_000, 1_000_000, False),
        (1_000 * tuning.CHECKPOINT_STRETCH_MAX, 1_000, 1_000_000, True),
    ],
)
def test_one_that_is_large_beside_the_journal_is_put_off_but_not_for_ever(
    tmp_path: Path, appended: int, stored: int, delta_bytes: int, due: bool
) -> None:
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            checkpointer = Checkpointer(as_kernel(kernel), journal, checkpoints, every_bytes=1_000)
            advance(kernel)
            assert await checkpointer.make()
            advance(kernel)
            journal.appended_bytes, journal.stored_bytes = appended, stored
            checkpointer._delta_bytes = delta_bytes
            assert checkpointer._is_due() == due

    run(test)


def test_so_is_a_base_that_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_DELTAS_MAX", 0)
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            checkpointer = Checkpointer(as_kernel(kernel), journal, checkpoints, every_bytes=1)
            advance(kernel)
            assert await checkpointer.make()
            advance(kernel)
            size = chain_of(checkpoints)[0].bytes
            journal.appended_bytes, journal.stored_bytes = 1, size
            assert not checkpointer._is_due()
            journal.stored_bytes = 2 * size
            assert checkpointer._is_due()

    run(test)


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with opened(tmp_path) as checkpoints:
            await checkpoints.write(as_kernel(FakeKernel()), key=KEY, full=True)

    with monkeypatch.context() as patch:
        patch.setattr("engine.store.checkpoint.FORMAT", 1)
        run(test)
    with pytest.raises(StoreError, match="has format 1; this release reads format 2") as refused:
        Checkpoints(tmp_path)
    assert refused.value.code == "format"


def test_a_row_of_parts_that_ends_too_early_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_PIECE_BYTES", 10)
    kernel = FakeKernel()

    async def test() -> None:
        with opened(tmp_path) as checkpoints:
            advance(kernel)
            manifest = await checkpoints.write(as_kernel(kernel), key=KEY, full=True)
            (link,) = manifest.chain
            short = msgspec.structs.replace(link, pieces=link.pieces - 1)
            checkpoints.manifest = msgspec.structs.replace(manifest, chain=(short,))
            with pytest.raises(StoreError, match="ends in the middle of a part"):
                list(checkpoints.parts())

    run(test)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_after_one_that_was_cancelled_comes_a_base(
    tmp_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever of its commits: the kernel has given all it had, and none of it was kept."""
    kernel = Kernel()

    async def test() -> None:
        with opened(tmp_path / "c") as checkpoints, closing(Journal(tmp_path / "j")) as journal:
            checkpointer = Checkpointer(kernel, journal, checkpoints)
            for n in range(3):
                kernel.apply(Batch(kernel.seq + 1, 1_000, events(5, first=5 * n, contacts=5).inputs))
                write, commits = checkpoints._env.write, iter(range(10))
                with trio.CancelScope() as scope, monkeypatch.context() as patch:

                    async def cancelled(
                        fill: Any,
                        *,
                        aside: bool = False,
                        write: Any = write,
                        commits: Any = commits,
                        n: int = n,
                    ) -> Any:
                        if n == 1 and next(commits) == place:
                            scope.cancel()
                            await trio.lowlevel.checkpoint()
                        return await write(fill, aside=aside)

                    patch.setattr(checkpoints._env, "write", cancelled)
                    await checkpointer.make()
            assert checkpoints.seq == kernel.seq
            restored = Kernel()
            restored.restore(checkpoints.parts())
            assert restored.digest() == kernel.digest()

    (tmp_path / "c").mkdir()
    run(test)
