from ext.kernel.contact import Contact
from ext.kernel.core import Core
from ext.kernel.flow import FlowCore

GATES: tuple[str, ...]
"""Words for what refuses an entry."""

def entry(core: Core, flow: FlowCore, contact: Contact) -> tuple[str, int | None]:
    """Return what refuses an entry now ("" for nothing), and from when in ms it may be."""

def end_runs(core: Core, contact: Contact, reason: int) -> None:
    """End all runs of a contact, with the number of a reason (rule 30)."""
