"""The data directory: made private, and held by one process at a time.

LMDB's own lock file is not used (`lock=False`): it guards readers we do not have, and lets a second process
in. Instead the whole directory is held by an advisory lock on the file `lock`. `flock`, not POSIX record
locks: those are lost as soon as any descriptor of the file is closed, and do not exclude a second opening
by the same process. The kernel drops the lock when the process dies, so a `kill -9` leaves nothing to clean
up.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from engine.errors import Refused, StoreError, Unavailable

log = logging.getLogger("tidemill.backup")
JOURNAL, CHECKPOINTS, LOCK = "journal", "checkpoints", "lock"
"""What a data directory holds: two LMDB environments and the lock file."""


@contextmanager
def hold(data: Path) -> Iterator[Path]:
    """Make `data` (mode 0700) if it is not there and hold it until the block ends.

    Raises StoreError `locked` when another process, or this one, holds it, and `unusable` when it cannot be
    made or written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            "unusable",
            f"The data directory {data} cannot be used: {error.strerror}.",
            remedy="Choose another directory, or correct its owner and permissions.",
        ) from error
    try:
        _lock(descriptor, data)
        yield data
    finally:
        os.close(descriptor)


def _lock(descriptor: int, data: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        who = f"process {holder}" if holder else "another process"
        raise StoreError(
            "locked",
            f"The data directory {data} is in use by {who}.",
            remedy="Stop that process, or choose another data directory.",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


@asynccontextmanager
async def growing(folder: Path, *, data: Path) -> AsyncIterator[Path]:
    """Make a directory (mode 0700) beside `folder`, which becomes `folder` when the block ends well and goes otherwise:
    a backup that is there is whole. Raises Refused, also for one in the directory `data` that is to be copied, and
    Unavailable where the disk will not have it."""
    partial = _made_beside(folder, data)
    try:
        yield partial
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_rename, partial, folder)
    finally:
        with trio.CancelScope(shield=True):  # it may be large: the loop does not wait for it
            await trio.to_thread.run_sync(_remove, partial)


def _made_beside(folder: Path, data: Path) -> Path:
    """Make a directory beside `folder`. Raises Refused if it cannot be made: the path came from outside."""
    try:
        if not folder.is_absolute() or os.path.lexists(folder) or not folder.parent.is_dir():
            detail = f"A backup needs a whole path to a new directory in one that is there; {folder} is none."
            raise Refused("backup_folder", detail)
        if folder.parent.resolve().is_relative_to(data.resolve()):  # no compaction erases what is in a copy
            raise Refused(
                "backup_folder",
                f"{folder} is in the data directory, of which it is to be a copy.",
                remedy="Choose a directory outside it.",
            )
        partial = folder.with_name(f"{folder.name}.partial")
        partial.mkdir(mode=0o700)
    except FileExistsError as error:
        raise Refused(
            "backup_folder",
            f"{folder}.partial is there: a backup grows in it, or one that was cut short has left it.",
            remedy="Unless one is under way, remove it and try again.",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: no path at all, with a NUL in it
        detail = f"{folder!s:.200} cannot be made: {getattr(error, 'strerror', None) or error}."
        raise Refused("backup_folder", detail) from error
    return partial


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
        sync_names(folder.parent)
    except OSError as error:
        raise Unavailable("backup_failed", f"{folder} could not be made: {error.strerror}.") from error


def _remove(partial: Path) -> None:
    """Remove a folder if it exists.

    One that cannot be removed is named by the next backup to the same place; what has to be told now is what ended
    this one.
    """
    try:
        if partial.exists():
            shutil.rmtree(partial)
    except OSError as error:
        log.error("%s, what there is of a backup, could not be removed: %s", partial, error)


def sync_names(directory: Path) -> None:
    """Make the names in a directory durable: LMDB syncs the files it makes, not the directory they are in."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
