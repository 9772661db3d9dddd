"""Bytes on their way to the disk, compressed where that makes them fewer, and back.

    length of the data 4 | the data compressed, or as it is where that is not longer

Zstandard at its fastest ordinary level: batches of events and packed contacts, which repeat the names of their keys and
much else, come out at a fifth and less, at half a gigabyte a second and more of CPU time; what cannot be compressed
is noticed at three. It runs without the interpreter's lock, beside the loop. Rejected: zlib (a fifth of the speed for
no fewer bytes), a dictionary over all parts (one more thing that must not get lost).

Nothing here checks what it is given: a checksum has to be over what comes out, or over what goes in.
"""

from __future__ import annotations

import threading

import zstandard

LEVEL = 1
LENGTH_BYTES = 4


class _Contexts(threading.local):
    """A compressor serves one thread at a time, and takes a megabyte to make."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=False)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def compress(data: bytes | memoryview) -> bytes:
    """Compress `data`, for `decompress`. The result is at most 4 bytes longer."""
    packed = _contexts.compressor.compress(data)
    return len(data).to_bytes(LENGTH_BYTES) + (packed if len(packed) < len(data) else bytes(data))


def length(packed: bytes) -> int:
    """Return the bytes of what was compressed."""
    return int.from_bytes(packed[:LENGTH_BYTES])


def decompress(packed: bytes, *, bytes_max: int) -> bytes:
    """Decompress. Raises ValueError for bytes that `compress` did not make, or for more than `bytes_max`."""
    size, body = length(packed), packed[LENGTH_BYTES:]
    if len(packed) < LENGTH_BYTES or len(body) > size or size > bytes_max:
        raise ValueError(f"{size} bytes cannot come of {len(body)}")
    if len(body) == size:
        return body
    try:
        data = _contexts.decompressor.decompress(body, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes came out of it, {size} went in")
    return data
