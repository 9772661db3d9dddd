"""Effects whose receipt says `failed` (rule 18): the newest are kept, so that they can be retried."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.limits import DEAD_LETTERS_BYTES_MAX, DEAD_LETTERS_MAX
from engine.model import Effect

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Effect).decode


class FailedEffect(msgspec.Struct, frozen=True):
    """Failed effect: the time (ms UTC), the reason, whose message it was. `packed` is the effect itself."""

    at: int
    detail: str
    channel: str
    contact: str
    flow: str
    node: str
    packed: bytes


def _of(at: int, detail: str, effect: Effect, packed: bytes) -> FailedEffect:
    return FailedEffect(at, detail, effect.channel, effect.contact, effect.flow, effect.node, packed)


class DeadLetters:
    """Dead letters by effect id, oldest first. Effects are stored packed: a snapshot copies them all in one part."""

    def __init__(self) -> None:
        self._letters: dict[str, FailedEffect] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._letters)

    def ids(self) -> list[str]:
        return list(self._letters)

    def add(self, at: int, detail: str, effect: Effect) -> None:
        """Add a failed effect and evict the oldest beyond the bounds; an effect that exceeds them alone is dropped."""
        assert effect.id not in self._letters, "an effect that failed was pending"
        packed = _pack(effect)
        if len(packed) > DEAD_LETTERS_BYTES_MAX:
            return
        self._letters[effect.id] = _of(at, detail, effect, packed)
        self._bytes += len(packed)
        while len(self._letters) > DEAD_LETTERS_MAX or self._bytes > DEAD_LETTERS_BYTES_MAX:
            self._drop(next(iter(self._letters)))

    def take(self, effect_id: str) -> Effect | None:
        """Remove an effect and return it; None if it is not here (any more)."""
        letter = self._drop(effect_id)
        return None if letter is None else _unpack(letter.packed)

    def _drop(self, effect_id: str) -> FailedEffect | None:
        letter = self._letters.pop(effect_id, None)
        if letter is not None:
            self._bytes -= len(letter.packed)
        return letter

    def newest_first(self) -> list[tuple[str, FailedEffect]]:
        """Return `(effect id, dead letter)`, newest first."""
        return list(reversed(self._letters.items()))

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Remove the dead letters of a deleted contact, known under any of these ids (rule 30)."""
        deleted = [id for id, letter in self._letters.items() if letter.contact in ids]
        for id in deleted:
            self._drop(id)

    def pack(self) -> list[Any]:
        return [(id, letter.at, letter.detail, letter.packed) for id, letter in self._letters.items()]

    def unpack(self, packed: list[Any]) -> None:
        self._letters = {id: _of(at, detail, _unpack(effect), effect) for id, at, detail, effect in packed}
        self._bytes = sum(len(letter.packed) for letter in self._letters.values())
