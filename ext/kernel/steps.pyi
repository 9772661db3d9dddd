from typing import Any

from engine.model import Effect
from ext.kernel.records import Contact
from ext.kernel.registry import Roster

class Acting(Roster):
    """Steps carried out, as far as their actions are literal."""

    outbox: Any
    """The `engine.kernel.outbox.Outbox`."""
    effects: list[Effect]
    """Those of the batch."""
    channels: tuple[str, ...] | None
    """Those configured; None: every channel."""

    def emit(self, contact: Contact, name: str, packed: bytes, depth: int, keep: bool) -> None:
        """Queue an event that somebody asks for (rule 19); `keep`: it goes into the contact's history."""
    def wants(self, name: str) -> bool:
        """Whether an event of the engine's own of this name would mean anything to anybody."""
