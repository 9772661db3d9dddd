"""Contacts by id in one list, searched from end to end."""

from __future__ import annotations

from ext.kernel.contact import Contact


class ReferenceContactTable:
    """Slow twin of `ext.kernel.contact_table.ContactTable`."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Contact]] = []

    def get(self, id: str) -> Contact | None:
        return next((contact for known, contact in self.all if known == id), None)

    def lead(self, id: str, contact: Contact) -> None:
        self.all.append((id, contact))

    def forget(self, id: str, contact: Contact) -> None:
        self.all = [pair for pair in self.all if pair != (id, contact)]

    def __len__(self) -> int:
        return len(self.all)
