"""The engine on a virtual clock: the kernel itself, with nothing around it but a queue of instants.

A simulator jumps from one instant at which something is due or received to the next; inputs received at the
same instant share a batch, as they would live. No second implementation of anything lives here: what a
simulation shows is what the service does with the same inputs (the slow twins that the rules and the clock are
checked against are in `tests/reference/`). Nearly all instants pass in compiled code (`ext.kernel.fast_forward`), which
returns for operations and scheduled launches.

Messages are taken at once: the outbox is answered with receipts whenever `RECEIPTS_EVERY` effects have
gathered. Receipts change neither frequency nor trace (rule 18), so when exactly this happens cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.errors import Refused
from engine.kernel import Kernel
from engine.limits import BATCH_INPUTS_MAX
from engine.model import Batch, Control, Effect, Input, Outcome, TraceRecord
from engine.simulation.recorded_events import Timed
from engine.tuning import CHECKPOINT_PART_RECORDS_MAX, SIMULATED_EFFECTS_MAX
from ext.kernel.fast_forward import AGAIN, INPUTS, OVER, FastForward
from ext.wire import instant

RECEIPTS_EVERY = SIMULATED_EFFECTS_MAX
INSTANTS = ("until", "schedule")
"""Keys of a trace record's detail that are instants."""

Answer = dict[str, Any] | Refused | None
Sink = Callable[[dict[str, Any]], None]
Look = Callable[[int], None]


def render(record: TraceRecord) -> dict[str, Any]:
    """Return a trace record as people read it: instants (`at`; `until` and `schedule` in `detail`) as RFC 3339."""
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

    `sink` is given every trace record, rendered, in order; without one no trace is made, which is faster. `look` is
    called with the time reached, at least every SIMULATED_BATCHES_MAX batches: it may raise, which ends the play.
    `kernel` may be read at any time (flows, contacts, statistics); after `restart` it is another object.
    """

    def __init__(
        self, start_ms: int, *, sink: Sink | None = None, key: bytes = bytes(16), look: Look | None = None
    ) -> None:
        self.now_ms = start_ms
        self.batches = 0
        self._sink = sink
        self._key = key
        self._look = look
        self._undelivered: list[str] = []
        self.kernel = self._fresh()

    def play(self, inputs: Iterable[Timed], until_ms: int | None = None) -> None:
        """Receive `inputs`, which are in order of time, then let time run to `until_ms` (timers due then fire).

        Inputs after `until_ms` are left alone; without it time ends with the last of them. One that is not in order
        is received at the instant reached. A control operation `restart {until}` stops the engine and starts it
        again. Raises Refused, naming the instant and the operation, where the kernel refuses one.
        """
        forward = FastForward(inputs, self.now_ms)
        while (turn := self._drive(forward, until_ms)) != OVER:
            if turn != INPUTS:
                self._apply([])
                continue
            group = forward.take()
            first = group[0]
            if isinstance(first, Control) and first.op == "restart":
                self.restart(instant.parse(first.args["until"]))
                forward.now_ms = self.now_ms
            else:
                self._check(group, self._apply(group).answers)

    def receive(self, at_ms: int, inputs: Sequence[Input]) -> list[Answer]:
        """Let time run to `at_ms` and receive `inputs` there; an answer for each, as in `Outcome.answers`.

        Inputs of an instant at which the engine was down (after `restart`) are received once it is up.
        """
        self.advance(max(at_ms, self.now_ms))
        answers: list[Answer] = []
        for first in range(0, len(inputs), BATCH_INPUTS_MAX):
            answers += self._apply(list(inputs[first : first + BATCH_INPUTS_MAX])).answers
        return answers

    def advance(self, until_ms: int) -> None:
        """Fire everything that is due by `until_ms`, each at its own instant."""
        self.play((), until_ms)

    def restart(self, until_ms: int) -> None:
        """Stop now, start again at `until_ms` from a snapshot in a new kernel: nothing fires between."""
        self._settle(0)
        self.kernel = restarted(self.kernel, self._fresh())
        self.now_ms = max(self.now_ms, until_ms)

    def stats(self) -> dict[str, Any]:
        """Return counts per node for each flow, by id, as the statistics of the API do."""
        return {flow["id"]: self.kernel.stats(flow["id"]) for flow in self.kernel.flows()}

    def _fresh(self) -> Kernel:
        return Kernel(trace=self._sink is not None, key=self._key)

    def _drive(self, forward: FastForward, until_ms: int | None) -> int:
        """Let the forward go as far as it can; why it has stopped."""
        turn = AGAIN
        while turn == AGAIN:
            before = forward.batches
            turn, effects, trace = self.kernel.drive(
                forward, until_ms, RECEIPTS_EVERY - len(self._undelivered)
            )
            self.now_ms = forward.now_ms
            self.batches += forward.batches - before
            self._gave(effects, trace)
            if self._look is not None:
                self._look(self.now_ms)
        return turn

    def _apply(self, inputs: list[Input]) -> Outcome:
        outcome = self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, inputs))
        self.batches += 1
        self._gave(outcome.effects, outcome.trace)
        return outcome

    def _gave(self, effects: list[Effect], trace: list[TraceRecord]) -> None:
        """Pass on what batches gave."""
        if self._sink is not None:
            for record in trace:
                self._sink(render(record))
        if effects:
            self._undelivered += [effect.id for effect in effects]
            self._settle(RECEIPTS_EVERY)

    def _settle(self, at_least: int) -> None:
        """Answer what is in the outbox, if it holds that many effects."""
        if len(self._undelivered) < max(at_least, 1):
            return
        receipts = [{"effect": effect, "status": "delivered"} for effect in self._undelivered]
        self._undelivered = []
        self._apply([Control("receipts", {"receipts": receipts})])

    def _check(self, inputs: list[Input], answers: Sequence[Answer]) -> None:
        """Raise Refused for the first input that was refused."""
        for item, answer in zip(inputs, answers, strict=True):
            if isinstance(answer, Refused):
                operation = item.op if isinstance(item, Control) else "an input"
                raise type(answer)(
                    answer.code,
                    f"{instant.format(self.now_ms)}: {operation} was refused: {answer.detail}",
                    remedy=answer.remedy,
                    problems=answer.problems,
                )


def restarted(kernel: Kernel, fresh: Kernel) -> Kernel:
    """Bring `fresh` to the state of `kernel` by a full snapshot, and return it."""
    snapshot = kernel.snapshot(full=True)
    parts: list[bytes] = []
    while (part := snapshot.part(CHECKPOINT_PART_RECORDS_MAX)) is not None:
        parts.append(part)
    fresh.restore(parts)
    return fresh
