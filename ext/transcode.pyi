def pack_json(json: bytes) -> bytes | None:
    """A valid JSON text as MessagePack; None where it is left to the library: a key given twice in an object, more
    than 64 keys in one, whole numbers of 19 digits and more, more than 40 levels."""
