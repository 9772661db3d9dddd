"""A disk in memory, as unreliable as real ones are allowed to be.

What a process writes it reads back at once, but only what was synced survives a power cut: of each later write every
sector of 512 bytes is kept or lost on its own. A killed process loses nothing it wrote. Sectors are never torn:
that is what disks promise, and what LMDB's meta pages rely on.
"""

from __future__ import annotations

from random import Random

import lmdb

SECTOR_BYTES = 512


class PowerCut(BaseException):
    """The process has ended. Raised wherever it would touch the disk or the world again."""


class File:
    """`content` is what a process reads; `durable` what a power cut leaves, with some of `unsynced`."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = bytearray()
        self.unsynced: list[tuple[int, bytes]] = []

    def put(self, at: int, data: bytes) -> None:
        _overwrite(self.content, at, data)
        self.unsynced.append((at, data))

    def sync(self) -> None:
        for at, data in self.unsynced:
            _overwrite(self.durable, at, data)
        self.unsynced.clear()

    def lose_power(self, chance: Random) -> None:
        """Keep some of the unsynced sectors."""
        for at, data in self.unsynced:
            whole = chance.random()
            start = 0
            while start < len(data):
                end = min(len(data), start + SECTOR_BYTES - (at + start) % SECTOR_BYTES)
                if whole < 0.3 or (whole < 0.7 and chance.random() < 0.5):
                    _overwrite(self.durable, at + start, data[start:end])
                start = end
        self.unsynced.clear()
        self.content = bytearray(self.durable)

    def copy(self) -> File:
        other = File()
        other.content, other.durable = bytearray(self.content), bytearray(self.durable)
        other.unsynced = list(self.unsynced)
        return other


def _overwrite(content: bytearray, at: int, data: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


class Disk:
    """Files by name. `boot` counts the processes that used the disk; a process of an earlier boot cannot touch it."""

    def __init__(self, chance: Random) -> None:
        self.files: dict[str, File] = {}
        self.boot = 1
        self.full = False
        self.calls = 0
        self._chance = chance
        self._cut_in: int | None = None
        self._cut_power = False
        self._fail_in: int | None = None

    def file(self, name: str) -> File:
        return self.files.setdefault(name, File())

    def cut_in(self, calls: int, *, power: bool) -> None:
        """Cut the process off at a later call; with `power`, unsynced content may be lost."""
        self._cut_in, self._cut_power = calls, power

    def fail_in(self, calls: int) -> None:
        """Answer one later call with an I/O error."""
        self._fail_in = calls

    def cut(self, *, power: bool) -> None:
        """End the process now."""
        self.boot += 1
        self._cut_in = self._fail_in = None
        if power:
            for _, file in sorted(self.files.items()):
                file.lose_power(self._chance)

    def calm(self) -> None:
        """Remove all faults."""
        self.full = False
        self._cut_in = self._fail_in = None

    def write(self, boot: int, name: str, at: int, data: bytes) -> None:
        """Raise the fault that is due: PowerCut, DiskError (no space, if the call grows a file) or lmdb.Error."""
        file = self.file(name)
        if self._strikes(boot):
            if self._chance.random() < 0.5:
                file.put(at, data)
            self._strike()
        self._maybe_fail()
        if self.full and at + len(data) > len(file.content):
            raise lmdb.DiskError("No space left on device")
        file.put(at, data)

    def sync(self, boot: int, name: str) -> None:
        if self._strikes(boot):
            self._strike()
        self._maybe_fail()
        self.file(name).sync()

    def read(self, boot: int, name: str, at: int, size: int) -> bytes:
        self.require(boot)
        return bytes(self.file(name).content[at : at + size])

    def require(self, boot: int) -> None:
        if boot != self.boot:
            raise PowerCut

    def copy(self) -> Disk:
        """Return a disk with this content for another process, without faults."""
        other = Disk(Random(0))
        other.files = {name: file.copy() for name, file in self.files.items()}
        other.boot = self.boot
        return other

    def _strikes(self, boot: int) -> bool:
        self.require(boot)
        self.calls += 1
        if self._cut_in is None:
            return False
        self._cut_in -= 1
        return self._cut_in <= 0

    def _strike(self) -> None:
        self.cut(power=self._cut_power)
        raise PowerCut

    def _maybe_fail(self) -> None:
        if self._fail_in is None:
            return
        self._fail_in -= 1
        if self._fail_in <= 0:
            self._fail_in = None
            raise lmdb.Error("Input/output error")
