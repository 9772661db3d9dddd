"""A map as the engine keeps it, written out slowly: MessagePack, but a key that has a number is that number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

pack = msgspec.msgpack.encode

NumberOf = Callable[[str], int | None]
"""The number of a key, or None."""


def kept(value: Any, number_of: NumberOf) -> bytes:
    """Return the bytes of a value in a packed map."""
    if isinstance(value, dict):
        entries = b"".join(_key(key, number_of) + kept(item, number_of) for key, item in value.items())
        return _head(0x80, 0xDE, len(value)) + entries
    if isinstance(value, list):
        return _head(0x90, 0xDC, len(value)) + b"".join(kept(item, number_of) for item in value)
    return pack(value)


def _key(key: Any, number_of: NumberOf) -> bytes:
    if isinstance(key, str) and (number := number_of(key)) is not None:
        return pack(number)
    if type(key) is int and 0 <= key < 1 << 16:
        return b"\xd3" + key.to_bytes(8, "big")
    return pack(key)


def _head(short: int, long: int, length: int) -> bytes:
    if length < 16:
        return bytes([short | length])
    if length < 1 << 16:
        return bytes([long]) + length.to_bytes(2, "big")
    return bytes([long + 1]) + length.to_bytes(4, "big")


def spelled(at: bytes, name_of: Callable[[int], str]) -> tuple[Any, bytes]:
    """Return the value at the beginning of packed bytes, and the rest."""
    first = at[0]
    if 0x80 <= first < 0xA0 or 0xDC <= first <= 0xDF:
        size = 1 if first < 0xA0 else 5 if first & 1 else 3
        length = first & 15 if first < 0xA0 else int.from_bytes(at[1:size], "big")
        is_map = first < 0x90 or first >= 0xDE
        at = at[size:]
        if not is_map:
            items: list[Any] = []
            for _ in range(length):
                item, at = spelled(at, name_of)
                items.append(item)
            return items, at
        entries: dict[Any, Any] = {}
        for _ in range(length):
            numbered = at[0] < 0x80 or at[0] in (0xCC, 0xCD)
            key, at = spelled(at, name_of)
            item, at = spelled(at, name_of)
            entries[name_of(key) if numbered else key] = item
        return entries, at
    end = next(end for end in range(1, len(at) + 1) if _is_whole(at[:end]))
    return msgspec.msgpack.decode(at[:end]), at[end:]


def _is_whole(packed: bytes) -> bool:
    try:
        msgspec.msgpack.decode(packed)
    except msgspec.DecodeError:
        return False
    return True
