"""The schedule of checkpoints, and the trimming of the journal after each.

By bytes journaled, by time, when the journal is full, and at a clean stop. Where the disk would write about as many
bytes for checkpoints as for the journal, as with a million contacts of whom nearly all have changed after some
hundred megabytes of events, one is put off until the journal has taken more; not for ever, for a start after a
crash has to replay the journal. The first of all is a base, as is one after CHECKPOINT_DELTAS_MAX deltas, when the
deltas outgrow their base, and when the former attempt found no room (what its delta held is then in no other).

After a contact was deleted the store owes an erasure, which `compact` settles: a new base, which does not know the
contact, then both environments are written anew without anything that neither the base nor the journal after it
needs. The manifest says that it is owed until all of that is on the disk, and the journal's line that asked for the
deletion says so before there is a manifest; so a crash in between is made up for, and nothing is forgotten. It is done
some time after the deletion, for it writes the whole state, at once when somebody asks, and after a start that finds
it owed.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import trio

from engine import limits, tuning
from engine.kernel import Kernel
from engine.store import directory
from engine.store.checkpoint import Checkpoints
from engine.store.environment import StoreFull
from engine.store.journal import Journal

log = logging.getLogger("tidemill.checkpoint")


class Checkpointer:
    """Makes checkpoints of `kernel`. `trimmed` is called when there may be room in the journal again."""

    def __init__(
        self,
        kernel: Kernel,
        journal: Journal,
        checkpoints: Checkpoints,
        *,
        every_bytes: int = tuning.CHECKPOINT_EVERY_BYTES,
        every_s: float = tuning.CHECKPOINT_EVERY_S,
        erase_s: float = limits.ERASURE_S,
        trimmed: Callable[[], None] = lambda: None,
    ) -> None:
        self._kernel = kernel
        self._journal = journal
        self._checkpoints = checkpoints
        self._every_bytes = every_bytes
        self._every_s = every_s
        self._erase_s = erase_s
        self._seq_at_start = kernel.seq
        self._trimmed = trimmed
        self._making = trio.Lock()
        self._wanted = trio.Event()
        self._needs_base = checkpoints.manifest is None
        self._bytes_then = self._stored_then = 0
        self._delta_bytes = 0
        self._last_s = time.monotonic()
        self._not_before_s = 0.0
        self._made = self._failed = 0
        self._took_s = 0.0
        self._erasures_in_base = 0 if checkpoints.manifest is None or not checkpoints.manifest.owed else -1
        self._erasures_done = self._erasures_in_base
        self._erase_at_s = time.monotonic() if self.owes_erasure else math.inf
        self._compacted = 0

    async def run(self) -> None:
        """Make checkpoints as they fall due, until cancelled. Raises StoreError when writing one fails."""
        async with self._making:
            await self._trim()
        while True:
            with trio.move_on_after(1):
                await self._wanted.wait()
            if self._wanted.is_set() or self._is_due():
                self._wanted = trio.Event()
                await self.make()
            if self.owes_erasure:
                self._erase_at_s = min(self._erase_at_s, time.monotonic() + self._erase_s)
                if time.monotonic() >= self._erase_at_s:
                    await self.compact()

    @property
    def owes_erasure(self) -> bool:
        """Whether the files may hold something of a contact that was deleted."""
        return self._kernel.erasures > self._erasures_done

    def request(self) -> None:
        """Make one as soon as may be: the journal is full."""
        if time.monotonic() >= self._not_before_s:
            self._wanted.set()

    async def make(self) -> bool:
        """Make one now, of the batches applied so far, and trim. Whether there was room for it."""
        async with self._making:
            if self._kernel.seq > self._checkpoints.seq and not await self._write():
                return False
            await self._trim()
            return True

    async def compact(self) -> bool:
        """Leave nothing in the files of contacts that were deleted before. Whether there was room for it."""
        async with self._making:
            self._erase_at_s = time.monotonic() + tuning.CHECKPOINT_RETRY_S
            if self._kernel.erasures > self._erasures_in_base or self._checkpoints.manifest is None:
                self._needs_base = True
                if not await self._write():
                    return False
            await self._trim()
            if not await self._compacted_files():
                return False
            self._erasures_done, self._erase_at_s = self._erasures_in_base, math.inf
            self._compacted += 1
            log.info("Compacted: of contacts deleted before nothing is left in the files.")
            return True

    async def back_up(self, folder: Path) -> int:
        """Copy the newest checkpoint and the journal into `folder`, which is there: the state after one batch, whose
        seq it gives. Raises Unavailable or StoreError."""
        async with self._making:
            await self._checkpoints.copy(folder / directory.CHECKPOINTS)
            last = await self._journal.copy(folder / directory.JOURNAL)
            return max(last, self._checkpoints.seq)

    async def _compacted_files(self) -> bool:
        """Write both environments anew. A frame of the base that is still on its way to the journal has to come and
        go first."""
        with trio.move_on_after(tuning.COMPACTION_WAIT_S):
            while not self._base_is_durable():  # noqa: ASYNC110
                await trio.sleep(0.01)
        if not self._base_is_durable():
            return False
        await self._trim()
        try:
            await self._journal.rewrite()
            await self._checkpoints.rewrite()
            await self._checkpoints.settle(owed=self._kernel.erasures > self._erasures_in_base)
        except StoreFull as error:
            log.error("The store could not be compacted: %s", error)
            return False
        return True

    def _base_is_durable(self) -> bool:
        """Whether the journal had every frame up to the base's."""
        manifest = self._checkpoints.manifest
        assert manifest is not None, "there is a base"
        return manifest.chain[0].seq <= max(self._journal.last_seq, self._seq_at_start)

    async def _write(self) -> bool:
        started = time.monotonic()
        erasures = self._kernel.erasures
        bytes_then, stored_then = self._journal.appended_bytes, self._journal.stored_bytes
        full, self._needs_base = self._wants_base(), True  # until it is there: it may be cancelled as well
        try:
            manifest = await self._checkpoints.write(
                self._kernel, key=self._journal.key, full=full, owed=lambda: self.owes_erasure
            )
        except StoreFull as error:
            log.error("No checkpoint could be made: %s", error)
            self._failed += 1
            self._not_before_s = time.monotonic() + tuning.CHECKPOINT_RETRY_S
            return False
        self._needs_base = False
        self._made += 1
        self._last_s = time.monotonic()
        self._took_s = self._last_s - started
        self._bytes_then, self._stored_then = bytes_then, stored_then
        if manifest.chain[-1].full:
            self._erasures_in_base = erasures
        else:
            self._delta_bytes = manifest.chain[-1].bytes
        log.info("Checkpoint at batch %d in %.2f s.", manifest.seq, self._took_s)
        return True

    async def _trim(self) -> None:
        try:
            trimmed = await self._journal.trim(self._checkpoints.seq)
        except StoreFull as error:
            log.error("The journal could not be trimmed: %s", error)
        else:
            # Nothing trimmed, no more room: who waits for it would otherwise try again at once, for ever.
            if trimmed:
                self._trimmed()

    def _is_due(self) -> bool:
        if self._kernel.seq <= self._checkpoints.seq or time.monotonic() < self._not_before_s:
            return False
        return time.monotonic() - self._last_s >= self._every_s or self._is_worth_it()

    def _is_worth_it(self) -> bool:
        """Whether it pays by bytes: the next one is expected to be as large as the last of its kind."""
        since_bytes = self._journal.appended_bytes - self._bytes_then
        if since_bytes < self._every_bytes:
            return False
        manifest = self._checkpoints.manifest
        bytes_next = self._delta_bytes
        if manifest is not None and self._wants_base():
            bytes_next = manifest.chain[0].bytes
        stored_bytes = self._journal.stored_bytes - self._stored_then
        put_off = bytes_next > tuning.CHECKPOINT_SHARE_MAX * stored_bytes
        return not put_off or since_bytes >= tuning.CHECKPOINT_STRETCH_MAX * self._every_bytes

    def _wants_base(self) -> bool:
        manifest = self._checkpoints.manifest
        if manifest is None or self._needs_base:
            return True
        base, *deltas = manifest.chain
        return len(deltas) >= tuning.CHECKPOINT_DELTAS_MAX or sum(one.bytes for one in deltas) > base.bytes

    def statistics(self) -> dict[str, object]:
        """Return the counts `made`, `failed` and `compacted` since the start, and the store's own statistics.

        `took_s` and `age_s` are of the newest checkpoint; `owes_erasure` says whether an erasure is still due.
        """
        return {
            "compacted": self._compacted,
            "owes_erasure": self.owes_erasure,
            "made": self._made,
            "failed": self._failed,
            "took_s": self._took_s,
            "age_s": time.monotonic() - self._last_s,
            **self._checkpoints.statistics(),
        }
