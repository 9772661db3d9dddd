from typing import Self, final

from ext.kernel.contact import Contact

@final
class ContactTable:
    """Contacts by id, aliases included. Holds the contacts; grows without ever holding the loop."""

    def __new__(cls, key: bytes) -> Self:
        """`key`: 16 bytes (ValueError otherwise), under which ids are hashed."""

    def get(self, id: str) -> Contact | None: ...
    def lead(self, id: str, contact: Contact) -> None:
        """From now on this id, one of the contact's and leading nowhere yet, leads to it."""

    def forget(self, id: str, contact: Contact) -> None:
        """It leads nowhere any more. The contact must still know the id."""

    def __len__(self) -> int:
        """How many ids lead to a contact."""

    @property
    def bytes_used(self) -> int:
        """Memory of the slots."""
