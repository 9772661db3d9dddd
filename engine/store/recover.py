"""Recovery: the kernel as it was after the last durable batch.

The checkpoint is restored, then the journal's tail is applied by the same kernel that made it. Before each
batch the kernel's running digest must be the one its frame recorded; whatever does not fit stops the start
with a StoreError that says what, where and what to do. Nothing is skipped, nothing guessed: an engine that
starts has every batch that was ever acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from engine import gc_tuning
from engine.errors import StoreError
from engine.kernel import Kernel
from engine.model import KERNEL_VERSION, Batch
from engine.store.checkpoint import Checkpoints, Manifest
from engine.store.frame import RESTORE, Frame, corrupt
from engine.store.journal import Journal
from engine.wire import decode_lines
from ext.structures.memory import give_back


class Progress(msgspec.Struct, frozen=True):
    """Progress of a recovery: bytes of `total` in phase `restore`, batches of `total` in phase `replay`."""

    phase: Literal["restore", "replay"]
    done: int
    total: int


class Recovered(msgspec.Struct, frozen=True):
    """Result of a recovery: restored up to `checkpoint_seq`, then replayed so many batches and inputs."""

    checkpoint_seq: int
    batches: int
    inputs: int
    seconds: float


def recover(
    kernel: Kernel,
    journal: Journal,
    checkpoints: Checkpoints,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Recovered:
    """Bring a fresh `kernel` to the last durable batch. Raises StoreError and leaves the store as it is."""
    started = time.perf_counter()
    if checkpoints.manifest is not None:
        _restore(kernel, journal, checkpoints, checkpoints.manifest, progress)
    base = checkpoints.seq
    if journal.trimmed > base:
        raise StoreError(
            "checkpoint_missing",
            f"The journal begins after batch {journal.trimmed}, but the checkpoint ends at batch {base}.",
            remedy=RESTORE,
        )
    batches = inputs = 0
    total = max(0, journal.last_seq - base)
    while frames := journal.read(kernel.seq):
        for frame in frames:
            inputs += replay(kernel, frame)
            batches += 1
            progress(Progress("replay", batches, total))
    give_back()
    return Recovered(base, batches, inputs, time.perf_counter() - started)


def replay(kernel: Kernel, frame: Frame) -> int:
    """Apply one frame as it was applied before. Returns its number of inputs. Raises StoreError."""
    if frame.version != KERNEL_VERSION:
        raise StoreError(
            "kernel_version",
            f"Journal frame {frame.seq} is of kernel version {frame.version}; this one is {KERNEL_VERSION}.",
            remedy=f"Start a release with kernel version {frame.version}, stop it cleanly, then upgrade.",
        )
    if frame.previous != kernel.outcome_digest:
        raise StoreError(
            "digest",
            f"The state before batch {frame.seq} is not what it was when the batch was first applied.",
            remedy="Keep the data directory and report this; restore a backup to go on.",
        )
    decoded = decode_lines(frame.body, control=True)
    if decoded.rejected or len(decoded.inputs) != frame.count:
        raise corrupt(
            f"Journal frame {frame.seq} has {frame.count} inputs, of which {len(decoded.inputs)} can be read."
        )
    kernel.apply(Batch(frame.seq, frame.now_ms, decoded.inputs))
    return frame.count


def _restore(
    kernel: Kernel,
    journal: Journal,
    checkpoints: Checkpoints,
    manifest: Manifest,
    progress: Callable[[Progress], None],
) -> None:
    if manifest.key != journal.key:
        raise StoreError(
            "foreign",
            "The journal and the checkpoint belong to two different data directories.",
            remedy="Put both back from one backup.",
        )
    if manifest.version > KERNEL_VERSION:
        raise StoreError(
            "kernel_version",
            f"The checkpoint was written by kernel version {manifest.version}; this one is {KERNEL_VERSION}.",
            remedy="Start the newer release.",
        )
    with gc_tuning.off():
        kernel.restore(checkpoints.parts(lambda done, total: progress(Progress("restore", done, total))))
    if (kernel.seq, kernel.now_ms, kernel.outcome_digest) != (manifest.seq, manifest.now_ms, manifest.digest):
        raise corrupt(f"The state restored is not the one that was kept at batch {manifest.seq}.")
