"""Effects that have no receipt yet, in the order in which they arose (rules 16, 18).

There may be millions, so a snapshot takes them in slices by their `seq` while receipts keep coming: an effect that is
settled before its turn is put aside for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from sortedcontainers import SortedDict

from engine.model import Effect


class Outbox:
    """Keeps each effect until what became of it is known.

    `seq` numbers grow by one and are the cursor of those who pull; `keep=False` only numbers the effects (a
    simulation delivers to nobody).
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.last_seq = 0
        self._pending: SortedDict[int, Effect] = SortedDict()
        self._seq_of: dict[str, int] = {}
        self._held_after = self._held_to = 0
        """A snapshot still wants the effects with a seq between these."""
        self._early: list[Effect] = []

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[Effect]:
        return iter(self._pending.values())

    def next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def add(self, effect: Effect) -> None:
        """Take an effect; its `seq` is that of `next_seq`."""
        if self.keep:
            self._pending[effect.seq] = effect
            self._seq_of[effect.id] = effect.seq

    def settle(self, effect_id: str) -> Effect | None:
        """A receipt came: the effect is pending no longer. None if it is not known (any more)."""
        seq = self._seq_of.pop(effect_id, None)
        if seq is None:
            return None
        effect: Effect = self._pending.pop(seq)
        if self._held_after < seq <= self._held_to:
            self._early.append(effect)
        return effect

    def after(self, seq: int, limit: int) -> list[Effect]:
        """Pending effects with a larger seq, at most `limit`, in order."""
        later = self._pending.irange(minimum=seq, inclusive=(False, True))
        return [self._pending[at] for at in islice(later, limit)]

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Rule 30: what was to be sent to a deleted contact, under whichever of its ids, is not kept."""
        for effect in [effect for effect in self if effect.contact in ids]:
            self.settle(effect.id)

    def hold(self) -> None:
        """From now on `held_part` gives, in slices, the effects that are pending now."""
        self._held_after, self._held_to, self._early = 0, self.last_seq, []

    def held_part(self, most: int) -> list[Effect]:
        """The next ones held, at most `most`, in no order; an empty list when all were given."""
        part, self._early = self._early[:most], self._early[most:]
        later = self.after(self._held_after, most - len(part))
        part += [effect for effect in later if effect.seq <= self._held_to]
        if later:
            self._held_after = min(later[-1].seq, self._held_to)
        return part

    def let_go(self) -> None:
        """Hold nothing any more."""
        self._held_after, self._early = self._held_to, []

    def restore(self, last_seq: int, effects: Iterable[Effect]) -> None:
        """Become what a snapshot held."""
        self.last_seq = last_seq
        self._pending = SortedDict()
        self._seq_of = {}
        for effect in effects:
            self.add(effect)
