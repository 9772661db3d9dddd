"""Time as milliseconds UTC. Only floors above the kernel read a clock; the kernel is told the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Gives the present as milliseconds since 1970 UTC."""

    def now_ms(self) -> int: ...


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class VirtualClock:
    """A clock that stands still until it is set; never backwards."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def set(self, now_ms: int) -> None:
        assert now_ms >= self._now_ms, "a virtual clock does not go back"
        self._now_ms = now_ms
