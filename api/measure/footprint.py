"""What a process holds just now: memory, descriptors, processor time, and its directory on the disk (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own is."""
TICKS = os.sysconf("SC_CLK_TCK")
USER, SYSTEM = 11, 12
"""Places in `/proc/PID/stat`, counted from behind the name of the program."""
IDLE = 3


class Footprint(msgspec.Struct, frozen=True):
    """`own_bytes`: of the resident ones, those that are no pages of files. `disk_bytes`: what the files take, not what
    they are long. `cpu_s`: since the process began. `machine_s`: of all processes and of who else is on the host, since
    the machine did."""

    resident_bytes: int
    own_bytes: int
    descriptors: int
    files: int
    disk_bytes: int
    cpu_s: float
    machine_s: float


def footprint(pid: int, data: Path) -> Footprint:
    """Of the process, and of the directory `data`."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    times = (process / "stat").read_text().rpartition(")")[2].split()
    sizes = [BLOCK_BYTES * blocks for blocks in _blocks(data)]
    return Footprint(
        resident_bytes=_kilobytes(status["VmRSS"]),
        own_bytes=_kilobytes(status["RssAnon"]),
        descriptors=sum(1 for _ in (process / "fd").iterdir()),
        files=len(sizes),
        disk_bytes=sum(sizes),
        cpu_s=(int(times[USER]) + int(times[SYSTEM])) / TICKS,
        machine_s=_machine_s(),
    )


def _machine_s() -> float:
    """The first line of `/proc/stat`: user, nice, system, idle, waiting for the disk, interrupts twice, stolen."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(one) for one in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[IDLE] - ticks[IDLE + 1]) / TICKS


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _blocks(data: Path) -> list[int]:
    """Of each file; one that is replaced meanwhile is not there any more."""
    found = []
    for folder, _, names in os.walk(data):
        for name in names:
            try:
                found.append(os.lstat(os.path.join(folder, name)).st_blocks)
            except FileNotFoundError:
                continue
    return found
