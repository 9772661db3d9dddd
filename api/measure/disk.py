"""Bytes written to the disk that holds a folder, by the block device's own counter.

Not `/proc/PID/io`: it counts a page each time it is made dirty, and over-counts LMDB's random writes tenfold and
more. The device counts for everybody: a figure holds what other programs wrote meanwhile.
"""

from __future__ import annotations

import os
from pathlib import Path

SECTOR_BYTES = 512
"""The unit of the counters, whatever the device's own sectors are."""
SECTORS_WRITTEN = 6


def written_bytes(folder: Path) -> int | None:
    """Bytes written to the device under `folder` since the machine started; None where no device can be told."""
    device = folder.stat().st_dev
    counters = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    if not counters.is_file():
        return None
    return int(counters.read_text().split()[SECTORS_WRITTEN]) * SECTOR_BYTES


def settled_bytes(folder: Path) -> int | None:
    """The same after everything that is on its way has been written."""
    os.sync()
    return written_bytes(folder)
