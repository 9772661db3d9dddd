"""LMDB as far as `engine.store.environment` uses it, on a simulated disk: copy on write, two meta slots, sync between.

A commit writes new values and a new index into pages that neither the present nor the former state uses, syncs, then
writes the older of the two meta slots (less than a sector) and syncs again: the order of LMDB's own commit, and the
same guarantee, that a crash finds the former or the new state whole. `sync=False` leaves the syncs out, as there.
Like LMDB, it checks nothing it reads. The errors are those of the real package.

Not simulated: the B-tree (the index is one value), nested transactions, concurrent readers.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Self

import lmdb
import msgspec

from tests.sim.disk import SECTOR_BYTES, Disk

PAGE_BYTES = 256
META = struct.Struct(">4sQQQ")
MAGIC = b"SimL"
FIRST_PAGE = 2 * SECTOR_BYTES // PAGE_BYTES

Tree = dict[bytes, tuple[int, int]]
"""Key -> first page of its value and the value's length in bytes."""


class Commit(msgspec.Struct, frozen=True):
    """A commit on its way to the disk: its `number` in order, and the values it put."""

    file: str
    number: int
    put: dict[bytes, bytes]


Watch = Callable[[Commit, bool], None]
"""A callback for each commit, before its first write (False) and when it is durable (True)."""


def newest(disk: Disk, name: str) -> int:
    """Return the number of the last transaction that a file holds."""
    return _read_metas(disk, disk.boot, name)[0][0]


def _read_metas(disk: Disk, boot: int, name: str) -> list[tuple[int, int, int]]:
    """Return (number, page and length of the index) of both slots, newest first."""
    found = []
    for slot in (0, 1):
        raw = disk.read(boot, name, slot * SECTOR_BYTES, META.size)
        magic, *meta = META.unpack(raw.ljust(META.size, b"\0"))
        found.append(tuple(meta) if magic == MAGIC else (0, 0, 0))
    return sorted(found, reverse=True)


def _pages(length: int) -> int:
    return max(1, -(-length // PAGE_BYTES))


class SimulatedEnvironment:
    """One file of the disk as an LMDB environment, opened by the substitute of `lmdb.open`."""

    def __init__(
        self, disk: Disk, name: str, *, map_size: int, watch: Watch, sync: bool = True, metasync: bool = True
    ) -> None:
        self.disk, self.name, self.boot = disk, name, disk.boot
        self.watch = watch
        self.syncs, self.syncs_meta = sync, sync and metasync
        self.pages_max = map_size // PAGE_BYTES
        (self.number, self.index_page, self.index_bytes), former = _read_metas(disk, self.boot, name)
        self.tree = self._load(self.index_page, self.index_bytes)
        self.former_tree = self._load(former[1], former[2])
        self.former_index = (former[1], former[2])

    def _load(self, page: int, length: int) -> Tree:
        if not length:
            return {}
        raw = self.disk.read(self.boot, self.name, page * PAGE_BYTES, length)
        try:
            index = msgspec.msgpack.decode(raw, type=list[tuple[bytes, int, int]])
        except msgspec.DecodeError as error:
            raise lmdb.CorruptedError(str(error)) from error
        return {key: (at, size) for key, at, size in index}

    def begin(self, write: bool = False) -> Transaction:
        self.disk.require(self.boot)
        return Transaction(self, write)

    def stat(self) -> dict[str, int]:
        return _stat(self.tree, self.index_bytes)

    def sync(self, force: bool = False) -> None:
        """Make the present content durable."""
        self.disk.sync(self.boot, self.name)

    def close(self) -> None:
        """Close without effect: the environment holds no resources."""

    def used(self) -> bytearray:
        """Return a byte per page: 1 where the present or the former state lies."""
        used = bytearray(self.pages_max)
        used[:FIRST_PAGE] = b"\1" * FIRST_PAGE
        places = [*self.tree.values(), *self.former_tree.values()]
        for page, length in [*places, (self.index_page, self.index_bytes), self.former_index]:
            used[page : page + _pages(length)] = b"\1" * _pages(length)
        return used


def _stat(tree: Tree, index_bytes: int) -> dict[str, int]:
    pages = sum(_pages(length) for _, length in tree.values())
    counted = {"branch_pages": 0, "leaf_pages": _pages(index_bytes), "overflow_pages": pages}
    return {"psize": PAGE_BYTES, "entries": len(tree), **counted}


class Transaction:
    """A transaction whose reads see its own earlier writes."""

    def __init__(self, environment: SimulatedEnvironment, write: bool) -> None:
        self._env = environment
        self._write = write
        self.tree = dict(environment.tree) if write else environment.tree
        self.keys = sorted(self.tree)
        self._put: dict[bytes, bytes] = {}
        self._used = environment.used() if write else bytearray()
        self._dirty = False
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._write:
            self.commit()
        else:
            self.abort()

    def stat(self) -> dict[str, int]:
        return _stat(self.tree, self._env.index_bytes)

    def get(self, key: bytes) -> bytes | None:
        if key in self._put:
            return self._put[key]
        place = self.tree.get(key)
        if place is None:
            return None
        return self._env.disk.read(self._env.boot, self._env.name, place[0] * PAGE_BYTES, place[1])

    def put(self, key: bytes, value: bytes, *, append: bool = False, overwrite: bool = True) -> bool:
        assert self._write, "a reader writes nothing"
        known = key in self.tree
        if known and not overwrite:
            return False
        if append and self.keys and key <= self.keys[-1]:
            return False
        self.tree[key] = (self._allocate(len(value)), len(value))
        if not known:
            insort(self.keys, key)
        self._put[key] = bytes(value)
        self._dirty = True
        return True

    def delete(self, key: bytes) -> bool:
        assert self._write, "a reader writes nothing"
        if key not in self.tree:
            return False
        del self.tree[key]
        del self.keys[bisect_left(self.keys, key)]
        self._put.pop(key, None)
        self._dirty = True
        return True

    def cursor(self) -> SimulatedCursor:
        return SimulatedCursor(self)

    def abort(self) -> None:
        self._ended = True

    def commit(self) -> None:
        env = self._env
        assert not self._ended, "it has ended"
        self._ended = True
        env.disk.require(env.boot)
        if not self._dirty:
            return
        about = Commit(env.name, env.number + 1, self._put)
        env.watch(about, False)
        raw = msgspec.msgpack.encode([(key, *self.tree[key]) for key in self.keys])
        index_page = self._allocate(len(raw))
        for key, value in self._put.items():
            env.disk.write(env.boot, env.name, self.tree[key][0] * PAGE_BYTES, value)
        env.disk.write(env.boot, env.name, index_page * PAGE_BYTES, raw)
        if env.syncs:
            env.disk.sync(env.boot, env.name)
        meta = META.pack(MAGIC, about.number, index_page, len(raw))
        env.disk.write(env.boot, env.name, about.number % 2 * SECTOR_BYTES, meta)
        if env.syncs_meta:
            env.disk.sync(env.boot, env.name)
        env.former_tree, env.former_index = env.tree, (env.index_page, env.index_bytes)
        env.tree, env.index_page, env.index_bytes = self.tree, index_page, len(raw)
        env.number = about.number
        env.watch(about, True)

    def _allocate(self, length: int) -> int:
        count = _pages(length)
        page = self._used.find(bytes(count))
        if page < 0:
            raise lmdb.MapFullError("mdb_put: MDB_MAP_FULL: Environment mapsize limit reached")
        self._used[page : page + count] = b"\1" * count
        return page


class SimulatedCursor:
    """A position among the keys, in order."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._at = -1

    def _is_there(self) -> bool:
        return 0 <= self._at < len(self._transaction.keys)

    def first(self) -> bool:
        self._at = 0
        return self._is_there()

    def last(self) -> bool:
        self._at = len(self._transaction.keys) - 1
        return self._is_there()

    def next(self) -> bool:
        self._at += 1
        return self._is_there()

    def set_range(self, key: bytes) -> bool:
        self._at = bisect_left(self._transaction.keys, key)
        return self._is_there()

    def key(self) -> bytes:
        return self._transaction.keys[self._at] if self._is_there() else b""

    def value(self) -> bytes:
        return (self._transaction.get(self.key()) or b"") if self._is_there() else b""

    def item(self) -> tuple[bytes, bytes]:
        return self.key(), self.value()

    def delete(self) -> bool:
        """Return the key here and move to the next one."""
        return self._is_there() and self._transaction.delete(self.key())


def opener(of: Callable[[], Disk], watch: Watch) -> Callable[..., Any]:
    """Return the substitute of `lmdb.open`: the last part of the path names the file."""

    def open_environment(path: str, *, map_size: int, **options: Any) -> SimulatedEnvironment:
        wanted = {key: options[key] for key in ("sync", "metasync") if key in options}
        return SimulatedEnvironment(of(), path.rsplit("/", 1)[-1], map_size=map_size, watch=watch, **wanted)

    return open_environment
