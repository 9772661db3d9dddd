"""Effects whose receipt says `failed` (rule 18): the newest are kept, so that they can be put back into the outbox."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.limits import DEAD_LETTERS_BYTES_MAX, DEAD_LETTERS_MAX
from engine.model import Effect

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Effect).decode


class DeadLetters:
    """By effect id, the oldest first. They are kept packed: a snapshot takes them all at once."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, str, bytes]] = {}
        """(when it failed, why, the effect)."""
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
        self._kept[effect.id] = (at, detail, packed)
        self._bytes += len(packed)
        while len(self._kept) > DEAD_LETTERS_MAX or self._bytes > DEAD_LETTERS_BYTES_MAX:
            self.take(next(iter(self._kept)))

    def take(self, effect_id: str) -> Effect | None:
        """Give one back, which is kept no longer. None if it is not known (any more)."""
        kept = self._kept.pop(effect_id, None)
        if kept is None:
            return None
        self._bytes -= len(kept[2])
        return _unpack(kept[2])

    def newest_first(self) -> list[tuple[int, str, Effect]]:
        return [(at, detail, _unpack(packed)) for at, detail, packed in reversed(self._kept.values())]

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Rule 30, under whichever of its ids."""
        gone = [id for id, kept in self._kept.items() if _unpack(kept[2]).contact in ids]
        for id in gone:
            self.take(id)

    def pack(self) -> list[Any]:
        return [(id, *kept) for id, kept in self._kept.items()]

    def unpack(self, packed: list[Any]) -> None:
        self._kept = {id: (at, detail, effect) for id, at, detail, effect in packed}
        self._bytes = sum(len(effect) for _, _, effect in self._kept.values())
