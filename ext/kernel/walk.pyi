from typing import Any

from ext.expressions.plan import View
from ext.kernel.flow import FlowCore
from ext.kernel.records import Contact
from ext.kernel.steps import Acting
from ext.structures.name_table import Names

GATES: tuple[str, ...]
"""What refuses an entry."""

class ContactView(View): ...

class Walk(Acting):
    """How a run walks, from entering until it waits or ends."""

    trace: list[Any] | None
    @property
    def names(self) -> Names:
        """Of events kept in histories."""
    @property
    def properties(self) -> Names:
        """Of the numbers kept with them."""
    @property
    def digest(self) -> int: ...
    @property
    def run_count(self) -> int: ...
    def mix(self, value: int) -> int: ...
    def entry(self, flow: FlowCore, contact: Contact) -> tuple[str, int | None]:
        """What refuses an entry now ("" for nothing), and from when on it may be."""
    def end_runs(self, contact: Contact, reason: int) -> None: ...
