from typing import Any, final

@final
class IndexList:
    """Indexes in the order in which they were added."""

@final
class ContactSnapshot:
    """The contacts changed since the last snapshot, and the snapshot in progress."""

    def __new__(cls, order: list[Any]) -> ContactSnapshot: ...
    def begin(self, full: bool, part_bytes: int) -> list[str]:
        """Begin a snapshot, in parts of about `part_bytes`; return the ids deleted since the last one."""

    def part(self, records_max: int) -> bytes | None:
        """Return the next `["contacts", [[id, packed]]]` with about `records_max` contacts, None after the last."""

    def abandon(self) -> None:
        """Drop the snapshot in progress."""
