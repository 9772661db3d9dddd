from collections.abc import Iterable
from typing import Any, final

from ext.kernel.core import Core

OVER: int
"""Time has come to its end and no inputs are left before it."""
AGAIN: int
"""Much has gathered: look at it, then drive on."""
OCCURRENCE: int
"""It is the instant at which a scheduled launch is due: apply a batch."""
INPUTS: int
"""There is an operation among the inputs to be received now: `take` them."""

@final
class FastForward:
    """Inputs on their way through virtual time, and how far it has come.

    `inputs`: pairs of an instant (ms UTC) and an input, in order of time. An input of a past instant is received at
    the present one.
    """

    def __init__(self, inputs: Iterable[tuple[int, Any]], now_ms: int) -> None: ...
    now_ms: int
    @property
    def batches(self) -> int:
        """Batches applied here so far."""
    def drive(
        self, core: Core, until_ms: int | None, occurrence_ms: int | None, effects_max: int, trace_max: int
    ) -> int:
        """Apply batch after batch, up to one that needs Python; return why it stopped.

        Inputs after `until_ms` are left alone; None: time ends with the last of them. It returns when so many
        effects or trace records have gathered in `core`, and after a bounded number of batches in any case.
        """
    def take(self) -> list[Any]:
        """Return the inputs to be received now, after INPUTS."""
