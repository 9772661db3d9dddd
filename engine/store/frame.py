"""A journal frame: one batch as bytes, with all that recovery needs to trust it.

    magic 4 | format 2 | kernel version 2 | seq 8 | now_ms 8 | inputs 4 | body length 4 | previous digest 8
    | checksum 8 | body

Big endian. The body is the input lines of the batch as `engine.wire` reads them. The checksum
(`ext.structures.checksum`, 64 bits) is of everything else; LMDB itself does not notice a flipped bit in a value.
`previous` is the kernel's running digest before the batch: replay compares it, so a kernel that has come to differ is
found at the batch where it did.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from engine.errors import StoreError
from ext.structures.checksum import checksum as sum_of
from ext.structures.checksum import sealed

MAGIC = b"TMfr"
FORMAT = 2
CHECKSUM_BYTES = 8
_HEAD = struct.Struct(">4sHHQqIIQ")
HEADER_BYTES = _HEAD.size + CHECKSUM_BYTES
RESTORE = "Restore the data directory from a backup."


class Frame(msgspec.Struct, frozen=True):
    """One batch of the journal, verified. `previous` is the kernel's outcome digest before it."""

    seq: int
    now_ms: int
    version: int
    count: int
    previous: int
    body: bytes


def encode(
    seq: int, now_ms: int, *, version: int, count: int, previous: int, bodies: Sequence[bytes]
) -> bytes:
    """Encode the frame of a batch whose input lines are `bodies`, one after the other."""
    length = sum(map(len, bodies))
    head = _HEAD.pack(MAGIC, FORMAT, version, seq, now_ms, count, length, previous)
    return sealed(head, list(bodies))


def decode(value: bytes, seq: int) -> Frame:
    """Decode the frame stored under `seq`. Raises StoreError `corrupt`, or `format` when a later release wrote it."""
    if len(value) < HEADER_BYTES or value[:4] != MAGIC:
        raise corrupt(f"Journal frame {seq} is not a frame.")
    _, form, version, own_seq, now_ms, count, length, previous = _HEAD.unpack_from(value)
    head, kept, body = value[: _HEAD.size], value[_HEAD.size : HEADER_BYTES], value[HEADER_BYTES:]
    if checksum(head, body) != kept:
        raise corrupt(f"Journal frame {seq} does not match its checksum.")
    check_format(f"Journal frame {seq}", form, FORMAT)
    if own_seq != seq or length != len(body):
        raise corrupt(f"Journal frame {seq} says it is frame {own_seq} of {length} bytes.")
    return Frame(seq, now_ms, version, count, previous, body)


def checksum(*pieces: bytes) -> bytes:
    """Compute the checksum of pieces one after the other, each seeded with the sum of the one before.

    Where one ends is part of it.
    """
    found = 0
    for piece in pieces:
        found = sum_of(piece, found)
    return found.to_bytes(CHECKSUM_BYTES)


def check_format(what: str, form: int, own: int) -> None:
    """Check a format. Raises StoreError `format` if `what` was written in another one than ours."""
    if form != own:
        raise StoreError(
            "format",
            f"{what} has format {form}; this release reads format {own}.",
            remedy="Start the release that wrote it.",
        )


def corrupt(detail: str) -> StoreError:
    """Make the error of a store that does not hold what was written into it."""
    return StoreError("corrupt", detail, remedy=RESTORE)
