"""The engine on a virtual clock: the kernel itself, with nothing around it but a queue of instants.

A simulator jumps from one instant at which something is due or received to the next; inputs received at the
same instant share a batch, as they would live. No second implementation of anything lives here: what a
simulation shows is what the service does with the same inputs (the slow twin that the rules are checked
against is in `tests/reference/`).

Messages are taken at once: the outbox is answered with receipts whenever `RECEIPTS_EVERY` effects have
gathered. Receipts change neither frequency nor trace (rule 18), so when exactly this happens cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from engine.errors import Refused
from engine.kernel import Kernel
from engine.limits import BATCH_INPUTS_MAX, CHECKPOINT_PART_RECORDS_MAX
from engine.model import Batch, Control, Input, Outcome, TraceRecord
from ext import instant

RECEIPTS_EVERY = 10_000
INSTANTS = ("until", "schedule")
"""Keys of a trace record's detail that are instants."""

Answer = dict[str, Any] | Refused | None
Sink = Callable[[dict[str, Any]], None]
Timed = tuple[int, Input]
"""When it is received (ms UTC), and what."""


def render(record: TraceRecord) -> dict[str, Any]:
    """A trace record as people read it: instants (`at`; `until` and `schedule` in `detail`) as RFC 3339."""
    detail = record.detail
    for key in INSTANTS:
        if isinstance(ms := detail.get(key), int):
            detail = detail | {key: instant.format(ms)}
    return {
        "at": instant.format(record.at),
        "flow": record.flow,
        "version": record.version,
        "run": record.run,
        "contact": record.contact,
        "node": record.node,
        "what": record.what,
        "detail": detail,
    }


class Simulator:
    """A kernel and its virtual time, which begins at `start_ms`.

    `sink` is given every trace record, rendered, in order; without one no trace is made, which is faster.
    `kernel` may be read at any time (flows, contacts, statistics); after `restart` it is another object.
    """

    def __init__(self, start_ms: int, *, sink: Sink | None = None, key: bytes = bytes(16)) -> None:
        self.now_ms = start_ms
        self.batches = 0
        self._sink = sink
        self._key = key
        self._undelivered: list[str] = []
        self.kernel = self._fresh()

    def play(self, inputs: Iterable[Timed], until_ms: int) -> None:
        """Receive `inputs`, which are in order of time, then let time run to `until_ms` (timers due then fire).

        Inputs after `until_ms` are left alone. A control operation `restart {until}` stops the engine and starts
        it again. Raises Refused, naming the instant and the operation, where the kernel refuses one.
        """
        for at_ms, group in groupby(inputs, key=itemgetter(0)):
            if at_ms > until_ms:
                break
            pending: list[Input] = []
            for _, item in group:
                if isinstance(item, Control) and item.op == "restart":
                    self._receive_all(at_ms, pending)
                    pending = []
                    self.advance(max(at_ms, self.now_ms))
                    self.restart(instant.parse(item.args["until"]))
                    continue
                pending.append(item)
                if len(pending) == BATCH_INPUTS_MAX:
                    self._receive_all(at_ms, pending)
                    pending = []
            self._receive_all(at_ms, pending)
        self.advance(until_ms)

    def receive(self, at_ms: int, inputs: Sequence[Input]) -> list[Answer]:
        """Let time run to `at_ms` and receive `inputs` there; an answer for each, as in `Outcome.answers`.

        Inputs of an instant at which the engine was down (after `restart`) are received once it is up.
        """
        at_ms = max(at_ms, self.now_ms)
        self.advance(at_ms)
        self.now_ms = at_ms
        answers: list[Answer] = []
        for first in range(0, len(inputs), BATCH_INPUTS_MAX):
            answers += self._apply(list(inputs[first : first + BATCH_INPUTS_MAX])).answers
        return answers

    def advance(self, until_ms: int) -> None:
        """Fire everything that is due by `until_ms`, each at its own instant."""
        while (due_ms := self.kernel.next_due_ms()) is not None:
            if max(due_ms, self.now_ms) > until_ms:
                break
            self.now_ms = max(due_ms, self.now_ms)
            while self._apply([]).more:
                pass
            next_ms = self.kernel.next_due_ms()
            assert next_ms is None or next_ms > self.now_ms, "a timer that was due did not fire"
        self.now_ms = max(self.now_ms, until_ms)

    def restart(self, until_ms: int) -> None:
        """Stop now, start again at `until_ms` from a snapshot in a new kernel: nothing fires between."""
        self._settle(0)
        snapshot = self.kernel.snapshot(full=True)
        parts: list[bytes] = []
        while (part := snapshot.part(CHECKPOINT_PART_RECORDS_MAX)) is not None:
            parts.append(part)
        self.kernel = self._fresh()
        self.kernel.restore(parts)
        self.now_ms = max(self.now_ms, until_ms)

    def stats(self) -> dict[str, Any]:
        """Per flow, by id, what the statistics of the API answer: counts per node."""
        return {flow["id"]: self.kernel.stats(flow["id"]) for flow in self.kernel.flows()}

    def _fresh(self) -> Kernel:
        return Kernel(trace=self._sink is not None, key=self._key)

    def _receive_all(self, at_ms: int, inputs: list[Input]) -> None:
        if not inputs:
            return
        for item, answer in zip(inputs, self.receive(at_ms, inputs), strict=True):
            if isinstance(answer, Refused):
                operation = item.op if isinstance(item, Control) else "an input"
                raise Refused(
                    answer.code,
                    f"{instant.format(at_ms)}: {operation} was refused: {answer.detail}",
                    remedy=answer.remedy,
                    status=answer.status,
                    problems=answer.problems,
                )

    def _apply(self, inputs: list[Input]) -> Outcome:
        outcome = self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, inputs))
        self.batches += 1
        if self._sink is not None:
            for record in outcome.trace:
                self._sink(render(record))
        if outcome.effects:
            self._undelivered += [effect.id for effect in outcome.effects]
            self._settle(RECEIPTS_EVERY)
        return outcome

    def _settle(self, at_least: int) -> None:
        """Answer what is in the outbox, if it holds that many effects."""
        if len(self._undelivered) < max(at_least, 1):
            return
        receipts = [{"effect": effect, "status": "delivered"} for effect in self._undelivered]
        self._undelivered = []
        self._apply([Control("receipts", {"receipts": receipts})])
