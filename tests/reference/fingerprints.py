"""The newest fingerprints, up to a bound, in one list that is searched from end to end."""

from __future__ import annotations

import struct


class ReferenceFingerprints:
    """Slow twin of `ext.structures.fingerprints.Fingerprints`."""

    def __init__(self, capacity: int, slack: int = 0) -> None:
        self.capacity = capacity
        self.all: list[int] = []
        self.held = b""

    @property
    def mark(self) -> int:
        return len(self.all)

    @property
    def remembered(self) -> list[int]:
        return self.all[-self.capacity :]

    def __len__(self) -> int:
        return len(self.remembered)

    def __contains__(self, fingerprint: int) -> bool:
        return fingerprint in self.remembered

    def add(self, fingerprint: int) -> bool:
        new = fingerprint not in self
        if new:
            self.all.append(fingerprint)
        return new

    def pack_since(self, mark: int) -> bytes:
        since = self.all[max(mark, len(self.all) - self.capacity) :]
        return struct.pack(f"<{len(since)}Q", *since)

    def hold(self, mark: int) -> bool:
        self.held = self.pack_since(mark)
        return len(self.held) == 8 * self.capacity

    def held_part(self, most: int) -> bytes | None:
        part, self.held = self.held[: 8 * most], self.held[8 * most :]
        return part or None

    def let_go(self) -> None:
        self.held = b""
