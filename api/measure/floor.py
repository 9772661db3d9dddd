"""What nothing can be faster than: the same lines only parsed and appended durably, and one commit by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import lmdb
import msgspec

from engine.limits import BATCH_INPUTS_MAX


class Line(msgspec.Struct):
    """As much of an event as must be looked at."""

    userId: str
    event: str
    messageId: str
    properties: msgspec.Raw


def append(body: bytes, folder: Path) -> float:
    """Seconds to parse the lines and append them to LMDB, a durable commit every BATCH_INPUTS_MAX lines."""
    decoder = msgspec.json.Decoder(Line)
    with lmdb.open(str(folder), map_size=1 << 36) as env:
        started_s = time.perf_counter()
        lines = body.split(b"\n")[:-1]
        for at in range(0, len(lines), BATCH_INPUTS_MAX):
            block = b"\n".join(lines[at : at + BATCH_INPUTS_MAX])
            decoder.decode_lines(block)
            with env.begin(write=True) as transaction:
                transaction.put(at.to_bytes(8), block, append=True)
        return time.perf_counter() - started_s


def commit_s(folder: Path, *, size: int = 64 * 1024, rounds: int = 40) -> float:
    """Median seconds to append `size` bytes to a file and have the disk say that they are there."""
    times_s, block = [], os.urandom(size)
    path = folder / "commits"
    with path.open("wb", buffering=0) as file:
        for _ in range(rounds):
            began_s = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            times_s.append(time.perf_counter() - began_s)
    path.unlink()
    return median(times_s)
