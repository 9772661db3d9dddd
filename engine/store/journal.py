"""The journal: every batch, one LMDB value each, appended under its seq (8 bytes, big endian).

One value per batch and `append`: no page is split and no record overwritten, which is what makes group
commit cheap (measured: millions of 200-byte records a second, under a millisecond a commit). A frame that takes
more than a page is compressed: the disk writes a fraction of the bytes, and the loop, which fills the
transaction, touches a fraction of the pages. The record `meta` (a key shorter than any seq, so it sorts first)
holds the kernel's key and how far the journal has been trimmed: a journal whose checkpoint went missing is
told from a new one.

When the map is full, trimming must still be possible, and LMDB needs pages to delete: an eighth of the map is
kept back from appends for that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lmdb
import msgspec

from engine import limits, tuning
from engine.errors import StoreError
from engine.store import frame
from engine.store.compression import compress, decompress, length
from engine.store.environment import Environment, StoreFull, live_bytes
from engine.store.frame import CHECKSUM_BYTES, Frame, checksum

META = b"\0"
KEY_BYTES = 16
FORMAT = 2
COMPRESSED = b"TMfz"
"""Before a compressed frame; one as it is begins with `frame.MAGIC`."""


class Meta(msgspec.Struct, frozen=True):
    """`key` is the kernel's, drawn with the directory; frames up to `trimmed` are in a checkpoint."""

    format: int
    key: bytes
    trimmed: int


class Journal:
    """The journal of one data directory, which the caller holds (`engine.store.directory.hold`)."""

    def __init__(self, path: Path, *, map_bytes: int = limits.JOURNAL_MAP_BYTES) -> None:
        self._env = Environment(path, name="journal", map_bytes=map_bytes)
        self._append_bytes_max = map_bytes - map_bytes // 8
        self._meta = self._env.read(_read_meta) or self._env.write_now(_make_meta)
        self.last_seq = self._env.read(_last_seq)
        """Seq of the newest durable frame; 0 when there is none."""
        self.first_seq = self._env.read(_first_seq)
        """Seq of the oldest frame still there; None when there is none."""
        self.appended_bytes = 0
        """Bytes of frames appended since opening."""
        self.stored_bytes = 0
        """What they take in the store."""

    @property
    def key(self) -> bytes:
        """The kernel's key: 16 bytes of this data directory."""
        return self._meta.key

    @property
    def trimmed(self) -> int:
        """Frames up to this seq are gone; they are in a checkpoint."""
        return self._meta.trimmed

    def read(self, after: int, *, bytes_max: int = tuning.JOURNAL_READ_BYTES) -> list[Frame]:
        """Return the next frames with seq > `after`, at least one if there is one, about `bytes_max` in all.

        Raises StoreError `corrupt` for a damaged frame, and where a seq is missing.
        """
        values = self._env.read(lambda transaction: _read(transaction, after + 1, bytes_max))
        for expected, (seq, _) in enumerate(values, start=after + 1):
            if seq != expected:
                raise frame.corrupt(f"Journal frame {expected} is missing: the next one is {seq}.")
        return [frame.decode(_plain(value, seq), seq) for seq, value in values]

    def examine(self) -> tuple[int, list[StoreError]]:
        """Read every frame: how many there are, and what is wrong with each that is not whole."""
        count, wrong, after = 0, list[StoreError](), 0
        while values := self._env.read(partial(_read, first=after + 1, bytes_max=tuning.JOURNAL_READ_BYTES)):
            for seq, value in values:
                count += 1
                try:
                    if count > 1 and seq != after + 1:
                        raise frame.corrupt(f"Journal frame {after + 1} is missing: the next one is {seq}.")
                    frame.decode(_plain(value, seq), seq)
                except StoreError as error:
                    wrong.append(error)
                after = seq
        return count, wrong

    async def append(self, seq: int, value: bytes) -> None:
        """Make the frame `value` durable under `seq`, above all before it. Raises StoreFull or StoreError."""
        await self.append_all([(seq, value)])

    async def append_all(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Make frames durable under their seqs, in order, all or none. Raises StoreFull or StoreError."""
        size = sum(len(value) for _, value in frames)
        stored = await self._env.aside(partial(_stored, frames), size)
        await self._env.write(lambda transaction: self._put(transaction, stored))
        self.last_seq = stored[-1][0]
        self.first_seq = self.first_seq or stored[0][0]
        self.appended_bytes += size
        self.stored_bytes += sum(len(value) for _, value in stored)

    def _put(self, transaction: lmdb.Transaction, stored: list[tuple[int, bytes]]) -> None:
        if live_bytes(transaction.stat()) + sum(len(value) for _, value in stored) > self._append_bytes_max:
            raise StoreFull("journal")
        for seq, value in stored:
            put = transaction.put(_key(seq), value, append=True, overwrite=False)
            assert put, f"frame {seq} is in the journal already"

    async def trim(self, upto: int) -> int:
        """Delete the frames up to and with seq `upto`, in slices that hold neither the loop nor the next
        commit for long. Returns their number. Raises StoreFull or StoreError."""
        total = 0
        if upto <= self.trimmed and (self.first_seq is None or self.first_seq > upto):
            return 0
        while True:
            meta = Meta(self._meta.format, self._meta.key, max(upto, self._meta.trimmed))
            count, self.first_seq = await self._env.write(partial(_trim, upto=upto, meta=meta), aside=True)
            self._meta = meta
            total += count
            if count < tuning.JOURNAL_TRIM_FRAMES_MAX:
                await self._env.free_pages()
                return total

    async def rewrite(self) -> None:
        """Let go of every byte of frames that were trimmed; none may be trimmed meanwhile, but appended they may be.
        Raises StoreFull or StoreError."""
        await self._env.rewrite()

    async def copy(self, folder: Path) -> int:
        """Copy the journal into `folder`, up to a frame appended meanwhile, whose seq it gives (0: there is none); none
        may be trimmed meanwhile. Raises Unavailable or StoreError."""
        last = await self._env.copy(folder)
        return 0 if last == META else int.from_bytes(last)

    def statistics(self) -> dict[str, object]:
        """Return `last_seq`, `trimmed`, `live_bytes`, `map_bytes`, `appended_bytes`, `stored_bytes` and the commits'
        times.
        """
        return {
            "last_seq": self.last_seq,
            "trimmed": self.trimmed,
            "live_bytes": self._env.live_bytes(),
            "map_bytes": self._env.map_bytes,
            "appended_bytes": self.appended_bytes,
            "stored_bytes": self.stored_bytes,
            "commits": self._env.commits.statistics(),
        }

    def close(self) -> None:
        self._env.close()


def _read_meta(transaction: lmdb.Transaction) -> Meta | None:
    kept = transaction.get(META)
    if kept is None:
        if transaction.stat()["entries"]:
            raise frame.corrupt("The journal has frames and no record of its own.")
        return None
    body = bytes(kept[CHECKSUM_BYTES:])
    if kept[:CHECKSUM_BYTES] != checksum(META, body):
        raise frame.corrupt("The journal's own record does not match its checksum.")
    try:
        meta = msgspec.msgpack.decode(body, type=Meta)
    except msgspec.DecodeError as error:
        raise frame.corrupt(f"The journal's own record cannot be read: {error}.") from error
    frame.check_format("The journal", meta.format, FORMAT)
    return meta


def _seal(meta: Meta) -> bytes:
    """Seal the key with a checksum: a key that came to be another one would give other fingerprints and other draws."""
    body = msgspec.msgpack.encode(meta)
    return checksum(META, body) + body


def _make_meta(transaction: lmdb.Transaction) -> Meta:
    meta = Meta(FORMAT, os.urandom(KEY_BYTES), 0)
    transaction.put(META, _seal(meta))
    return meta


def _last_seq(transaction: lmdb.Transaction) -> int:
    cursor = transaction.cursor()
    return int.from_bytes(cursor.key()) if cursor.last() and cursor.key() != META else 0


def _first_seq(transaction: lmdb.Transaction) -> int | None:
    cursor = transaction.cursor()
    return int.from_bytes(cursor.key()) if cursor.set_range(_key(0)) else None


def _read(transaction: lmdb.Transaction, first: int, bytes_max: int) -> list[tuple[int, bytes]]:
    values: list[tuple[int, bytes]] = []
    cursor = transaction.cursor()
    found, total = cursor.set_range(_key(first)), 0
    while found and total < bytes_max:
        key, value = cursor.key(), bytes(cursor.value())
        values.append((int.from_bytes(key), value))
        total += _plain_bytes(value)
        found = cursor.next()
    return values


def _stored(frames: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return the frames as they are stored."""
    return [(seq, _compressed(value)) for seq, value in frames]


def _compressed(value: bytes) -> bytes:
    if len(value) < tuning.JOURNAL_COMPRESSED_FROM_BYTES:
        return value
    packed = COMPRESSED + compress(value)
    return packed if len(packed) < len(value) else value


def _plain(value: bytes, seq: int) -> bytes:
    """Return the frame that is stored as `value`. Raises StoreError `corrupt`."""
    if not value.startswith(COMPRESSED):
        return value
    try:
        return decompress(value[len(COMPRESSED) :], bytes_max=limits.STORE_VALUE_BYTES_MAX)
    except ValueError as error:
        raise frame.corrupt(f"Journal frame {seq} cannot be decompressed: {error}.") from error


def _plain_bytes(value: bytes) -> int:
    return length(value[len(COMPRESSED) :]) if value.startswith(COMPRESSED) else len(value)


def _trim(transaction: lmdb.Transaction, upto: int, meta: Meta) -> tuple[int, int | None]:
    """Delete a slice of frames. Returns how many, and the first that is left.

    LMDB looks at the first page of each: where the system has let go of it, that is read from the disk.
    """
    cursor = transaction.cursor()
    found, count = cursor.set_range(_key(0)), 0
    while found and count < tuning.JOURNAL_TRIM_FRAMES_MAX and int.from_bytes(cursor.key()) <= upto:
        found = cursor.delete() and cursor.key() != b""
        count += 1
    transaction.put(META, _seal(meta))
    return count, _first_seq(transaction)


def _key(seq: int) -> bytes:
    return seq.to_bytes(8)
