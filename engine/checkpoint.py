"""Checkpoints: the kernel's state as sealed parts, a base and then deltas, and a manifest that names them.

Parts are taken from the kernel's snapshot between batches, a few records at a time so that the loop is
never held for long, and written in commits of bounded size under numbers nobody refers to yet. The last
commit replaces the manifest: only then does the checkpoint exist. A crash before it leaves the former
manifest valid and some orphan parts, which are deleted at the next opening. A new base makes the parts of
the old chain orphans.

Writing records one by one in place was rejected: random overwrites cost 20 to 50 times as much as parts in
a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import lmdb
import msgspec
import trio

from engine import frame, limits
from engine.frame import CHECKSUM_BYTES, checksum
from engine.kernel import Kernel, Snapshot
from engine.model import KERNEL_VERSION
from engine.store import Environment, StoreFull

MANIFEST = b"\0"
FORMAT = 1
ORPHANS_PER_COMMIT = 64
MORE, LAST = b"+", b"."
"""Whether further pieces of the same part follow."""
PIECE_HEADER_BYTES = CHECKSUM_BYTES + 1


class Link(msgspec.Struct, frozen=True):
    """One snapshot of a chain: a base (`full`) or a delta. Its pieces have the keys (number, 0…pieces-1)."""

    number: int
    seq: int
    full: bool
    pieces: int
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """What the newest checkpoint is: the state after batch `seq`, restored from `chain` in order."""

    format: int
    version: int
    key: bytes
    seq: int
    now_ms: int
    digest: int
    chain: tuple[Link, ...]


class Pace:
    """How many records a part may hold, so that taking one holds the loop about CHECKPOINT_PART_S."""

    def __init__(self) -> None:
        self.records = limits.CHECKPOINT_PART_RECORDS_MAX
        self.longest_s = 0.0

    def took(self, seconds: float) -> None:
        self.longest_s = max(self.longest_s, seconds)
        if seconds > limits.CHECKPOINT_PART_S:
            self.records = max(1, self.records // 2)
        elif seconds < limits.CHECKPOINT_PART_S / 4:
            self.records = min(limits.CHECKPOINT_PART_RECORDS_MAX, self.records * 2)


class Checkpoints:
    """The checkpoint environment of one data directory, which the caller holds."""

    def __init__(self, path: Path, *, map_bytes: int = limits.CHECKPOINT_MAP_BYTES) -> None:
        self._env = Environment(path, name="checkpoint store", map_bytes=map_bytes)
        self.manifest: Manifest | None = self._env.read(_read_manifest)
        self.pace = Pace()

    @property
    def seq(self) -> int:
        """The batch up to which the state is kept; 0 when there is no checkpoint."""
        return self.manifest.seq if self.manifest else 0

    def parts(self, progress: Callable[[int, int], None] | None = None) -> Iterator[bytes]:
        """The parts of the newest delta, then of the one before, down to the base, each verified. Raises StoreError
        `corrupt`.

        `progress` is told bytes done and bytes in all as it goes. What was read of the map is let go of again.
        """
        chain = self.manifest.chain if self.manifest else ()
        done, total = 0, sum(link.bytes for link in chain)
        mapped = 0
        for link in reversed(chain):
            begun: list[bytes] = []
            for index in range(link.pieces):
                last, data, size = self._piece(link, index)
                begun.append(data)
                if last:
                    yield b"".join(begun)
                    begun = []
                done += size
                mapped += size
                if mapped > limits.RESTORE_MAPPED_BYTES_MAX:
                    self._env.unmap()
                    mapped = 0
                if progress is not None:
                    progress(done, total)
        self._env.unmap()

    def _piece(self, link: Link, index: int) -> tuple[bool, bytes, int]:
        """Whether a piece ends its part, what it holds, and the bytes it takes in the store."""
        key = _key(link.number, index)
        value = self._env.read(partial(_get, key=key))
        where = f"piece {index + 1} of {link.pieces} of the checkpoint at batch {link.seq}"
        if value is None:
            raise frame.corrupt(f"The {where} is missing.")
        if value[:CHECKSUM_BYTES] != checksum(key, value[CHECKSUM_BYTES:]):
            raise frame.corrupt(f"The {where} does not match its checksum.")
        return value[CHECKSUM_BYTES:PIECE_HEADER_BYTES] == LAST, value[PIECE_HEADER_BYTES:], len(value)

    async def write(self, kernel: Kernel, *, key: bytes, full: bool) -> Manifest:
        """Write the state as it is now, as a new base or as a delta to the chain; durable when this returns.

        The kernel may apply batches meanwhile, and may decide that its snapshot has to be a full one. Raises
        StoreFull or StoreError; the former checkpoint is then still the valid one, and the next must be full.
        """
        assert full or self.manifest is not None, "a delta needs a base"
        await self.sweep()
        number = 1 + max((link.number for link in self.manifest.chain), default=0) if self.manifest else 1
        seq, now_ms, digest = kernel.seq, kernel.now_ms, kernel.outcome_digest
        snapshot = kernel.snapshot(full=full)
        assert snapshot.seq == seq, "a snapshot is of the present"
        try:
            pieces, size = await self._write_pieces(snapshot, number)
            link = Link(number, seq, snapshot.full, pieces, size)
            former = () if snapshot.full or self.manifest is None else self.manifest.chain
            manifest = Manifest(FORMAT, KERNEL_VERSION, key, seq, now_ms, digest, (*former, link))
            await self._env.write(partial(_put, items=[(MANIFEST, _seal(manifest))]))
        except StoreFull:
            snapshot.abandon()
            raise
        self.manifest = manifest
        await self.sweep()
        return manifest

    async def _write_pieces(self, snapshot: Snapshot, number: int) -> tuple[int, int]:
        """Write all parts of a snapshot under `number`. Returns how many pieces, and their bytes."""
        pieces = size = group_bytes = 0
        group: list[tuple[bytes, bytes]] = []
        while (part := self._part(snapshot)) is not None:
            for start in range(0, max(1, len(part)), limits.CHECKPOINT_PIECE_BYTES):
                end = start + limits.CHECKPOINT_PIECE_BYTES
                place = _key(number, pieces)
                data = (MORE if end < len(part) else LAST) + part[start:end]
                group.append((place, checksum(place, data) + data))
                group_bytes += CHECKSUM_BYTES + len(data)
                pieces += 1
                if group_bytes >= limits.CHECKPOINT_GROUP_BYTES:
                    await self._env.write(partial(_put, items=group))
                    size, group, group_bytes = size + group_bytes, [], 0
                await trio.lowlevel.checkpoint()
        await self._env.write(partial(_put, items=group))
        return pieces, size + group_bytes

    def _part(self, snapshot: Snapshot) -> bytes | None:
        started = time.perf_counter()
        part = snapshot.part(self.pace.records)
        self.pace.took(time.perf_counter() - started)
        return part

    async def sweep(self) -> int:
        """Delete the parts that the manifest does not name, in bounded slices. Returns their number."""
        kept = {link.number for link in self.manifest.chain} if self.manifest else set()
        total = 0
        while orphans := self._env.read(lambda transaction: _orphans(transaction, kept)):
            await self._env.write(partial(_delete, keys=orphans))
            total += len(orphans)
        if total:
            await self._env.free_pages()
        return total

    def statistics(self) -> dict[str, object]:
        """`seq`, `deltas`, `bytes`, `live_bytes`, `longest_part_s` and the commits' times."""
        chain = self.manifest.chain if self.manifest else ()
        return {
            "seq": self.seq,
            "deltas": max(0, len(chain) - 1),
            "bytes": sum(link.bytes for link in chain),
            "live_bytes": self._env.live_bytes(),
            "longest_part_s": self.pace.longest_s,
            "commits": self._env.commits.statistics(),
        }

    def close(self) -> None:
        self._env.close()


def _seal(manifest: Manifest) -> bytes:
    body = msgspec.msgpack.encode(manifest)
    return checksum(MANIFEST, body) + body


def _read_manifest(transaction: lmdb.Transaction) -> Manifest | None:
    value = _get(transaction, MANIFEST)
    if value is None:
        return None
    body = value[CHECKSUM_BYTES:]
    if value[:CHECKSUM_BYTES] != checksum(MANIFEST, body):
        raise frame.corrupt("The checkpoint's manifest does not match its checksum.")
    try:
        return msgspec.msgpack.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise frame.corrupt(f"The checkpoint's manifest cannot be read: {error}.") from error


def _orphans(transaction: lmdb.Transaction, kept: set[int]) -> list[bytes]:
    """Some keys of parts whose number is not in `kept`; kept numbers are stepped over, not walked through."""
    cursor = transaction.cursor()
    keys: list[bytes] = []
    found = cursor.set_range(_key(0, 0))
    while found and len(keys) < ORPHANS_PER_COMMIT:
        key = bytes(cursor.key())
        number = int.from_bytes(key[:8])
        if number in kept:
            found = cursor.set_range(_key(number + 1, 0))
        else:
            keys.append(key)
            found = cursor.next()
    return keys


def _get(transaction: lmdb.Transaction, key: bytes) -> bytes | None:
    value = transaction.get(key)
    return None if value is None else bytes(value)


def _delete(transaction: lmdb.Transaction, keys: list[bytes]) -> None:
    for key in keys:
        transaction.delete(key)


def _put(transaction: lmdb.Transaction, items: list[tuple[bytes, bytes]]) -> None:
    for key, value in items:
        transaction.put(key, value)


def _key(number: int, index: int) -> bytes:
    return number.to_bytes(8) + index.to_bytes(4)
