"""Kernel of the engine: batches in, outcomes out, and every query about its state.

    kernel = Kernel(key=key)
    outcome = kernel.apply(Batch(kernel.seq + 1, now_ms, inputs))

The same batches give the same outcomes and the same state, byte for byte: live, in `simulate`, in a test, after a
restart. The kernel reads no clock, does no I/O, draws no random number; splits and A/B tests, which look random, are
keyed hashes. The path of an event is compiled (`ext.kernel.core`); this package holds the rare operations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.errors import Refused
from engine.kernel import flows, reads, schedules, snapshot
from engine.kernel.callbacks import KernelCallbacks
from engine.kernel.operations import OPERATIONS
from engine.kernel.snapshot import Snapshot
from engine.kernel.state import State
from engine.limits import REAPED_PER_BATCH_MAX, TIMERS_PER_BATCH_MAX
from engine.model import Batch, Control, Effect, Outcome, TraceRecord
from engine.tuning import SIMULATED_TRACE_MAX
from ext.kernel.batch import is_releasing, open_batch, release_held, take_events
from ext.kernel.core import Core
from ext.kernel.event_path import drain
from ext.kernel.fast_forward import FastForward


class Kernel:
    """State of one engine and the only way to change it.

    `trace`: outcomes carry trace records. `key`: 16 bytes that belong to the data directory; salts and fingerprints
    come from it. `keep_effects=False`: effects are numbered and returned, but not kept until a receipt comes.
    """

    def __init__(self, *, trace: bool = False, key: bytes = bytes(16), keep_effects: bool = True) -> None:
        callbacks = KernelCallbacks()
        self._trace = trace
        self._state = State(Core(key, callbacks), keep_effects=keep_effects)
        self._core = self._state.core
        self._recent_mark = self._snapshot_ms = 0
        self._last: Snapshot | None = None
        callbacks.state = self._state

    def close(self) -> None:
        """Free all memory; the kernel cannot be used afterwards."""
        self._core.close()

    # Batches

    @property
    def seq(self) -> int:
        """Number of the last batch applied; 0 at first."""
        return self._state.seq

    @property
    def now_ms(self) -> int:
        """Time of the last batch applied, ms UTC; 0 at first."""
        return self._core.now_ms

    @property
    def outcome_digest(self) -> int:
        """Digest, 64 bits, of all outcomes so far: equal for engines that did the same."""
        return self._core.recorder.digest

    @property
    def erasures(self) -> int:
        """Number of requests to delete a contact in the batches applied here; a restored kernel begins at 0."""
        return self._state.erasures

    def next_due_ms(self) -> int | None:
        """Return when a timer or a scheduled launch needs the next batch, ms UTC; None if neither does."""
        if self._core.registry.dooms or is_releasing(self._core):
            return self.now_ms
        due = [ms for ms in (self._core.next_due_ms(), schedules.next_due_ms(self._state)) if ms is not None]
        return min(due, default=None)

    def apply(self, batch: Batch) -> Outcome:
        """Apply the next batch: timers that are due first, then schedules, then its inputs in order."""
        assert batch.seq == self._state.seq + 1, f"batch {batch.seq} after {self._state.seq}"
        core, state = self._core, self._state
        state.seq = batch.seq
        effects: list[Effect] = []
        trace: list[TraceRecord] | None = [] if self._trace else None
        core.effects, core.recorder.trace = effects, trace
        open_batch(core, batch.now_ms, TIMERS_PER_BATCH_MAX, REAPED_PER_BATCH_MAX)
        schedules.occur(state)
        answers: list[dict[str, Any] | Refused | None] = [None] * len(batch.inputs)
        place = 0
        while (place := take_events(core, batch.inputs, place)) < len(batch.inputs):
            control = batch.inputs[place]
            assert isinstance(control, Control), "an input is an event or an operation"
            answers[place] = self._operate(control)
            place += 1
        core.recorder.end_batch(state.outbox.last_seq)
        core.recorder.trace = None
        due = self.next_due_ms()
        return Outcome(effects, trace or [], answers, due is not None and due <= batch.now_ms)

    def drive(
        self, forward: FastForward, until_ms: int | None, effects_max: int
    ) -> tuple[int, list[Effect], list[TraceRecord]]:
        """Apply batches of virtual time (see `ext.kernel.fast_forward`), one per instant, each as `apply` would.

        Return why it stopped, and all effects and trace records of the batches. `seq` counts them.
        """
        core, state, before = self._core, self._state, forward.batches
        core.effects, core.recorder.trace = [], [] if self._trace else None
        effects, trace = core.effects, core.recorder.trace
        occurrence_ms = schedules.next_due_ms(state)
        turn = forward.drive(core, until_ms, occurrence_ms, effects_max, SIMULATED_TRACE_MAX)
        core.recorder.trace = None
        state.seq += forward.batches - before
        return turn, effects, trace or []

    def _operate(self, control: Control) -> dict[str, Any] | Refused:
        operation = OPERATIONS.get(control.op)
        if operation is None:
            detail = f"There is no operation {control.op!r}."
            return Refused("no_such_operation", detail, remedy=f"Known: {', '.join(OPERATIONS)}.")
        try:
            answer = operation(self._state, control.args)
        except Refused as refused:
            # It becomes an answer: with its traceback it would hold the frames that hold it.
            return refused.with_traceback(None)
        drain(self._core)
        release_held(self._core, TIMERS_PER_BATCH_MAX)
        return answer

    # Snapshots

    def snapshot(self, *, full: bool) -> Snapshot:
        """Begin a snapshot of the state as of now, to be read in parts while further batches are applied.

        There is one snapshot at a time. `full=False` holds the changes since the previous snapshot, and all that is
        small. If the previous snapshot was not read to its end, this one is full (see its `full`).
        """
        if self._last is not None and not self._last.complete:
            self._last.abandon()
            full = True
        self._last = Snapshot(self._state, full=full, since=self._recent_mark, since_ms=self._snapshot_ms)
        self._recent_mark, self._snapshot_ms = self._last.recent_mark, self._last.now_ms
        return self._last

    def restore(self, parts: Iterable[bytes]) -> None:
        """Restore a fresh kernel from a base and its deltas; the parts of the newest snapshot come first."""
        assert self.seq == 0, "only a fresh kernel can be restored"
        snapshot.restore(self._state, parts)
        self._recent_mark, self._snapshot_ms = self._core.recent.mark, self.now_ms

    def digest(self) -> bytes:
        """Return a digest, 16 bytes, of the whole state. Slow: for tests and `verify`."""
        return snapshot.digest(self._state)

    # Reads. `flow` and `contact` arguments are ids; what does not exist raises NotFound.

    def flows(self) -> list[dict[str, Any]]:
        """Return all flows, in order of id."""
        return [reads.flow_row(self._state, flow) for _, flow in sorted(self._state.flows.items())]

    def flow(self, flow: str) -> dict[str, Any]:
        return reads.flow_detail(self._state, flows.known(self._state, flow))

    def draft(self, flow: str) -> dict[str, Any]:
        return reads.draft(self._state, flows.known(self._state, flow))

    def versions(self, flow: str) -> list[dict[str, Any]]:
        """Return the launched versions, oldest first (rule 29)."""
        return [reads.version_row(version) for version in flows.known(self._state, flow).versions]

    def version(self, flow: str, number: int) -> dict[str, Any]:
        return reads.version_detail(flows.known(self._state, flow), number)

    def impact(self, flow: str) -> dict[str, Any]:
        """Return what a launch of the draft would do to waiting runs (rule 26)."""
        return flows.impact(self._state, flows.known(self._state, flow))

    def stats(self, flow: str) -> dict[str, Any]:
        return reads.stats(flows.known(self._state, flow))

    def report(self, flow: str, node: str) -> dict[str, Any]:
        """Return the report of an A/B test (rule 22)."""
        return reads.ab_report(self._state, flows.known(self._state, flow), node)

    def runs(
        self, flow: str, *, node: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Return a page of the waiting runs of a flow."""
        return reads.runs_page(flows.known(self._state, flow), node, limit, cursor)

    def contact(self, contact: str) -> dict[str, Any]:
        return reads.contact(self._state, contact)

    def contact_runs(self, contact: str) -> list[dict[str, Any]]:
        """Return the runs in progress and the last ended ones, newest first."""
        return reads.contact_runs(self._state, contact)

    def why(self, contact: str, flow: str) -> dict[str, Any]:
        """Explain why a contact is, or is not, in a flow."""
        return reads.why(self._state, contact, flows.known(self._state, flow))

    def pools(self) -> list[dict[str, Any]]:
        return [self._state.pools.entry(id) for id in sorted(self._state.pools.by_id)]

    def segment_members(self, segment: str, *, limit: int = 100, cursor: str | None = None) -> dict[str, Any]:
        return reads.segment_members(self._state, segment, limit, cursor)

    def outbox(self, after: int, limit: int) -> list[Effect]:
        """Return at most `limit` effects with a larger seq that have no receipt yet, in order."""
        return self._state.outbox.after(after, limit)

    def is_pending(self, effect: Effect) -> bool:
        """Whether an effect has no receipt yet (its contact may have been deleted meanwhile)."""
        return self._state.outbox.holds(effect.seq)

    def problems(self) -> list[dict[str, Any]]:
        """Return the log of problems, newest first; `at` is RFC 3339."""
        return [
            {**problem, "at": reads.when(problem["at"])} for problem in self._state.monitor.newest_first()
        ]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return the effects whose receipt says `failed` and that can be retried, newest first; `at` is RFC 3339."""
        return reads.dead_letters(self._state)

    def counts(self) -> dict[str, int]:
        """Return totals, for metrics."""
        return reads.counts(self._state)

    def schema(self) -> dict[str, Any]:
        return self._state.schema.document()

    def channels(self) -> list[str] | None:
        """Return the configured channels, or None if every channel exists."""
        return None if self._core.channels is None else list(self._core.channels)
