"""Effects that have no receipt yet, in the order in which they arose (rules 16, 18).

There may be millions, so a snapshot takes them in slices by their `seq` while receipts keep coming: an effect that is
settled before its turn is put aside for it.

They lie in blocks of neighbouring `seq`s, and are found by the number of their run, which their id holds, in blocks of
neighbouring runs. Both grow, so a block, and the table of blocks, is a dict that stays in order by itself, and one that
stays small: an effect is added, settled and found in a few dict operations near those before. (A sorted container costs
ten times as much per effect, a list with a bisect has to be compacted, and one dict of ten million ids would stop the
engine for a second whenever it grew.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from engine.model import Effect

BLOCK_BITS = 10
"""An effect lies in block `seq >> BLOCK_BITS`, a run in block `run >> BLOCK_BITS`."""


def _all(of_run: Effect | tuple[Effect, ...]) -> tuple[Effect, ...]:
    return of_run if isinstance(of_run, tuple) else (of_run,)


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
        self._runs: dict[int, dict[int, Effect | tuple[Effect, ...]]] = {}
        """A run's effect, or effects, by run, by number of the block; none is empty."""
        self._pending = 0
        self._held_after = self._held_to = 0
        """A snapshot still wants the effects with a seq between these."""
        self._early: deque[Effect] = deque()

    def __len__(self) -> int:
        return self._pending

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
        if not self.keep:
            return
        seq, run = effect.seq, effect.run
        block = self._blocks.get(seq >> BLOCK_BITS)
        if block is None:
            block = self._blocks[seq >> BLOCK_BITS] = {}
        block[seq] = effect
        runs = self._runs.get(run >> BLOCK_BITS)
        if runs is None:
            runs = self._runs[run >> BLOCK_BITS] = {}
        had = runs.get(run)
        runs[run] = effect if had is None else (*_all(had), effect)
        self._pending += 1

    def settle(self, effect_id: str) -> Effect | None:
        """A receipt came: the effect is pending no longer. None if it is not known (any more)."""
        effect = self._found(effect_id)
        if effect is None:
            return None
        block, runs = self._blocks[effect.seq >> BLOCK_BITS], self._runs[effect.run >> BLOCK_BITS]
        del block[effect.seq]
        if not block:
            del self._blocks[effect.seq >> BLOCK_BITS]
        rest = tuple(other for other in _all(runs[effect.run]) if other is not effect)
        if rest:
            runs[effect.run] = rest
        else:
            del runs[effect.run]
            if not runs:
                del self._runs[effect.run >> BLOCK_BITS]
        self._pending -= 1
        if self._held_after < effect.seq <= self._held_to:
            self._early.append(effect)
        return effect

    def _found(self, effect_id: str) -> Effect | None:
        """The pending effect of an id, which may be any text: `flow.run.node.place` (rule 16)."""
        number = effect_id.partition(".")[2].partition(".")[0]
        if not (number.isascii() and number.isdigit() and len(number) < 20):
            return None
        run = int(number)
        for effect in _all(self._runs.get(run >> BLOCK_BITS, {}).get(run, ())):
            if effect.id == effect_id:
                return effect
        return None

    def holds(self, seq: int) -> bool:
        """Whether the effect of that seq is pending."""
        block = self._blocks.get(seq >> BLOCK_BITS)
        return block is not None and seq in block

    def after(self, seq: int, limit: int) -> list[Effect]:
        """Pending effects with a larger seq, at most `limit`, in order."""
        return list(islice(self._later(seq), limit))

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Rule 30: what was to be sent to a deleted contact, under whichever of its ids, is not kept."""
        for effect in [effect for effect in self if effect.contact in ids]:
            self.settle(effect.id)

    def hold(self) -> None:
        """From now on `held_part` gives, in slices, the effects that are pending now."""
        self._held_after, self._held_to, self._early = 0, self.last_seq, deque()

    def held_part(self, most: int) -> list[Effect]:
        """The next ones held, at most `most`, in no order; an empty list when all were given."""
        part = [self._early.popleft() for _ in range(min(most, len(self._early)))]
        later = self.after(self._held_after, most - len(part))
        part += [effect for effect in later if effect.seq <= self._held_to]
        if later:
            self._held_after = min(later[-1].seq, self._held_to)
        return part

    def let_go(self) -> None:
        """Hold nothing any more."""
        self._held_after, self._early = self._held_to, deque()

    def restore(self, last_seq: int, effects: Iterable[Effect]) -> None:
        """Become what a snapshot held; its effects come in no order."""
        self.last_seq = last_seq
        self._blocks, self._runs, self._pending = {}, {}, 0
        for effect in sorted(effects, key=lambda effect: effect.seq):
            self.add(effect)
