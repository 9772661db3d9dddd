"""Draws of split and A/B nodes (rule 21), the slow way."""

from __future__ import annotations

from tests.reference.siphash import siphash24

PERCENT_HUNDREDTHS = 10_000


def salt(key: bytes, flow: str, node: str) -> bytes:
    """Return the 16 bytes that set the draws of one node apart; edits keep them, a duplicated flow has others."""
    place = flow.encode() + b"\0" + node.encode()
    parts = (siphash24(key, mark + b"\0" + place) for mark in (b"salt-a", b"salt-b"))
    return b"".join(part.to_bytes(8, "little") for part in parts)


def draw(salt16: bytes, who: bytes, shares: list[int]) -> int:
    """Return the index of the branch drawn; `shares` are hundredths of a per cent and sum to 10,000."""
    number = siphash24(salt16, who) % PERCENT_HUNDREDTHS
    for index, share in enumerate(shares):
        number -= share
        if number < 0:
            return index
    raise AssertionError(f"the shares {shares} do not make a whole")
