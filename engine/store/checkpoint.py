"""Checkpoints: the kernel's state as sealed parts, a base and then deltas, and a manifest that names them.

Parts are taken from the kernel's snapshot between batches, of so many records and bytes at most, so that the loop
is never held for long. One after the other, each behind its length (4 bytes), they make a stream of bytes, which is
cut into pieces whatever the parts are; a piece is compressed and sealed with a checksum in a worker thread, and
written under a number nobody refers to yet, in commits of bounded size. The last commit replaces the manifest:
only then does the checkpoint exist. A crash before it leaves the former manifest valid and some orphan pieces, which
are deleted at the next opening. A new base makes the pieces of the old chain orphans.

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

from engine import limits, tuning
from engine.errors import StoreError
from engine.kernel import Kernel, Snapshot
from engine.model import KERNEL_VERSION
from engine.store import frame
from engine.store.compression import compress, decompress
from engine.store.environment import Environment
from engine.store.frame import CHECKSUM_BYTES, checksum

MANIFEST = b"\0"
FORMAT = 2
ORPHANS_PER_COMMIT = 64
LENGTH_BYTES = 4
"""Before each part."""


class Link(msgspec.Struct, frozen=True):
    """One snapshot of a chain: a base (`full`) or a delta. Its pieces have the keys (number, 0…pieces-1) and take
    `bytes` in the store."""

    number: int
    seq: int
    full: bool
    pieces: int
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """The newest checkpoint: the state after batch `seq`, restored from `chain` in order. `owed`: contacts were
    deleted of whom something may still be in the files."""

    format: int
    version: int
    key: bytes
    seq: int
    now_ms: int
    digest: int
    chain: tuple[Link, ...]
    owed: bool = False


class _Written(msgspec.Struct, frozen=True):
    """The fields of a manifest that every format has."""

    format: int


class Pace:
    """The number of records that a part may hold.

    Records and bytes are bounded beforehand; a machine on which that many take more CPU time than CHECKPOINT_PART_S
    gets smaller parts.
    """

    def __init__(self) -> None:
        self.records = tuning.CHECKPOINT_PART_RECORDS_MAX
        self.longest_s = 0.0

    def took(self, seconds: float) -> None:
        self.longest_s = max(self.longest_s, seconds)
        if seconds > tuning.CHECKPOINT_PART_S:
            self.records = max(1, self.records // 2)
        elif seconds < tuning.CHECKPOINT_PART_S / 4:
            self.records = min(tuning.CHECKPOINT_PART_RECORDS_MAX, self.records * 2)


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
        """Yield the parts of the newest delta, then of the one before, down to the base, each verified.

        Raises StoreError `corrupt`.

        `progress` is told bytes done and bytes in all as it goes. What was read of the map is let go of again.
        """
        chain = self.manifest.chain if self.manifest else ()
        done, total = 0, sum(link.bytes for link in chain)
        mapped = 0
        for link in reversed(chain):
            row = bytearray()
            for index in range(link.pieces):
                data, size = self._piece(link, index)
                row += data
                yield from _whole_parts(row)
                done += size
                mapped += size
                if mapped > tuning.RESTORE_MAPPED_BYTES_MAX:
                    self._env.unmap()
                    mapped = 0
                if progress is not None:
                    progress(done, total)
            if row:
                raise frame.corrupt(f"The checkpoint at batch {link.seq} ends in the middle of a part.")
        self._env.unmap()

    def examine(self) -> tuple[int, list[StoreError]]:
        """Read every piece: how many there are to be, and what is wrong with each that is not whole."""
        count, wrong = 0, list[StoreError]()
        for link in self.manifest.chain if self.manifest else ():
            for index in range(link.pieces):
                count += 1
                try:
                    self._piece(link, index)
                except StoreError as error:
                    wrong.append(error)
        return count, wrong

    def _piece(self, link: Link, index: int) -> tuple[bytes, int]:
        """Return what a piece holds, and the bytes it takes in the store."""
        key = _key(link.number, index)
        value = self._env.read(partial(_get, key=key))
        where = f"piece {index + 1} of {link.pieces} of the checkpoint at batch {link.seq}"
        if value is None:
            raise frame.corrupt(f"The {where} is missing.")
        packed = value[CHECKSUM_BYTES:]
        if value[:CHECKSUM_BYTES] != checksum(key, packed):
            raise frame.corrupt(f"The {where} does not match its checksum.")
        try:
            return decompress(packed, bytes_max=limits.STORE_VALUE_BYTES_MAX), len(value)
        except ValueError as error:
            raise frame.corrupt(f"The {where} cannot be decompressed: {error}.") from error

    async def write(
        self, kernel: Kernel, *, key: bytes, full: bool, owed: Callable[[], bool] = lambda: False
    ) -> Manifest:
        """Write the state as it is now, as a new base or as a delta to the chain; durable when this returns.
        `owed` says of that moment whether an erasure is (see Manifest).

        The kernel may apply batches meanwhile, and may decide that its snapshot has to be a full one. Raises
        StoreFull or StoreError; the former checkpoint is then still the valid one, as it is after a cancellation, and
        the next will be full.
        """
        assert full or self.manifest is not None, "a delta needs a base"
        await self.sweep()
        number = 1 + max((link.number for link in self.manifest.chain), default=0) if self.manifest else 1
        seq, now_ms, digest = kernel.seq, kernel.now_ms, kernel.outcome_digest
        owes = owed()
        snapshot = kernel.snapshot(full=full)
        assert snapshot.seq == seq, "a snapshot is of the present"
        try:
            pieces, size = await self._write_pieces(snapshot, number)
            link = Link(number, seq, snapshot.full, pieces, size)
            former = () if snapshot.full or self.manifest is None else self.manifest.chain
            manifest = Manifest(FORMAT, KERNEL_VERSION, key, seq, now_ms, digest, (*former, link), owes)
            await self._put_manifest(manifest)
        except BaseException:
            snapshot.abandon()  # what it holds is in no other
            raise
        await self.sweep()
        return manifest

    async def _put_manifest(self, manifest: Manifest) -> None:
        await self._env.write(partial(_put, items={MANIFEST: _seal(manifest)}), aside=True)
        self.manifest = manifest

    async def rewrite(self) -> None:
        """Let go of every byte that the chain does not need. Raises StoreFull or StoreError."""
        await self.sweep()
        await self._env.rewrite()

    async def copy(self, folder: Path) -> None:
        """Copy the checkpoint into `folder`. None may be written meanwhile. Raises Unavailable or StoreError."""
        await self._env.copy(folder)

    async def settle(self, *, owed: bool) -> None:
        """Record that both environments were rewritten after the base. Raises StoreFull or StoreError."""
        assert self.manifest is not None, "what was rewritten has a base"
        await self._put_manifest(msgspec.structs.replace(self.manifest, owed=owed))

    async def _write_pieces(self, snapshot: Snapshot, number: int) -> tuple[int, int]:
        """Write all parts of a snapshot under `number`. Returns how many pieces, and their bytes."""
        pieces = size = 0
        group: dict[bytes, bytes] = {}
        row, more = list[bytes](), True
        while more:
            started_s = time.perf_counter()
            more = self._gather(snapshot, row)
            await trio.sleep(tuning.CHECKPOINT_REST * (time.perf_counter() - started_s))
            gathered = sum(map(len, row))
            if gathered >= tuning.CHECKPOINT_PIECE_BYTES or not more:
                work = partial(_cut, row, number, pieces, to_the_end=not more)
                sealed, rest = await self._env.aside(work, gathered)
                pieces, row = pieces + len(sealed), [rest]
                for key, piece in sealed.items():
                    group[key] = piece
                    if sum(map(len, group.values())) >= tuning.CHECKPOINT_GROUP_BYTES:
                        size += await self._write_group(group)
        return pieces, size + await self._write_group(group)

    def _gather(self, snapshot: Snapshot, row: list[bytes]) -> bool:
        """Add the next parts, each behind its length, for CHECKPOINT_GATHER_S: those packed early are ready, so many
        may come in the time of one. Whether there may be more."""
        started_s, gathered = time.perf_counter(), 0
        while (
            gathered < tuning.CHECKPOINT_GATHERED_BYTES
            and time.perf_counter() - started_s < tuning.CHECKPOINT_GATHER_S
        ):
            part = self._part(snapshot)
            if part is None:
                return False
            row += (len(part).to_bytes(LENGTH_BYTES), part)
            gathered += len(part)
        return True

    async def _write_group(self, group: dict[bytes, bytes]) -> int:
        """Commit these pieces and empty the group. Returns their bytes."""
        await self._env.write(partial(_put, items=group), aside=True)
        size = sum(map(len, group.values()))
        group.clear()
        return size

    def _part(self, snapshot: Snapshot) -> bytes | None:
        started = time.thread_time()
        part = snapshot.part(self.pace.records)
        self.pace.took(time.thread_time() - started)
        return part

    async def sweep(self) -> int:
        """Delete the parts that the manifest does not name, in bounded slices. Returns their number."""
        kept = {link.number for link in self.manifest.chain} if self.manifest else set()
        total = 0
        while orphans := self._env.read(lambda transaction: _orphans(transaction, kept)):
            await self._env.write(partial(_delete, keys=orphans), aside=True)
            total += len(orphans)
        if total:
            await self._env.free_pages()
        return total

    def statistics(self) -> dict[str, object]:
        """Return `seq`, `deltas`, `bytes`, `live_bytes`, `longest_part_s` and the commits' times."""
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
        frame.check_format("The checkpoint", msgspec.msgpack.decode(body, type=_Written).format, FORMAT)
        return msgspec.msgpack.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise frame.corrupt(f"The checkpoint's manifest cannot be read: {error}.") from error


def _cut(row: list[bytes], number: int, first: int, *, to_the_end: bool) -> tuple[dict[bytes, bytes], bytes]:
    """Cut the pieces of a row from number `first` on, compressed and sealed, by key; and what is left for the next."""
    whole, sealed, start = memoryview(b"".join(row)), dict[bytes, bytes](), 0
    while len(whole) - start >= tuning.CHECKPOINT_PIECE_BYTES or (to_the_end and start < len(whole)):
        piece = whole[start : start + tuning.CHECKPOINT_PIECE_BYTES]
        key, packed = _key(number, first + len(sealed)), compress(piece)
        sealed[key] = checksum(key, packed) + packed
        start += len(piece)
    return sealed, bytes(whole[start:])


def _whole_parts(row: bytearray) -> Iterator[bytes]:
    """Take the parts that are whole from the beginning of a row."""
    while len(row) >= LENGTH_BYTES:
        end = LENGTH_BYTES + int.from_bytes(row[:LENGTH_BYTES])
        if len(row) < end:
            return
        yield bytes(row[LENGTH_BYTES:end])
        del row[:end]


def _orphans(transaction: lmdb.Transaction, kept: set[int]) -> list[bytes]:
    """Find some keys of parts whose number is not in `kept`; kept numbers are stepped over, not walked through."""
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


def _put(transaction: lmdb.Transaction, items: dict[bytes, bytes]) -> None:
    for key, value in items.items():
        transaction.put(key, value)


def _key(number: int, index: int) -> bytes:
    return number.to_bytes(8) + index.to_bytes(4)
