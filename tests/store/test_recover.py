"""Recovery gives the state after the last durable batch, or says what is wrong and refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lmdb
import pytest

from engine.errors import StoreError
from engine.model import KERNEL_VERSION, Batch
from engine.store import frame
from engine.store.checkpoint import Checkpoints
from engine.store.journal import Journal
from engine.store.recover import Progress, Recovered, recover
from engine.wire import decode_lines
from tests.store.fake_kernel import FakeKernel, as_kernel
from tests.store.helpers import events, line, run

MAP = 1 << 24


def made(data: Path, *, batches: int, checkpoint_at: tuple[int, ...] = ()) -> FakeKernel:
    """A data directory of so many batches, and the kernel that made it."""

    async def make() -> FakeKernel:
        with (
            closing(Journal(data / "journal", map_bytes=MAP)) as journal,
            closing(Checkpoints(data / "checkpoints", map_bytes=MAP)) as checkpoints,
        ):
            kernel = FakeKernel(journal.key)
            for n in range(batches):
                decoded = events(5, first=5 * n)
                if n % 3 == 1:
                    decoded = decode_lines(decoded.body + line("w", "wait", ms=5) + CONTROL, control=True)
                previous = kernel.outcome_digest
                batch = Batch(n + 1, 1_000 + 10 * n, decoded.inputs)
                kernel.apply(batch)
                value = frame.encode(
                    batch.seq,
                    batch.now_ms,
                    version=KERNEL_VERSION,
                    count=len(decoded.inputs),
                    previous=previous,
                    bodies=[decoded.body],
                )
                await journal.append(batch.seq, value)
                if batch.seq in checkpoint_at:
                    await checkpoints.write(
                        as_kernel(kernel), key=journal.key, full=batch.seq == checkpoint_at[0]
                    )
            return kernel

    data.mkdir(exist_ok=True)
    return run(make)


CONTROL = b'{"type":"control","op":"echo","n":1}\n'


def recovered(data: Path, told: Callable[[Progress], None] = lambda _: None) -> tuple[FakeKernel, Recovered]:
    with (
        closing(Journal(data / "journal", map_bytes=MAP)) as journal,
        closing(Checkpoints(data / "checkpoints", map_bytes=MAP)) as checkpoints,
    ):
        kernel = FakeKernel(journal.key)
        return kernel, recover(kernel, journal, checkpoints, told)  # type: ignore[arg-type]


@pytest.mark.parametrize("checkpoint_at", [(), (4,), (4, 6), (10,), (1, 2, 3)])
def test_the_state_is_that_after_the_last_batch(tmp_path: Path, checkpoint_at: tuple[int, ...]) -> None:
    kernel = made(tmp_path, batches=10, checkpoint_at=checkpoint_at)
    again, what = recovered(tmp_path)
    assert again.digest() == kernel.digest()
    base = checkpoint_at[-1] if checkpoint_at else 0
    assert (what.checkpoint_seq, what.batches) == (base, 10 - base)


def test_an_empty_directory_gives_an_empty_kernel(tmp_path: Path) -> None:
    kernel, what = recovered(tmp_path)
    assert (kernel.seq, what.batches, what.inputs) == (0, 0, 0)


def test_reading_in_slices_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = made(tmp_path, batches=10)
    monkeypatch.setattr(Journal.read, "__kwdefaults__", {"bytes_max": 1})
    assert recovered(tmp_path)[0].digest() == kernel.digest()


def test_progress_is_told_for_both_phases(tmp_path: Path) -> None:
    made(tmp_path, batches=10, checkpoint_at=(4,))
    told: list[Progress] = []
    recovered(tmp_path, told.append)
    restore = [one for one in told if one.phase == "restore"]
    replay = [one for one in told if one.phase == "replay"]
    assert told == restore + replay
    assert restore[-1].done == restore[-1].total
    assert [(one.done, one.total) for one in replay] == [(n, 6) for n in range(1, 7)]


def change(data: Path, store: str, key: bytes, changed: Callable[[bytes], bytes | None]) -> None:
    """Overwrite, or with None delete, one value of a store behind its back."""
    with lmdb.open(str(data / store), lock=False, map_size=MAP) as env, env.begin(write=True) as transaction:
        old = transaction.get(key)
        assert old is not None
        value = changed(old)
        if value is None:
            assert transaction.delete(key)
        else:
            transaction.put(key, value)


def seq(number: int) -> bytes:
    return number.to_bytes(8)


def flip(value: bytes) -> bytes:
    return value[:-3] + bytes([value[-3] ^ 16]) + value[-2:]


def gone(_: bytes) -> None:
    return None


def reframed(**fields: int) -> Callable[[bytes], bytes]:
    """Return a frame with other fields and a correct checksum."""

    def change(value: bytes) -> bytes:
        was = frame.decode(value, int.from_bytes(value[8:16]))
        kept = {"version": was.version, "count": was.count, "previous": was.previous, **fields}
        return frame.encode(was.seq, was.now_ms, bodies=[was.body], **kept)

    return change


PART = seq(1) + (0).to_bytes(4)
DAMAGE = {
    "a bit of a frame": ("journal", seq(7), flip, "corrupt", "frame 7 does not match its checksum"),
    "a frame cut short": ("journal", seq(7), lambda v: v[:20], "corrupt", "frame 7 is not a frame"),
    "a frame missing": ("journal", seq(7), gone, "corrupt", "frame 7 is missing"),
    "the first of the tail missing": ("journal", seq(5), gone, "corrupt", "frame 5 is missing"),
    "an input missing": ("journal", seq(7), reframed(count=6), "corrupt", "has 6 inputs"),
    "another digest": ("journal", seq(7), reframed(previous=1), "digest", "before batch 7 is not"),
    "another kernel": (
        "journal",
        seq(7),
        reframed(version=KERNEL_VERSION - 1),
        "kernel_version",
        f"frame 7 is of kernel version {KERNEL_VERSION - 1}; this one is {KERNEL_VERSION}",
    ),
    "the journal's record": ("journal", b"\0", lambda _: b"?", "corrupt", "own record"),
    "a bit of the journal's record": ("journal", b"\0", flip, "corrupt", "own record does not match"),
    "the journal's record missing": ("journal", b"\0", gone, "corrupt", "no record of its own"),
    "a bit of a part": ("checkpoints", PART, flip, "corrupt", "piece 1 of 1 of the checkpoint at batch 4"),
    "a part missing": (
        "checkpoints",
        PART,
        gone,
        "corrupt",
        "piece 1 of 1 of the checkpoint at batch 4 is missing",
    ),
    "a bit of the manifest": ("checkpoints", b"\0", flip, "corrupt", "manifest does not match"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named_and_refused_with_a_remedy(tmp_path: Path, what: str) -> None:
    store, key, changed, code, words = DAMAGE[what]
    made(tmp_path, batches=10, checkpoint_at=(4,))
    change(tmp_path, store, key, changed)
    with pytest.raises(StoreError, match=words) as refused:
        recovered(tmp_path)
    assert refused.value.code == code
    assert refused.value.remedy


def test_frames_the_checkpoint_covers_are_not_needed(tmp_path: Path) -> None:
    kernel = made(tmp_path, batches=10, checkpoint_at=(4,))
    for number in (1, 2, 3, 4):
        change(tmp_path, "journal", seq(number), gone if number % 2 else flip)
    assert recovered(tmp_path)[0].digest() == kernel.digest()


def test_a_checkpoint_ahead_of_the_journal_is_enough(tmp_path: Path) -> None:
    kernel = made(tmp_path, batches=10, checkpoint_at=(10,))
    change(tmp_path, "journal", seq(10), gone)
    assert recovered(tmp_path)[0].digest() == kernel.digest()


def test_a_checkpoint_that_is_gone_is_missed(tmp_path: Path) -> None:
    made(tmp_path, batches=10, checkpoint_at=(10,))

    async def trim() -> None:
        with closing(Journal(tmp_path / "journal", map_bytes=MAP)) as journal:
            await journal.trim(10)

    run(trim)
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(StoreError, match="begins after batch 10, but the checkpoint ends at batch 0"):
        recovered(tmp_path)


def test_stores_of_two_directories_are_not_mixed(tmp_path: Path) -> None:
    made(tmp_path / "a", batches=3, checkpoint_at=(3,))
    made(tmp_path / "b", batches=3, checkpoint_at=(3,))
    shutil.rmtree(tmp_path / "a" / "journal")
    shutil.copytree(tmp_path / "b" / "journal", tmp_path / "a" / "journal")
    with pytest.raises(StoreError, match="two different data directories") as refused:
        recovered(tmp_path / "a")
    assert refused.value.code == "foreign"


def test_a_checkpoint_of_a_later_kernel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("engine.store.checkpoint.KERNEL_VERSION", KERNEL_VERSION + 1)
        made(tmp_path, batches=3, checkpoint_at=(3,))
    with pytest.raises(StoreError, match="Start the newer release"):
        recovered(tmp_path)
