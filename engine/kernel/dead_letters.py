"""Effects whose receipt says `failed` (rule 18): the newest are kept, so that they can be put back into the outbox."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.limits import DEAD_LETTERS_BYTES_MAX, DEAD_LETTERS_MAX
from engine.model import Effect

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Effect).decode


class DeadLetter(msgspec.Struct, frozen=True):
    """What is told of one: when it failed, why, and whose message it was. `packed`: the effect."""

    at: int
    detail: str
    channel: str
    contact: str
    flow: str
    node: str
    packed: bytes


def _of(at: int, detail: str, effect: Effect, packed: bytes) -> DeadLetter:
    return DeadLetter(at, detail, effect.channel, effect.contact, effect.flow, effect.node, packed)


class DeadLetters:
    """By effect id, the oldest first. The effects are kept packed: a snapshot takes them all at once."""

    def __init__(self) -> None:
        self._kept: dict[str, DeadLetter] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def ids(self) -> list[str]:
        return list(self._kept)

    def add(self, at: int, detail: str, effect: Effect) -> None:
        """Keep one, and let go of the oldest beyond the bounds; one that is too large by itself is not kept."""
        assert effect.id not in self._kept, "what was given up was pending"
        packed = _pack(effect)
        if len(packed) > DEAD_LETTERS_BYTES_MAX:
            return
        self._kept[effect.id] = _of(at, detail, effect, packed)
        self._bytes += len(packed)
        while len(self._kept) > DEAD_LETTERS_MAX or self._bytes > DEAD_LETTERS_BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def take(self, effect_id: str) -> Effect | None:
        """Give one back, which is kept no longer. None if it is not known (any more)."""
        kept = self._drop(effect_id)
        return None if kept is None else _unpack(kept.packed)

    def _drop(self, effect_id: str) -> DeadLetter | None:
        kept = self._kept.pop(effect_id, None)
        if kept is not None:
            self._bytes -= len(kept.packed)
        return kept

    def newest_first(self) -> list[tuple[str, DeadLetter]]:
        """With their effects' ids."""
        return list(reversed(self._kept.items()))

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Rule 30, under whichever of its ids."""
        gone = [id for id, kept in self._kept.items() if kept.contact in ids]
        for id in gone:
            self._drop(id)

    def pack(self) -> list[Any]:
        return [(id, kept.at, kept.detail, kept.packed) for id, kept in self._kept.items()]

    def unpack(self, packed: list[Any]) -> None:
        self._kept = {id: _of(at, detail, _unpack(effect), effect) for id, at, detail, effect in packed}
        self._bytes = sum(len(kept.packed) for kept in self._kept.values())
