from collections.abc import Iterator
from typing import Any, final

from ext.kernel.contact import Contact
from ext.kernel.contact_snapshot import ContactSnapshot
from ext.kernel.contact_table import ContactTable
from ext.kernel.flow import FlowCore
from ext.kernel.run_table import RunTable
from ext.structures.wheel import Wheel

@final
class Registry:
    """The contacts, runs and flows of an engine."""

    def __new__(cls, key: bytes) -> Registry: ...
    @property
    def contacts(self) -> ContactTable:
        """Contacts by id; an alias leads to the contact it belongs to."""

    @property
    def order(self) -> list[Contact | None]:
        """Contacts in order of creation; None where one was deleted."""

    @property
    def ids(self) -> Any:
        """SortedList of contact ids."""

    @property
    def runs(self) -> RunTable:
        """Waiting runs, by id."""

    @property
    def wheel(self) -> Wheel:
        """Timers of the waiting runs."""

    @property
    def flows(self) -> dict[int, FlowCore]:
        """Flows by number."""

    @property
    def holding(self) -> dict[int, FlowCore]:
        """Flows with held runs, by number."""

    @property
    def dooms(self) -> Any:
        """Deque of (flow number, node) whose doomed runs are being ended."""

    @property
    def arrival_count(self) -> int:
        """Arrivals at waits so far."""

    @property
    def snapshot(self) -> ContactSnapshot:
        """The snapshot of the contacts, and what changed since the last one."""

    def contact(self, id: str) -> Contact | None:
        """Return the contact of an id, or None."""

    def touch(self, contact: Contact) -> int:
        """Call before a contact or one of its runs changes."""

    def merge(self, contact: Contact, previous: Contact) -> None:
        """Move all of `previous` but its traits to `contact` (rule 30)."""

    def forget(self, contact: Contact) -> None:
        """Remove a contact, which has no runs any more."""

    def lead(self, ids: tuple[str, ...], contact: Contact) -> None:
        """Make these ids, which lead to no contact yet, aliases of a contact."""

    def all_packed(self) -> Iterator[bytes]:
        """Yield every contact packed, in order of id."""

    def restore(self, packed: bytes, gone: frozenset[str]) -> None:
        """Add packed contacts, a MessagePack list of `[id, contact]`, and their runs, newer snapshots first."""

    def restored_all(self) -> None:
        """Finish after the last `restore`."""
