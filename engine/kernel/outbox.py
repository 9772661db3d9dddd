"""Effects that have no receipt yet, in the order in which they arose (rules 16, 18).

There may be millions, so a snapshot takes them in slices by their `seq` while receipts keep coming: an effect that is
settled before its turn is put aside for it.

They lie in blocks of neighbouring `seq`s. Effects arrive in order, so a block, and the table of blocks, is a dict that
stays in order by itself: an effect is added, settled and found in a few dict operations, however many there are. (A
sorted container costs ten times as much per effect, a list with a bisect has to be compacted.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from engine.model import Effect

BLOCK_BITS = 10
"""An effect lies in block `seq >> BLOCK_BITS`."""


class Outbox:
    """Keeps each effect until what became of it is known.

    `seq` numbers grow by one and are the cursor of those who pull; `keep=False` only numbers the effects (a
    simulation delivers to nobody).
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.last_seq = 0
        self._blocks: dict[int, dict[int, Effect]] = {}
        """Effects by seq, by number of the block; no block is empty."""
        self._seq_of: dict[str, int] = {}
        self._held_after = self._held_to = 0
        """A snapshot still wants the effects with a seq between these."""
        self._early: list[Effect] = []

    def __len__(self) -> int:
        return len(self._seq_of)

    def __iter__(self) -> Iterator[Effect]:
        return self._later(0)

    def _later(self, seq: int) -> Iterator[Effect]:
        """Pending effects with a larger seq, in order."""
        first = (seq + 1) >> BLOCK_BITS
        for number in [number for number in self._blocks if number >= first]:
            for at, effect in self._blocks[number].items():
                if at > seq:
                    yield effect

    def next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def add(self, effect: Effect) -> None:
        """Take an effect; its `seq` is that of `next_seq`."""
        if self.keep:
            seq = effect.seq
            block = self._blocks.get(seq >> BLOCK_BITS)
            if block is None:
                block = self._blocks[seq >> BLOCK_BITS] = {}
            block[seq] = effect
            self._seq_of[effect.id] = seq

    def settle(self, effect_id: str) -> Effect | None:
        """A receipt came: the effect is pending no longer. None if it is not known (any more)."""
        seq = self._seq_of.pop(effect_id, None)
        if seq is None:
            return None
        block = self._blocks[seq >> BLOCK_BITS]
        effect = block.pop(seq)
        if not block:
            del self._blocks[seq >> BLOCK_BITS]
        if self._held_after < seq <= self._held_to:
            self._early.append(effect)
        return effect

    def after(self, seq: int, limit: int) -> list[Effect]:
        """Pending effects with a larger seq, at most `limit`, in order."""
        return list(islice(self._later(seq), limit))

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
        """Become what a snapshot held; its effects come in no order."""
        self.last_seq = last_seq
        self._blocks = {}
        self._seq_of = {}
        for effect in sorted(effects, key=lambda effect: effect.seq):
            self.add(effect)
