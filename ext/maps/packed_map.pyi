def as_kept(packed: bytes) -> bytes:
    """A MessagePack map as the engine keeps it, its keys numbered. For tests."""

def as_given(kept: bytes) -> bytes:
    """What was given for it: the keys spelled out. For tests."""
