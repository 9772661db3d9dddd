"""`keys.json` in the data directory: the keys that were issued, by their hashes.

The file is for its owner alone (0600) and is replaced whole: written beside, synced, renamed. So a reader sees
the old keys or the new ones, never a half, and no engine needs to run for keys to be created or revoked. Two
commands at once take turns by a lock on the directory itself.

A running engine looks once a second whether the file is another one (`watch`). A signal was rejected: the one
who revokes a key may sit in another container and know no process id; a second late is soon enough, and what
was let in by a revoked key is then cut off. A file that cannot be read any more, or makes no sense, refuses the
start; while the engine runs the keys read last stay in force, and the log says why.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio

from api.keys import Key, Keys
from engine.errors import TidemillError
from engine.limits import KEYS_MAX
from engine.store.directory import sync_names

FILE = "keys.json"
FILE_BYTES_MAX = 1024 * 1024
LOOK_S = 1.0

log = logging.getLogger("tidemill.keys")


class KeyFileError(TidemillError):
    """The file of keys cannot be used, or does not hold what is asked for."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[Key, ...] = ()


def read_keys(data: Path) -> tuple[Key, ...]:
    """Read the issued keys, in the order of their creation; no file means no keys. Raises KeyFileError."""
    path = data / FILE
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                detail = f"{path} can be reached by others than its owner."
                raise KeyFileError("keys_exposed", detail, remedy=f"Run: chmod 600 {path}")
            raw = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        detail = f"{path} cannot be read: {error.strerror}."
        raise KeyFileError("keys_unreadable", detail, remedy="Mend its owner and permissions.") from error
    try:
        if len(raw) > FILE_BYTES_MAX:
            raise msgspec.ValidationError("it is too large")
        return msgspec.json.decode(raw, type=_File).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = f"{path} is not a file of keys: {error}."
        remedy = "Restore it, or remove it and create the keys anew."
        raise KeyFileError("keys_damaged", detail, remedy=remedy) from None


def add_key(data: Path, key: Key) -> None:
    """Keep one more key. Raises KeyFileError where the name is taken."""
    with _turn(data):
        keys = read_keys(data)
        if any(one.name == key.name for one in keys):
            detail = f"There is a key {key.name} already."
            raise KeyFileError("key_exists", detail, remedy="Revoke it first, or choose another name.")
        if len(keys) >= KEYS_MAX:
            detail = f"There are {KEYS_MAX} keys already."
            raise KeyFileError("too_many_keys", detail, remedy="Revoke those nobody uses.")
        _write(data, (*keys, key))


def remove_key(data: Path, name: str) -> tuple[Key, ...]:
    """Keep all keys but `name`; gives those that are left. Raises KeyFileError where there is no such key."""
    with _turn(data):
        keys = read_keys(data)
        left = tuple(one for one in keys if one.name != name)
        if len(left) == len(keys):
            known = ", ".join(one.name for one in keys) or "none"
            raise KeyFileError("no_such_key", f"There is no key {name}.", remedy=f"There are: {known}.")
        _write(data, left)
        return left


@contextmanager
def _turn(data: Path) -> Iterator[None]:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        detail = f"The data directory {data} cannot be used: {error.strerror}."
        raise KeyFileError("unusable", detail, remedy="Choose another with --data.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(data: Path, keys: tuple[Key, ...]) -> None:
    beside = data / f"{FILE}.new"
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            if os.geteuid() == 0:
                # The engine, whose directory it is, must be able to read what root makes here.
                owner = os.stat(data)
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(msgspec.json.format(msgspec.json.encode(_File(keys)), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, data / FILE)
        sync_names(data)
    except OSError as error:
        detail = f"{data / FILE} cannot be written: {error.strerror}."
        raise KeyFileError("keys_unwritable", detail, remedy="Mend its owner, or make room.") from error


async def watch(data: Path, keys: Keys, *, every_s: float = LOOK_S) -> None:
    """Keep `keys` as the file says, until cancelled."""
    seen: object = ()
    while True:
        if (now := mark(data)) != seen:
            seen = now  # looked at before it is read: if it changes in between, it is read again
            try:
                keys.replace(read_keys(data))
            except KeyFileError as error:
                log.error("the keys stay as they were: %s", error)
            else:
                log.info("there are %d keys", keys.issued)
        await trio.sleep(every_s)


def mark(data: Path) -> tuple[int, ...] | None:
    """Return what distinguishes one file of keys from the next: a rename always gives another inode."""
    try:
        status = os.stat(data / FILE)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode
