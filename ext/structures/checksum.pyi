from typing_extensions import Buffer

def checksum(data: Buffer, seed: int = 0) -> int:
    """64 bits over the bytes and how many they are. Of two texts one after the other: the sum of the first is the seed
    of the second."""

def sealed(head: bytes, bodies: list[bytes]) -> bytes:
    """The head, 8 bytes of checksum (big endian; of all bodies as one, seeded with that of the head), the bodies."""
