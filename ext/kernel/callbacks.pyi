from typing import Any

from ext.expressions.plan import Plan, View
from ext.kernel.contact import Contact
from ext.kernel.flow import FlowCore, NodeCore
from ext.kernel.run import Run

class Callbacks:
    """Questions that the compiled kernel asks of Python; a subclass answers them."""

    def act(self, run: Run, node: NodeCore, place: int) -> tuple[int, dict[str, str]]:
        """Carry out the action at `place` of a step; return the number of its outcome and its entry in the trace."""

    def identify(self, contact: Contact, packed: bytes) -> None:
        """Apply traits from outside (rule 7), given as a MessagePack map."""

    def alias(self, contact: Contact, previous: str) -> None:
        """Join the contact of the id `previous` into `contact` (rule 30)."""

    def date_of(self, run: Run, node: NodeCore, view: View) -> int | None:
        """Return the end of a dynamic wait in ms UTC, or None if it has no date (rule 5)."""

    def opening(self, contact: Contact, flow: FlowCore, windows: tuple[Any, ...], ms: int) -> int:
        """Return the first instant >= `ms` inside one of the windows, in ms UTC (rule 4)."""

    def key_of(self, plan: Plan, view: View) -> str | None:
        """Return the value of `run_key` as text, or None if it has none."""

    def worth_of(self, plan: Plan, view: View) -> int:
        """Return the revenue of a goal event in hundredths of the currency (rule 22)."""

    def available(self, pool: str) -> int:
        """Count the promo codes left in a pool."""

    def cut(self, contact: Contact, event: str) -> None:
        """Record that a chain of events was cut (rule 19)."""
