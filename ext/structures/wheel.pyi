from typing import Self, final

@final
class Wheel:
    """Waiting timers by the millisecond: each a due time (ms UTC) and a key, any two 64-bit integers.

    Given out in `(due, key)` order whatever the order of insertion, and never early. Insert and cancel are
    O(1), but for timers that were due already when inserted: O(log of how many of those wait).
    """

    def __new__(cls, now_ms: int = 0) -> Self:
        """`now_ms` is where the wheel begins to turn; what is due before it comes out first all the same."""

    def insert(self, due_ms: int, key: int) -> int:
        """Add a timer. Its handle (never 0) serves `cancel` until the timer was given out or cancelled.
        MemoryError where there is no room for it; the wheel is then as before."""

    def cancel(self, handle: int) -> bool:
        """Take the timer out; False if it is not there any more, or never was."""

    def cancel_soon(self, handle: int) -> None:
        """As `cancel` of a timer that is there, before anything is asked of the wheel; AssertionError then if it was
        not. Among millions three times as fast: the memory it needs is fetched while others follow."""

    def expire(self, now_ms: int, limit: int) -> list[tuple[int, int]]:
        """Take out the smallest `(due, key)` with `due <= now_ms`, at most `limit` of them, in order."""

    def next_due(self) -> int | None:
        """The smallest due of all timers, exactly; None if there are none."""

    def __len__(self) -> int: ...
    def statistics(self) -> dict[str, int | list[int]]:
        """`timers`, `late` and `run`: all that wait, those inserted past due, those of the millisecond being
        given out; `bytes` held for timers; `levels`: timers in slots, by level; `elapsed_ms`."""
