def shortest(value: int | float) -> bytes:
    """Return a number of at most 64 bits as MessagePack, as the engine writes it; for tests."""

def length(packed: bytes) -> int:
    """Return the bytes of the first element; for tests."""
