from collections.abc import Iterator
from typing import Any, Self

from ext.kernel.contact_table import ContactTable
from ext.kernel.flow import FlowCore
from ext.kernel.records import Contact
from ext.kernel.run_table import RunTable
from ext.structures.wheel import Wheel

class Roster:
    """The contacts and waiting runs of an engine, where each is found, and how they get into a snapshot."""

    def __new__(cls, key: bytes, host: object) -> Self:
        """`key`: the 16 bytes of the data directory; `host` is for whoever builds on this."""
    @property
    def key(self) -> bytes: ...
    @property
    def contacts(self) -> ContactTable:
        """By id; an alias leads to the contact it belongs to."""
    @property
    def order(self) -> list[Contact | None]:
        """In order of creation; None where one was deleted."""
    @property
    def ids(self) -> Any:
        """SortedList of contact ids."""
    @property
    def runs(self) -> RunTable:
        """Waiting runs, by id."""
    @property
    def wheel(self) -> Wheel: ...
    @property
    def flows(self) -> dict[int, FlowCore]: ...
    @property
    def holding(self) -> dict[int, FlowCore]:
        """Flows with held runs, by number."""
    @property
    def now_ms(self) -> int: ...
    @property
    def arrival_count(self) -> int: ...
    def contact(self, id: str) -> Contact | None: ...
    def contact_or_new(self, id: str) -> Contact: ...
    def touch(self, contact: Contact) -> None:
        """Call before a contact changes."""
    def merge(self, contact: Contact, previous: Contact) -> None: ...
    def forget(self, contact: Contact) -> None: ...
    def lead(self, ids: tuple[str, ...], contact: Contact) -> None:
        """From now on these ids are aliases of this contact."""
    def snapshot(self, full: bool, part_bytes: int) -> list[str]:
        """Start a snapshot, in parts of about `part_bytes`; the ids deleted since the one before."""
    def snapshot_part(self, records_max: int) -> bytes | None:
        """The next `["contacts", [[id, packed]]]`, with about `records_max` at most; None when all were given."""
    def abandon_snapshot(self) -> None: ...
    def all_packed(self) -> Iterator[bytes]: ...
    def restore(self, packed: bytes, gone: frozenset[str]) -> None:
        """Take packed contacts, a MessagePack list of `[id, contact]`, and their runs; all flows are there. Those of
        newer snapshots come first: one who is known already, or is `gone`, is passed over."""
    def restored_all(self) -> None:
        """After the last `restore`."""
