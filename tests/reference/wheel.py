"""Timers in one sorted list: what the wheel must do, without a wheel."""

from __future__ import annotations

from sortedcontainers import SortedList


class ReferenceWheel:
    """Slow twin of `ext.structures.wheel.Wheel`, for timers of which no two have the same due and key."""

    def __init__(self) -> None:
        self._waiting: SortedList[tuple[int, int, int]] = SortedList()
        self._by_handle: dict[int, tuple[int, int, int]] = {}
        self._next_handle = 1

    def __len__(self) -> int:
        return len(self._waiting)

    def insert(self, due_ms: int, key: int) -> int:
        timer = (due_ms, key, self._next_handle)
        self._next_handle += 1
        self._waiting.add(timer)
        self._by_handle[timer[2]] = timer
        return timer[2]

    def cancel(self, handle: int) -> bool:
        timer = self._by_handle.pop(handle, None)
        if timer is not None:
            self._waiting.remove(timer)
        return timer is not None

    def expire(self, now_ms: int, limit: int) -> list[tuple[int, int]]:
        expired: list[tuple[int, int]] = []
        while len(expired) < limit and self._waiting and self._waiting[0][0] <= now_ms:
            due, key, handle = self._waiting.pop(0)
            del self._by_handle[handle]
            expired.append((due, key))
        return expired

    def next_due(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None
