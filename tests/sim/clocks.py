"""The wall clock of the simulated world: runs with trio's virtual clock, faster than it, and can be set."""

from __future__ import annotations

import trio.testing

START_MS = 1_774_562_400_000
"""2026-03-26T22:00:00Z, some days before the clocks of Europe change."""


class WallClock:
    """`pace` ms of wall time pass in a millisecond of the world's."""

    def __init__(self, clock: trio.testing.MockClock, pace: int) -> None:
        self._clock = clock
        self._pace = pace
        self._set_ms = START_MS
        self._since_s = clock.current_time()
        self.latest_ms = START_MS
        """The latest time that it has shown to the engine."""

    def now_ms(self) -> int:
        now_ms = self._set_ms + int((self._clock.current_time() - self._since_s) * 1000 * self._pace)
        self.latest_ms = max(self.latest_ms, now_ms)
        return now_ms

    def jump(self, ms: int) -> None:
        """Set it forward, or back."""
        self._set_ms = self.now_ms() + ms
        self._since_s = self._clock.current_time()
