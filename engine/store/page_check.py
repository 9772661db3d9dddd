"""The pages of an LMDB file, looked at before LMDB trusts them.

LMDB follows what its pages say: a flipped bit in a page number or an offset makes it read outside its map and takes the
process with it, one in its list of free pages lets it overwrite what is in use. So before a store is opened, its
pages are read once by what the format promises: two meta pages of neighbouring transactions, two trees (free pages and
records) whose pages are what and as many as the meta page says, keys in order and where their branches say, each page
used once or free. What the records hold is not looked at: they have checksums of their own. Large records take one
look each, so a store of a gigabyte is a matter of milliseconds.

    page  number 8 | pad 2 | flags 2 | lower 2 | upper 2 | offsets of nodes, 2 each … nodes
    node  size or page number, low 2 | high 2 | flags 2 | length of the key 2 | key | data

In the byte order of the machine, as written by LMDB 0.9 for 64 bits; its file is not for other machines either.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NoReturn

from engine.store import frame

MAGIC, VERSION = 0xBEEFC0DE, 1
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
BIG = 1
"""Flag of a node whose data lies in overflow pages."""
NO_PAGE = (1 << 64) - 1
HEAD_BYTES = 16
DEPTH_MAX = 32
INTEGER_KEYS = 8
_head = struct.Struct("=QHHHH")
_node = struct.Struct("=HHHH")
_meta = struct.Struct("=IIQQ")
_tree = struct.Struct("=IHHQQQQQ")
_long = struct.Struct("=Q")
_META_END = HEAD_BYTES + _meta.size + 2 * _tree.size
_PAGE_BYTES = (512, 32 * 1024)


def check(file: Path, name: str) -> None:
    """Check all pages of a file.

    Raises StoreError `corrupt` that names the page. A missing or empty file is a new store's.
    """
    if not file.exists() or not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        Pages(data, f"{name} ({file})").check()


class Pages:
    """One look at all pages of a file. `counts`: branch, leaf, overflow pages and entries of the tree being walked."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data = data
        self._name = name
        self._page_bytes = _META_END
        self._last = 0
        self._txn = 0
        self._seen = bytearray()
        self._free: list[tuple[int, int]] = []
        self._counts = [0, 0, 0, 0]

    def check(self) -> None:
        """Check all pages. Raises StoreError."""
        free, records = self._metas()
        self._seen = bytearray(self._last + 1)
        self._seen[0:2] = b"\1\1"
        self._walk_tree(free, is_free_list=True)
        self._walk_tree(records, is_free_list=False)
        for start, page in self._free:
            self._take_free(start, page)
        if (lost := self._seen.find(0)) >= 0:
            self._wrong(lost, "is neither in use nor free")

    def _wrong(self, page: int, what: str) -> NoReturn:
        raise frame.corrupt(f"Page {page} of the {self._name} {what}.")

    def _metas(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the two trees by the newer meta page, once both were found to be whole."""
        if len(self._data) < 2 * _META_END:
            self._wrong(0, "is cut off")
        (size,) = struct.unpack_from("=I", self._data, HEAD_BYTES + _meta.size)
        if not _PAGE_BYTES[0] <= size <= _PAGE_BYTES[1] or size & (size - 1):
            self._wrong(0, f"speaks of pages of {size} bytes")
        self._page_bytes = size
        metas = [self._meta(number) for number in (0, 1)]
        (old, new) = sorted(metas)
        if new[0] - old[0] != (1 if new[0] else 0) or (new[0] and metas[new[0] & 1] is not new):
            self._wrong(new[0] & 1, f"is of transaction {new[0]}, the other meta page of {old[0]}")
        self._txn, self._last, free, records = new
        return free, records

    def _meta(self, number: int) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
        """Return transaction, last page and the two trees as one of the meta pages has them."""
        at = number * self._page_bytes
        if len(self._data) < at + _META_END + 16:
            self._wrong(number, "is cut off")
        own, _, flags, _, _ = _head.unpack_from(self._data, at)
        magic, version, _, _ = _meta.unpack_from(self._data, at + HEAD_BYTES)
        if (own, flags, magic, version) != (number, META, MAGIC, VERSION):
            self._wrong(number, "is no meta page")
        free = _tree.unpack_from(self._data, at + HEAD_BYTES + _meta.size)
        records = _tree.unpack_from(self._data, at + HEAD_BYTES + _meta.size + _tree.size)
        if free[:2] != (self._page_bytes, INTEGER_KEYS) or records[:2] != (0, 0):
            self._wrong(number, "is of a store that is not ours")
        last, txn = struct.unpack_from("=QQ", self._data, at + _META_END)
        if last < 1 or last > len(self._data) // self._page_bytes + len(self._data) // _long.size:
            # pages beyond the end of the file are free, and each is listed in the file
            self._wrong(number, f"speaks of {last} pages")
        return txn, last, free, records

    def _walk_tree(self, tree: tuple[int, ...], *, is_free_list: bool) -> None:
        *_, depth, branches, leaves, overflows, entries, root = tree
        self._counts = [0, 0, 0, 0]
        if root != NO_PAGE:
            self._walk(root, depth, b"", None, is_free_list=is_free_list)
        elif depth:
            self._wrong(self._txn & 1, "speaks of a tree without a root")
        if self._counts != [branches, leaves, overflows, entries]:
            self._wrong(self._txn & 1, "counts other pages or records than there are")

    def _walk(self, page: int, depth: int, low: bytes, high: bytes | None, *, is_free_list: bool) -> None:
        """Walk over a page and what is below it: keys in order, none below `low`, all below `high`."""
        if not 0 < depth <= DEPTH_MAX:
            self._wrong(page, f"is {abs(depth)} levels from the leaves")
        kind = LEAF if depth == 1 else BRANCH
        at, offsets = self._enter(page, kind)
        before = low
        for place, offset in enumerate(offsets):
            first, second, flags, length = _node.unpack_from(self._data, at + offset)
            if offset + 8 + length > self._page_bytes:
                self._wrong(page, f"has a key outside of it at place {place}")
            key = self._data[at + offset + 8 : at + offset + 8 + length]
            key = _ordered(key) if is_free_list else key
            leads = kind == BRANCH and place == 0
            if not leads and (
                key < before or (high is not None and key >= high) or (place and key == before)
            ):
                self._wrong(page, f"has a key out of order at place {place}")
            if kind == LEAF:
                self._data_of(page, at + offset + 8 + length, first | second << 16, flags, key, is_free_list)
            else:
                until = (
                    self._key_at(at, offsets, place + 1, is_free_list) if place + 1 < len(offsets) else high
                )
                child = first | second << 16 | flags << 32
                self._walk(child, depth - 1, low if leads else key, until, is_free_list=is_free_list)
            before = before if leads else key

    def _key_at(self, at: int, offsets: tuple[int, ...], place: int, is_free_list: bool) -> bytes:
        length = _node.unpack_from(self._data, at + offsets[place])[3]
        key = self._data[at + offsets[place] + 8 : at + offsets[place] + 8 + length]
        return _ordered(key) if is_free_list else key

    def _enter(self, page: int, kind: int) -> tuple[int, tuple[int, ...]]:
        """Return where a page of a tree begins in the file, and the offsets of its nodes in it."""
        self._use(page, 1)
        at = page * self._page_bytes
        own, _, flags, lower, upper = _head.unpack_from(self._data, at)
        if own != page or flags != kind:
            self._wrong(page, "is not the page that it should be")
        if not HEAD_BYTES < lower <= upper <= self._page_bytes or lower % 2:
            self._wrong(page, "has no room for what it holds")
        offsets = struct.unpack_from(f"={(lower - HEAD_BYTES) // 2}H", self._data, at + HEAD_BYTES)
        if min(offsets) < upper or max(offsets) + 8 > self._page_bytes:
            self._wrong(page, "has a node outside of it")
        self._counts[0 if kind == BRANCH else 1] += 1
        return at, offsets

    def _data_of(self, page: int, at: int, size: int, flags: int, key: bytes, is_free_list: bool) -> None:
        """Return the data of a leaf's node, which begins `at`."""
        self._counts[3] += 1
        end = (page + 1) * self._page_bytes
        if flags not in (0, BIG) or at + (8 if flags else size) > end:
            self._wrong(page, "has data outside of it")
        if flags:
            (first,) = _long.unpack_from(self._data, at)
            count = (HEAD_BYTES - 1 + size) // self._page_bytes + 1
            self._use(first, count)
            at = first * self._page_bytes
            own, _, kind, low, high = _head.unpack_from(self._data, at)
            if (own, kind, low | high << 16) != (first, OVERFLOW, count):
                self._wrong(first, "is not the overflow page that it should be")
            self._counts[2] += count
            at += HEAD_BYTES
        if is_free_list:
            self._list_free(page, at, size, key)

    def _list_free(self, page: int, at: int, size: int, key: bytes) -> None:
        if size < 8 or size % 8 or int.from_bytes(key) > self._txn:
            self._wrong(page, "has no list of free pages where it should")
        count, *free = struct.unpack_from(f"={size // 8}Q", self._data, at)
        if count > len(free):
            self._wrong(page, "has a list of free pages that is too short")
        self._free += [(page, one) for one in free[:count]]

    def _use(self, page: int, count: int) -> None:
        """Mark pages of a tree as used: inside the file, and not met before."""
        if page < 2 or page + count > self._last + 1 or (page + count) * self._page_bytes > len(self._data):
            self._wrong(page, "is needed and outside the file")
        if self._seen.count(1, page, page + count):
            self._wrong(page, "is used twice")
        self._seen[page : page + count] = b"\1" * count

    def _take_free(self, named_in: int, page: int) -> None:
        if not 2 <= page <= self._last or self._seen[page]:
            self._wrong(named_in, f"calls page {page} free, which it is not")
        self._seen[page] = 1


def _ordered(key: bytes) -> bytes:
    """Return a number's key so that bytes are in the order of numbers."""
    return int.from_bytes(key, "little" if struct.pack("=H", 1) == b"\1\0" else "big").to_bytes(len(key))
