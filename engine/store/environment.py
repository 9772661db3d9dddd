"""An LMDB environment written by one task at a time: the journal and the checkpoints have one each.

A transaction that others wait for, an append to the journal, is begun and filled on the loop's thread and
committed in a worker thread. py-lmdb drops and takes the GIL at every put; in a worker beside a busy loop
each of them would wait up to a switch interval (5 ms). The commit is one call, nearly all of it `fsync`.
Everything else is filled in the worker as well: LMDB may have to read pages from the disk, and the loop must
not wait for that. Without LMDB's lock file nothing else keeps two write transactions apart, nor a reader from
pages being reused or a root being replaced: hence the trio lock around each write, reads only in short
transactions that end before the next await, and while there are writers only inside their transactions.

Rejected: `sync=False` and `writemap` (a crash of the machine may leave a torn database), a writer thread of
our own (cancellation and errors would have to be carried by hand).
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import trio

from engine import tuning
from engine.errors import StoreError, Unavailable
from engine.store import frame, page_check
from engine.store.directory import sync_names

T = TypeVar("T")
Rows = list[tuple[bytes, bytes]]
_TOUCHED = b"\0\0"
_FILE = "data.mdb"
_REWRITTEN = "rewritten-"
"""Begins the name of the folder in which a file grows that is to replace the environment's."""


class StoreFull(Unavailable):
    """The map or the disk is full: no new input for now, nothing that was taken is lost."""

    def __init__(self, name: str) -> None:
        super().__init__("store_full", f"The {name} is full: free some disk space.", retry_after_s=5)


class CommitTimes:
    """Durations of commits: a histogram in seconds, cumulative as Prometheus wants it."""

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
        """Return `{"count", "sum_s", "max_s", "buckets": {bound in s: commits within it}}`."""
        buckets = {str(bound): n for bound, n in zip(self.BOUNDS_S, self._within, strict=True)}
        return {"count": self.count, "sum_s": self.sum_s, "max_s": self.max_s, "buckets": buckets}


def live_bytes(stat: Mapping[str, Any]) -> int:
    """Return the bytes of the pages in use, from LMDB's statistics of a database."""
    pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
    return int(stat["psize"] * pages)


@contextmanager
def _explained_copy(folder: Path) -> Iterator[None]:
    """Raise what goes wrong while a copy is written as Unavailable; what is wrong with the original is a StoreError."""
    try:
        yield
    except (lmdb.Error, OSError) as error:
        if _is_full(error, folder.parent):
            detail = f"There is no room for the copy in {folder.parent}: free some disk space there."
            raise Unavailable("backup_full", detail, retry_after_s=5) from error
        raise Unavailable("backup_failed", f"Writing the copy in {folder.parent} failed: {error}.") from error


def _is_full(error: Exception, folder: Path) -> bool:
    """Whether it says that a map, or the disk of `folder`, is full.

    Of a disk that has room for the beginning of a write only, LMDB says that it has failed (EIO): the free space tells.
    What was to be committed is rolled back in either case, and written anew from its first page to its last.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, lmdb.MapFullError | lmdb.DiskError):
        return True
    cut_short = str(error).endswith(os.strerror(errno.EIO))
    return cut_short and free_bytes(folder) < tuning.STORE_FULL_BELOW_BYTES


def free_bytes(folder: Path) -> int:
    """Free on its disk, for us."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _touch(transaction: lmdb.Transaction) -> None:
    transaction.put(_TOUCHED, b"")
    transaction.delete(_TOUCHED)


def _read_rows(transaction: lmdb.Transaction, after: bytes) -> Rows:
    cursor = transaction.cursor()
    rows: Rows = []
    size, found = 0, cursor.set_range(after + b"\0") if after else cursor.first()
    while found and size < tuning.STORE_COPY_BYTES:
        key, value = cursor.item()
        rows.append((bytes(key), bytes(value)))
        size += len(value)
        found = cursor.next()
    return rows


def _put_rows(env: lmdb.Environment, rows: Rows) -> None:
    with env.begin(write=True) as transaction:
        for key, value in rows:
            transaction.put(key, value, append=True)


class Environment:
    """One LMDB environment in a directory of its own. `name` is what errors call it."""

    def __init__(self, path: Path, *, name: str, map_bytes: int) -> None:
        self.name = name
        self.commits = CommitTimes()
        self._path = path
        self._map_bytes = map_bytes
        self._writing = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._rewritten = 0
        path.mkdir(mode=0o700, exist_ok=True)
        for folder in path.glob(f"{_REWRITTEN}*"):  # a crash left it before it could replace anything
            shutil.rmtree(folder)
        page_check.check(path / _FILE, name)
        self._env = self._open()
        sync_names(path)
        sync_names(path.parent)

    def _open(self, folder: Path | None = None) -> lmdb.Environment:
        """Open an environment.

        Raises StoreError, and of a copy, in `folder`, what LMDB raises: whoever makes it explains it.

        Zeroing pages beforehand costs next to nothing, and keeps what was in memory out of their unused bytes.
        """
        try:
            env = lmdb.open(
                str(folder or self._path), map_size=self._map_bytes, lock=False, meminit=True, mode=0o600
            )
            env.sync(True)  # a new file is durable before anything is acknowledged that relies on it
            return env
        except lmdb.Error as error:
            if folder is not None:
                raise
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
            with self._explained():
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
            self.commits.add(time.perf_counter() - started)
            return result

    def _filled_and_committed(self, fill: Callable[[lmdb.Transaction], T]) -> T:
        with self._env.begin(write=True) as transaction:
            return fill(transaction)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what goes wrong while writing as StoreFull or StoreError."""
        try:
            yield
        except (lmdb.Error, OSError) as error:
            if _is_full(error, self._path):
                raise StoreFull(self.name) from error
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(
            "commit_failed",
            f"Writing the {self.name} failed: {error}.",
            remedy="Look at the disk and the system's log, then start again: nothing is lost.",
        )

    async def aside(self, work: Callable[[], T], size: int) -> T:
        """Prepare `size` bytes to be written: on this thread if that is quick, else in the worker."""
        if size < tuning.STORE_ASIDE_FROM_BYTES:
            return work()
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    async def free_pages(self) -> None:
        """Let the next write use the pages that the last one freed.

        LMDB gives pages freed by one transaction to the next but one (a crash must find the former state whole),
        and a write that finds the map full is rolled back and so never becomes the next: without a commit in
        between, an emptied map would stay full for ever.
        """
        await self.write(_touch, aside=True)

    async def copy(self, folder: Path) -> bytes:
        """Copy all records into a new environment in `folder`, durable when this returns. The key of the last.

        Others may append meanwhile, and nothing else: what they append while it goes on is copied as well, up to a
        moment near its end. Raises Unavailable where what fails is the copy, and this one goes on, and StoreError
        `corrupt` where this one cannot be read.
        """
        with _explained_copy(folder):
            env = await self._in_worker(self._made, folder)
            try:
                last = await self._copy_most(env, b"")
            finally:
                await self._in_worker(env.close)
            sync_names(folder.parent)
        return last

    async def rewrite(self) -> None:
        """Let a new file with all records, and nothing else in any byte of it, take the place of this one.

        LMDB keeps what was deleted in pages that are free and in the gaps of those that are not; its own compacting
        copy keeps the gaps. Others may append meanwhile, and nothing else; they wait for the end of it only. A crash
        leaves the former file or the new one, and both hold the same. Raises StoreFull (nothing has changed then) or
        StoreError.
        """
        self._rewritten += 1
        folder = self._path / f"{_REWRITTEN}{self._rewritten}"
        with self._explained():
            env = await self._in_worker(self._made, folder)
            try:
                last = await self._copy_most(env, b"")
                async with self._writing:
                    await self._in_worker(self._copy_rest, env, last)
                    os.replace(folder / _FILE, self._path / _FILE)
                    self._env, env = env, self._env
                    await self._in_worker(self._sync_replaced)
            finally:
                await self._in_worker(env.close)
                if folder.exists():
                    await self._in_worker(shutil.rmtree, folder)

    def _made(self, folder: Path) -> lmdb.Environment:
        folder.mkdir(mode=0o700)
        env = self._open(folder)
        sync_names(folder)
        return env

    def _copy_rest(self, env: lmdb.Environment, last: bytes) -> None:
        while rows := self._rows(last):
            _put_rows(env, rows)
            last = rows[-1][0]

    def _sync_replaced(self) -> None:
        """Sync the names of replaced files.

        Nothing may be appended to a file whose name could be lost, so a full disk ends the process here.
        """
        try:
            sync_names(self._path)
        except OSError as error:
            raise self._failed(error) from error

    async def _copy_most(self, env: lmdb.Environment, last: bytes) -> bytes:
        """Copy rows behind the key `last` until few are left, holding up no append for longer than it takes to read
        some; each commit is durable. The key of the last one copied."""
        full = True
        while full:
            async with self._writing:
                rows = await self._in_worker(self._rows, last)
            if rows:
                await self._in_worker(_put_rows, env, rows)
                last = rows[-1][0]
            full = sum(len(value) for _, value in rows) >= tuning.STORE_COPY_BYTES
        return last

    def _rows(self, after: bytes) -> Rows:
        """Return the next records behind a key, about STORE_COPY_BYTES of them. Raises StoreError `corrupt`."""
        try:
            with self._env.begin() as transaction:
                return _read_rows(transaction, after)
        except lmdb.Error as error:
            raise frame.corrupt(f"The {self.name} at {self._path} cannot be read: {error}.") from error

    async def _in_worker(self, work: Callable[..., T], *args: Any) -> T:
        """Run in a worker thread, to its end; not the one that commits."""
        with trio.CancelScope(shield=True):
            result = await trio.to_thread.run_sync(work, *args)
        return result  # noqa: RET504 (a scope could end the block early, as far as a type checker knows)

    def live_bytes(self) -> int:
        """Return the bytes of the map that hold data at present (without free pages)."""
        return live_bytes(self._env.stat())

    @property
    def map_bytes(self) -> int:
        return self._map_bytes

    def close(self) -> None:
        self._env.close()
