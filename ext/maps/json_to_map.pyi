def pack_json(json: bytes) -> bytes | None:
    """A valid JSON text as MessagePack; None where it is left to the library: a key given twice in an object, more
    than 64 keys without a number in one, whole numbers of 19 digits and more, more than 40 levels. For tests."""

def pack_object(json: bytes) -> bytes:
    """A JSON object as MessagePack; integers beyond 64 bits become doubles. For tests."""

def as_kept_json(json: bytes) -> bytes:
    """A JSON object as the engine keeps it, its keys numbered. For tests."""
