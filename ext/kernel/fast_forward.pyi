from collections.abc import Iterable
from typing import Any, final

from ext.kernel.core import Path

OVER: int
"""Time has come to its end and no inputs are left before it."""
AGAIN: int
"""Much has gathered: look at it, then drive on."""
OCCURRENCE: int
"""It is the instant at which a scheduled launch is due: apply a batch."""
INPUTS: int
"""There is an operation among the inputs to be received now: `take` them."""

def open_batch(path: Path, now_ms: int, timers_max: int, reaped_max: int) -> int:
    """A batch begins: timers that are due, runs that a launch removed, held runs that go on, in this order, and of
    each at most so many."""

def stamped(events: list[Any]) -> tuple[list[tuple[int, Any]], int]:
    """Events with their timestamps, up to the first that has none, and the place of that one, -1 if all have one."""

def misplaced(timed: list[tuple[int, Any]], after_ms: int) -> int:
    """The place of the first that is earlier than the one before it, or than `after_ms`; -1: all are in order."""

@final
class Lane:
    """`inputs`, pairs of an instant (ms UTC) and an input, in order of time, and how far time has come.

    An input of an instant that is over is received at the present one.
    """

    def __init__(self, inputs: Iterable[tuple[int, Any]], now_ms: int) -> None: ...
    now_ms: int
    @property
    def batches(self) -> int:
        """How many were applied here."""
    def drive(
        self, path: Path, until_ms: int | None, occurrence_ms: int | None, effects_max: int, trace_max: int
    ) -> int:
        """Apply batch after batch, up to what needs Python; whose turn it is then.

        Inputs after `until_ms` are left alone; None: time ends with the last of them. It comes back when so many
        effects or trace records have gathered in `path`, and after a bounded number of batches in any case.
        """
    def take(self) -> list[Any]:
        """The inputs to be received now, after INPUTS."""
