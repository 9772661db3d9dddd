"""Channels that fail by a rule and record each attempt."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import trio

from engine.model import Effect, Receipt

HOUR_S = 3600.0


class Fickle:
    """A channel that fails as `fails(effect, now)` says; `begun` lists the attempts as (effect, time)."""

    def __init__(
        self, fails: Callable[[str, float], Exception | None], *, workers: int = 1, takes_s: float = 0.0
    ) -> None:
        self.workers = workers
        self.begun: list[tuple[str, float]] = []
        self.delivered: list[str] = []
        self._fails = fails
        self._takes_s = takes_s

    async def deliver(self, effect: Effect) -> Receipt:
        self.begun.append((effect.id, trio.current_time()))
        await trio.sleep(self._takes_s)
        if (error := self._fails(effect.id, trio.current_time())) is not None:
            raise error
        self.delivered.append(effect.id)
        return Receipt(effect.id, "delivered")

    def times(self, effect: str) -> list[float]:
        return [at for one, at in self.begun if one == effect]

    def pauses(self, effect: str) -> list[float]:
        return [after - before for before, after in pairwise(self.times(effect))]


class Several(Fickle):
    """Each effect goes to a host of its own, given by its contact."""

    def destination(self, effect: Effect) -> str:
        return effect.contact
