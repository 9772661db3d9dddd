"""What the journal and the checkpoints share: an LMDB environment written by one task at a time.

A transaction is begun and filled on the loop's thread and committed in a worker thread. py-lmdb drops and
takes the GIL at every put; in a worker beside a busy loop each of them would wait up to a switch interval
(5 ms). The commit is one call, nearly all of it `fsync`. Without LMDB's lock file nothing else keeps two
write transactions apart, nor a reader from pages being reused or a root being replaced: hence the trio lock
around each write, reads only in short transactions that end before the next await, and while there are
writers only inside their transactions.

Rejected: `sync=False` and `writemap` (a crash of the machine may leave a torn database), a writer thread of
our own (cancellation and errors would have to be carried by hand).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import trio

from engine import limits
from engine.directory import sync_names
from engine.errors import StoreError, Unavailable

T = TypeVar("T")
_TOUCHED = b"\0\0"


class StoreFull(Unavailable):
    """The map or the disk is full: no new input for now, nothing that was taken is lost."""

    def __init__(self, name: str) -> None:
        super().__init__("store_full", f"The {name} is full: free some disk space.", retry_after_s=5)


class CommitTimes:
    """How long commits took: a histogram in seconds, cumulative as Prometheus wants it."""

    BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = 0.0
        self.max_s = 0.0
        self._within = [0] * len(self.BOUNDS_S)

    def add(self, seconds: float) -> None:
        self.count += 1
        self.sum_s += seconds
        self.max_s = max(self.max_s, seconds)
        for place, bound in enumerate(self.BOUNDS_S):
            if seconds <= bound:
                self._within[place] += 1

    def statistics(self) -> dict[str, object]:
        """`{"count", "sum_s", "max_s", "buckets": {bound in s: commits within it}}`."""
        buckets = {str(bound): n for bound, n in zip(self.BOUNDS_S, self._within, strict=True)}
        return {"count": self.count, "sum_s": self.sum_s, "max_s": self.max_s, "buckets": buckets}


def live_bytes(stat: Mapping[str, Any]) -> int:
    """Bytes of the pages in use, from LMDB's statistics of a database."""
    pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
    return int(stat["psize"] * pages)


def _touch(transaction: lmdb.Transaction) -> None:
    transaction.put(_TOUCHED, b"")
    transaction.delete(_TOUCHED)


class Environment:
    """One LMDB environment in a directory of its own. `name` is what errors call it."""

    def __init__(self, path: Path, *, name: str, map_bytes: int) -> None:
        self.name = name
        self.commits = CommitTimes()
        self._path = path
        self._map_bytes = map_bytes
        self._writing = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        path.mkdir(mode=0o700, exist_ok=True)
        self._env = self._open()
        sync_names(path)
        sync_names(path.parent)

    def _open(self) -> lmdb.Environment:
        try:
            env = lmdb.open(str(self._path), map_size=self._map_bytes, lock=False, meminit=False, mode=0o600)
            env.sync(True)  # a new file is durable before anything is acknowledged that relies on it
            return env
        except lmdb.Error as error:
            raise StoreError(
                "unusable",
                f"The {self.name} at {self._path} cannot be opened: {error}.",
                remedy="Restore the data directory from a backup.",
            ) from error

    def unmap(self) -> None:
        """Open it anew: what was read of the map counts as memory of the process until then. For opening a store."""
        assert not self._writing.locked(), "a write is under way"
        self._env.close()
        self._env = self._open()

    def read(self, fill: Callable[[lmdb.Transaction], T]) -> T:
        """Run `fill` in a read transaction that ends before this returns."""
        with self._env.begin() as transaction:
            return fill(transaction)

    def write_now(self, fill: Callable[[lmdb.Transaction], T]) -> T:
        """Write and commit on this thread: for opening a store, before any task writes."""
        assert not self._writing.locked(), "a write is under way"
        try:
            with self._env.begin(write=True) as transaction:
                return fill(transaction)
        except (lmdb.MapFullError, lmdb.DiskError) as error:
            raise StoreFull(self.name) from error

    async def write(self, fill: Callable[[lmdb.Transaction], T], *, aside: bool = False) -> T:
        """Fill a transaction on this thread, or `aside` in a worker, and commit it in the worker; durable when this
        returns. Filling aside waits for the interpreter's lock at every call into LMDB; but where LMDB looks long for
        pages that lie together, the loop does not wait for it.

        Raises StoreFull (nothing was written, it may be tried again) or StoreError `commit_failed`, after
        which the process must stop.
        """
        async with self._writing:
            started = time.perf_counter()
            try:
                if aside:
                    work = partial(self._filled_and_committed, fill)
                    result = await trio.to_thread.run_sync(work, limiter=self._limiter)
                else:
                    transaction = self._env.begin(write=True)
                    try:
                        result = fill(transaction)
                        await trio.to_thread.run_sync(transaction.commit, limiter=self._limiter)
                    finally:
                        transaction.abort()
            except (lmdb.MapFullError, lmdb.DiskError) as error:
                raise StoreFull(self.name) from error
            except lmdb.Error as error:
                raise StoreError(
                    "commit_failed",
                    f"Writing the {self.name} failed: {error}.",
                    remedy="Look at the disk and the system's log, then start again: nothing is lost.",
                ) from error
            self.commits.add(time.perf_counter() - started)
            return result

    def _filled_and_committed(self, fill: Callable[[lmdb.Transaction], T]) -> T:
        with self._env.begin(write=True) as transaction:
            return fill(transaction)

    async def aside(self, work: Callable[[], T], size: int) -> T:
        """Prepare `size` bytes to be written: on this thread if that is quick, else in the worker."""
        if size < limits.STORE_ASIDE_FROM_BYTES:
            return work()
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    async def free_pages(self) -> None:
        """Let the next write use the pages that the last one freed.

        LMDB gives pages freed by one transaction to the next but one (a crash must find the former state whole),
        and a write that finds the map full is rolled back and so never becomes the next: without a commit in
        between, an emptied map would stay full for ever.
        """
        await self.write(_touch)

    def live_bytes(self) -> int:
        """Bytes of the map holding data just now (free pages not counted)."""
        return live_bytes(self._env.stat())

    @property
    def map_bytes(self) -> int:
        return self._map_bytes

    def close(self) -> None:
        self._env.close()
