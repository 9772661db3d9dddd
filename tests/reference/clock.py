"""A slow twin of the virtual clock: a batch an instant, each applied by the kernel as the service would.

What `engine.simulation.simulator` and `ext.kernel.fast_forward` do has to be this, byte for byte: the same batches,
the same digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from engine.kernel import Kernel
from engine.limits import BATCH_INPUTS_MAX
from engine.model import Batch, Control, Input, TraceRecord
from engine.simulation.simulator import restarted
from ext.wire import instant

TRACE_MAX = 5_000


class TraceTooLong(Exception):
    """A case too large for a slow twin: flows that launch each other multiply for sixteen generations."""


class ReferenceClock:
    """A kernel, its time and its trace. Raises TraceTooLong beyond TRACE_MAX records."""

    def __init__(self, start_ms: int, *, receipts_every: int) -> None:
        self.kernel = Kernel(trace=True)
        self.now_ms = start_ms
        self.batches = 0
        self.trace: list[TraceRecord] = []
        self._every = receipts_every
        self._undelivered: list[str] = []

    def play(self, inputs: Iterable[tuple[int, Input]], until_ms: int) -> None:
        for at_ms, group in groupby(inputs, key=itemgetter(0)):
            if at_ms > until_ms:
                break
            for part in _batches([item for _, item in group]):
                now_ms = max(at_ms, self.now_ms)
                self._advance(now_ms)
                self.now_ms = now_ms
                if isinstance(part[0], Control) and part[0].op == "restart":
                    self._restart(instant.parse(part[0].args["until"]))
                else:
                    self._apply(part)
        self._advance(until_ms)
        self.now_ms = max(self.now_ms, until_ms)

    def _advance(self, until_ms: int) -> None:
        while (due_ms := self.kernel.next_due_ms()) is not None and max(due_ms, self.now_ms) <= until_ms:
            self.now_ms = max(due_ms, self.now_ms)
            self._apply([])

    def _restart(self, until_ms: int) -> None:
        self._settle(1)
        self.kernel = restarted(self.kernel, Kernel(trace=True))
        self.now_ms = max(self.now_ms, until_ms)

    def _apply(self, inputs: Sequence[Input]) -> None:
        outcome = self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, list(inputs)))
        self.batches += 1
        self.trace += outcome.trace
        if len(self.trace) > TRACE_MAX:
            raise TraceTooLong
        self._undelivered += [effect.id for effect in outcome.effects]
        self._settle(self._every)

    def _settle(self, at_least: int) -> None:
        if len(self._undelivered) >= at_least:
            receipts = [{"effect": effect, "status": "delivered"} for effect in self._undelivered]
            self._undelivered = []
            self._apply([Control("receipts", {"receipts": receipts})])


def _batches(inputs: list[Input]) -> list[list[Input]]:
    """Return the batches of one instant: a restart is alone in its batch, no batch exceeds BATCH_INPUTS_MAX."""
    batches: list[list[Input]] = []
    alone = True
    for item in inputs:
        restart = isinstance(item, Control) and item.op == "restart"
        if restart or alone or len(batches[-1]) == BATCH_INPUTS_MAX:
            batches.append([])
        batches[-1].append(item)
        alone = restart
    return batches
