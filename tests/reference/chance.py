"""The draws of split and A/B nodes (rule 21), the slow way: SipHash-2-4 straight from its paper, on Python's
integers.

Kept apart from the oracle of `ext.siphash`, so that the reference interpreter shares no line with what it
judges.
"""

from __future__ import annotations

MASK = (1 << 64) - 1
PERCENT_HUNDREDTHS = 10_000


def _turn(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & MASK


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & MASK
    v1 = _turn(v1, 13) ^ v0
    v0 = _turn(v0, 32)
    v2 = (v2 + v3) & MASK
    v3 = _turn(v3, 16) ^ v2
    v0 = (v0 + v3) & MASK
    v3 = _turn(v3, 21) ^ v0
    v2 = (v2 + v1) & MASK
    v1 = _turn(v1, 17) ^ v2
    v2 = _turn(v2, 32)
    return v0, v1, v2, v3


def sip(key: bytes, data: bytes) -> int:
    """SipHash-2-4 of `data` under a key of 16 bytes."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    state = (
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    )
    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v0, v1, v2, v3 = state
        state = _round(*_round(v0, v1, v2, v3 ^ word))
        state = (state[0] ^ word, *state[1:])
    v0, v1, v2, v3 = state
    state = (v0, v1, v2 ^ 0xFF, v3)
    for _ in range(4):
        state = _round(*state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def salt(key: bytes, flow: str, node: str) -> bytes:
    """The 16 bytes that make the draws of one node its own; edits keep them, a duplicate has others."""
    place = flow.encode() + b"\0" + node.encode()
    parts = (sip(key, mark + b"\0" + place) for mark in (b"salt-a", b"salt-b"))
    return b"".join(part.to_bytes(8, "little") for part in parts)


def draw(salt16: bytes, who: bytes, shares: list[int]) -> int:
    """Which branch, by index: `shares` are hundredths of a per cent and sum to 10,000."""
    number = sip(salt16, who) % PERCENT_HUNDREDTHS
    for index, share in enumerate(shares):
        number -= share
        if number < 0:
            return index
    raise AssertionError(f"the shares {shares} do not make a whole")
