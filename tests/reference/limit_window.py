"""Every passage ever, in one list, counted from the rule (rule 23)."""

from __future__ import annotations


class ReferencePassages:
    """Slow twin of `ext.kernel.limit_window.Passages`, which never forgets a passage."""

    def __init__(self, max: int, per_ms: int = -1) -> None:
        self.all: list[int] = []
        self.resize(max, per_ms)

    def resize(self, max: int, per_ms: int = -1) -> None:
        self.max = max
        self.per_ms = per_ms

    def _at(self, now_ms: int) -> int:
        """Time does not go back."""
        return max([now_ms, *self.all[-1:]])

    def count(self, now_ms: int) -> int:
        now_ms = self._at(now_ms)
        if self.per_ms < 0:
            return len(self.all)
        return sum(now_ms - self.per_ms < ms <= now_ms for ms in self.all)

    def pass_(self, now_ms: int) -> bool:
        free = self.count(now_ms) < self.max
        if free:
            self.all.append(self._at(now_ms))
        return free

    def most_in_a_window(self, per_ms: int) -> int:
        """Return the largest number of passages in any `(t - per_ms, t]`, which is reached where t is a passage."""
        return max((sum(t - per_ms < ms <= t for ms in self.all) for t in self.all), default=0)
