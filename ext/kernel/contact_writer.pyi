from ext.kernel.contact import Contact

class Packing:
    """The contacts of one part of a snapshot, packed one after the other."""

    @property
    def size(self) -> int:
        """Bytes written."""
    @property
    def records(self) -> int:
        """Contacts among them."""

def pack_contact(contact: Contact) -> bytes:
    """All of it, its runs included, as one MessagePack array; the same state gives the same bytes."""
