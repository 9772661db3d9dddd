"""SipHash-2-4 as the paper writes it, on Python's integers."""

from __future__ import annotations

from collections.abc import Iterator

WORD = (1 << 64) - 1


def rotated(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & WORD


def rounds(v0: int, v1: int, v2: int, v3: int, number: int) -> tuple[int, int, int, int]:
    for _ in range(number):
        v0 = (v0 + v1) & WORD
        v1 = rotated(v1, 13) ^ v0
        v0 = rotated(v0, 32)
        v2 = (v2 + v3) & WORD
        v3 = rotated(v3, 16) ^ v2
        v0 = (v0 + v3) & WORD
        v3 = rotated(v3, 21) ^ v0
        v2 = (v2 + v1) & WORD
        v1 = rotated(v1, 17) ^ v2
        v2 = rotated(v2, 32)
    return v0, v1, v2, v3


def words(data: bytes) -> Iterator[int]:
    """Yield the input in words of 8 bytes; the last one is padded and ends in the length."""
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        yield int.from_bytes(padded[at : at + 8], "little")


def siphash24(key: bytes, data: bytes) -> int:
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v0, v1, v2, v3 = (
        int.from_bytes(b"somepseudorandomlygeneratedbytes"[at : at + 8], "big") for at in range(0, 32, 8)
    )
    v0, v1, v2, v3 = v0 ^ k0, v1 ^ k1, v2 ^ k0, v3 ^ k1
    for word in words(data):
        v0, v1, v2, v3 = rounds(v0, v1, v2, v3 ^ word, 2)
        v0 ^= word
    v0, v1, v2, v3 = rounds(v0, v1, v2 ^ 0xFF, v3, 4)
    return v0 ^ v1 ^ v2 ^ v3
