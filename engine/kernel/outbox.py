"""Effects that have no receipt yet, in the order in which they arose (rules 16, 18).

There may be millions, so a snapshot reads them in slices by their `seq` while receipts keep coming: an effect that is
settled before its turn is set aside for the snapshot.

Effects lie in blocks of neighbouring `seq`s. An index finds them by the number of their run, which their id holds, in
blocks of neighbouring runs. Numbers only grow, so each block and each table of blocks is a small dict that is in order
by itself.

Costs: adding, settling or finding an effect takes a few dict operations near the previous ones.
Rejected: a sorted container (ten times the cost per effect), a list with bisect (has to be compacted), one dict of ten
million ids (stops the engine for a second whenever it grows).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from engine.model import Effect

BLOCK_BITS = 10
"""Size of a block in bits: an effect lies in block `seq >> BLOCK_BITS`, a run in block `run >> BLOCK_BITS`."""


def _all(of_run: Effect | tuple[Effect, ...]) -> tuple[Effect, ...]:
    return of_run if isinstance(of_run, tuple) else (of_run,)


class PendingEffects:
    """Effects without a receipt.

    `seq` numbers grow by one and are the cursor of an application that pulls. `keep=False` numbers the effects without
    keeping them, for a simulation, which delivers nothing.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.last_seq = 0
        self._blocks: dict[int, dict[int, Effect]] = {}
        """Number of a block -> seq -> effect. Invariant: no block is empty."""
        self._runs: dict[int, dict[int, Effect | tuple[Effect, ...]]] = {}
        """Number of a block -> run -> its effect or effects. Invariant: no block and no tuple is empty."""
        self._pending = 0
        self._held_after = self._held_to = 0
        """Bounds of the seqs that the snapshot in progress has not read yet."""
        self._early: deque[Effect] = deque()

    def __len__(self) -> int:
        return self._pending

    def __iter__(self) -> Iterator[Effect]:
        return self._later(0)

    def _later(self, seq: int) -> Iterator[Effect]:
        """Yield pending effects with a larger seq, in order."""
        first = (seq + 1) >> BLOCK_BITS
        for number in [number for number in self._blocks if number >= first]:
            for at, effect in self._blocks[number].items():
                if at > seq:
                    yield effect

    def next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def add(self, effect: Effect) -> None:
        """Add an effect, whose `seq` comes from `next_seq`."""
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
        earlier = runs.get(run)
        runs[run] = effect if earlier is None else (*_all(earlier), effect)
        self._pending += 1

    def settle(self, effect_id: str) -> Effect | None:
        """Remove the effect because its receipt came, and return it; None if it is not pending (any more)."""
        effect = self._find(effect_id)
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

    def _find(self, effect_id: str) -> Effect | None:
        """Return the pending effect with an id such as `flow.run.node.place` (rule 16); the id may be any text."""
        number = effect_id.partition(".")[2].partition(".")[0]
        if not (number.isascii() and number.isdigit() and len(number) < 20):
            return None
        run = int(number)
        for effect in _all(self._runs.get(run >> BLOCK_BITS, {}).get(run, ())):
            if effect.id == effect_id:
                return effect
        return None

    def holds(self, seq: int) -> bool:
        """Whether the effect with this seq is pending."""
        block = self._blocks.get(seq >> BLOCK_BITS)
        return block is not None and seq in block

    def after(self, seq: int, limit: int) -> list[Effect]:
        """Return at most `limit` pending effects with a larger seq, in order."""
        return list(islice(self._later(seq), limit))

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Remove the effects for a deleted contact, known under any of these ids (rule 30)."""
        for effect in [effect for effect in self if effect.contact in ids]:
            self.settle(effect.id)

    def hold(self) -> None:
        """Begin a snapshot: `held_part` returns, in slices, the effects that are pending now."""
        self._held_after, self._held_to, self._early = 0, self.last_seq, deque()

    def held_part(self, effects_max: int) -> list[Effect]:
        """Return at most `effects_max` further effects of the snapshot, in no particular order; [] after the last."""
        part = [self._early.popleft() for _ in range(min(effects_max, len(self._early)))]
        later = self.after(self._held_after, effects_max - len(part))
        part += [effect for effect in later if effect.seq <= self._held_to]
        if later:
            self._held_after = min(later[-1].seq, self._held_to)
        return part

    def let_go(self) -> None:
        """End the snapshot."""
        self._held_after, self._early = self._held_to, deque()

    def restore(self, last_seq: int, effects: Iterable[Effect]) -> None:
        """Replace all by the contents of a snapshot, whose effects come in no particular order."""
        self.last_seq = last_seq
        self._blocks, self._runs, self._pending = {}, {}, 0
        for effect in sorted(effects, key=lambda effect: effect.seq):
            self.add(effect)
