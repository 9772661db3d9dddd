"""Ingest: submissions become batches; batches are applied, made durable, then acknowledged.

    enqueue ─▶ queue ─▶ cut ─▶ kernel.apply(N) ─▶ hand over ─▶ journal.append(…, N) ─▶ settle: tickets, effects
                               while those before N are committed    in a worker thread

Two tasks and a short channel between them. The applier cuts a batch from what is queued, applies it and hands it over;
the committer takes all that were handed over meanwhile and commits them at once. There is no linger: while a commit
is under way the queue grows by itself, and the next batch is cut when the commit ends, or before that if enough is
queued to be worth the overlap (PIPELINE_INPUTS_MIN), up to PIPELINE_BATCHES_MAX that are not durable. Nothing of a
batch leaves (acknowledgements, answers, effects) before its commit has ended.

Time is an input: an empty batch, a pulse, is made when the kernel's next timer is due.

When the journal is full the committer keeps its batch and tries again; new submissions are refused (503), those
queued stay queued, and everything goes on when there is room. Any other failure ends both tasks with an error.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any

import msgspec
import trio

from engine import limits, tuning
from engine.clock import Clock
from engine.errors import Refused, Unavailable
from engine.kernel import Kernel
from engine.model import KERNEL_VERSION, Batch, Control, Outcome
from engine.store import frame
from engine.store.environment import StoreFull
from engine.store.journal import Journal
from engine.submission import Submission, Ticket, pieces_of, stopping
from engine.wire import Decoded, Rejection, decode_line, encode_control

OUTBOX_CHECK_S = 1.0


class Applied(msgspec.Struct):
    """A batch the kernel has applied, on its way to the disk."""

    seq: int
    frame: bytes
    submissions: list[Submission]
    outcome: Outcome


class Ingest:
    """The one way into the kernel. `settled` is called after each durable batch, `full` if the journal is."""

    def __init__(
        self,
        kernel: Kernel,
        journal: Journal,
        clock: Clock,
        *,
        settled: Callable[[Outcome], None] = lambda _: None,
        full: Callable[[], None] = lambda: None,
    ) -> None:
        self._kernel = kernel
        self._journal = journal
        self._clock = clock
        self._settled = settled
        self._on_full = full
        self._queue: deque[Submission] = deque()
        self._queued_bytes = 0
        self._queued_inputs = 0
        self._gate = trio.StrictFIFOLock()
        self._room = trio.Event()
        self._bell = trio.Event()
        self._retry = trio.Event()
        self._ahead: deque[Applied] = deque()
        self._more = False
        self._closing: str | None = None
        self._ended = trio.Event()
        self._full_since: float | None = None
        self._outbox_full = False
        self._outbox_due_s = 0.0
        self._durable_seq = kernel.seq
        self._batches = self._pulses = self._inputs = 0
        self._apply_s = self._apply_s_max = 0.0

    # What others submit

    async def submit(self, decoded: Decoded) -> None:
        """Return when `decoded` is durable. Raises Unavailable."""
        await (await self.enqueue(decoded)).wait()

    async def enqueue(self, decoded: Decoded) -> Ticket:
        """Queue `decoded`, waiting while too much is queued. Raises Unavailable (store or outbox full, stopping)."""
        if self._outbox_is_full():
            raise Unavailable("outbox_full", "Too many messages wait to be delivered.", retry_after_s=5)
        return await self._enqueue(decoded)

    async def _enqueue(self, decoded: Decoded) -> Ticket:
        if self._queued_bytes >= limits.INTAKE_QUEUE_BYTES_MAX or self._gate.locked():
            async with self._gate:
                while self._queued_bytes >= limits.INTAKE_QUEUE_BYTES_MAX and not self._refusal():
                    self._room = trio.Event()
                    await self._room.wait()
                return self._put(decoded)
        return self._put(decoded)

    def _put(self, decoded: Decoded) -> Ticket:
        """Queue `decoded` whatever is queued already. Raises Unavailable."""
        if (refusal := self._refusal()) is not None:
            raise refusal
        ticket = Ticket()
        if not decoded.inputs:
            ticket.resolve()
            return ticket
        pieces = pieces_of(decoded)
        for number, (inputs, body) in enumerate(pieces, start=1):
            self._queue.append(Submission(inputs, body, ticket, number == len(pieces)))
            self._queued_bytes += len(body)
            self._queued_inputs += len(inputs)
        self._bell.set()
        return ticket

    async def control(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        """Journal an operation and give its answer once durable. Raises Refused or Unavailable.

        A full outbox does not keep operations out: receipts empty it.

        The kernel is given what the line decodes to, not `args`, so that a replay meets the same.
        """
        line = encode_control(Control(op, args))
        taken = decode_line(line, control=True)
        if isinstance(taken, Rejection):
            raise Refused(taken.code, taken.detail)
        ticket = await self._enqueue(Decoded([taken], line, [], 1))
        await ticket.wait()
        (answer,) = ticket.answers
        if isinstance(answer, Refused):
            try:
                raise answer
            finally:
                del answer, ticket  # its traceback has this frame: no cycle for the collector
        assert answer is not None, f"operation {op} has no answer"
        return answer

    # The two tasks

    async def run(self) -> None:
        """Apply and commit until `close`. What is not durable when this ends is refused to whoever waits."""
        send, receive = trio.open_memory_channel[Applied](tuning.PIPELINE_BATCHES_MAX)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._commit_all, receive)
                await self._apply_all(send)
        finally:
            self._fail_waiting()
            self._ended.set()

    async def close(self) -> None:
        """Take no more, and return when all that was queued is durable, or cannot be for want of room."""
        self._closing = "stopping"
        self._room.set()
        self._bell.set()
        while not self._ended.is_set():
            if self._full_since is not None and time.monotonic() - self._full_since > limits.STOP_FULL_S:
                return
            with trio.move_on_after(1):
                await self._ended.wait()

    def retry(self) -> None:
        """Retry the batch that waits for room, because there may be some again."""
        self._retry.set()

    async def _apply_all(self, send: trio.MemorySendChannel[Applied]) -> None:
        async with send:
            while True:
                if self._closing and not self._queue:
                    return
                if self._worth_a_batch():
                    await send.send(self._apply_next())
                else:
                    self._bell = trio.Event()
                    with trio.move_on_after(self._patience_s()):
                        await self._bell.wait()

    def _worth_a_batch(self) -> bool:
        if len(self._ahead) >= tuning.PIPELINE_BATCHES_MAX:
            return False
        if self._ahead and self._queued_inputs < tuning.PIPELINE_INPUTS_MIN:
            return False
        return bool(self._queue) or self._more or self._is_due()

    def _is_due(self) -> bool:
        due = self._kernel.next_due_ms()
        return due is not None and due <= self._now_ms()

    def _patience_s(self) -> float:
        """Return the seconds until there is something to do.

        The bell rings before that if something is queued or settled.
        """
        due = self._kernel.next_due_ms()
        if due is None or self._ahead:
            return tuning.PULSE_SLEEP_S_MAX
        return min(max(0, due - self._now_ms()) / 1000, tuning.PULSE_SLEEP_S_MAX)

    def _now_ms(self) -> int:
        return max(self._kernel.now_ms, self._clock.now_ms())

    def _apply_next(self) -> Applied:
        now_ms = self._now_ms()
        submissions = self._cut(now_ms)
        inputs = list(chain.from_iterable(submission.inputs for submission in submissions))
        batch = Batch(self._kernel.seq + 1, now_ms, inputs)
        value = frame.encode(
            batch.seq,
            batch.now_ms,
            version=KERNEL_VERSION,
            count=len(inputs),
            previous=self._kernel.outcome_digest,
            bodies=[submission.body for submission in submissions],
        )
        started = time.perf_counter()
        outcome = self._kernel.apply(batch)
        took = time.perf_counter() - started
        self._apply_s += took
        self._apply_s_max = max(self._apply_s_max, took)
        self._more = outcome.more
        applied = Applied(batch.seq, value, submissions, outcome)
        self._ahead.append(applied)
        return applied

    def _cut(self, now_ms: int) -> list[Submission]:
        """Take the next submissions: at least one if there is any, within the bounds of a batch. An operation
        waits until all timers due before it have fired: a pause must not reach what was due earlier (rule 28)."""
        due_ms = self._kernel.next_due_ms()
        is_overdue = due_ms is not None and due_ms <= now_ms
        taken: list[Submission] = []
        inputs = size = 0
        while self._queue:
            if is_overdue and isinstance(self._queue[0].inputs[0], Control):
                break
            inputs += len(self._queue[0].inputs)
            size += len(self._queue[0].body)
            if taken and (inputs > limits.BATCH_INPUTS_MAX or size > limits.BATCH_BYTES_MAX):
                break
            taken.append(self._queue.popleft())
        self._queued_bytes -= sum(len(one.body) for one in taken)
        self._queued_inputs -= sum(len(one.inputs) for one in taken)
        if self._queued_bytes < limits.INTAKE_QUEUE_BYTES_MAX:
            self._room.set()
        return taken

    async def _commit_all(self, receive: trio.MemoryReceiveChannel[Applied]) -> None:
        async for applied in receive:
            batches = _with_those_that_wait(applied, receive)
            while not await self._commit(batches):
                self._on_full()
                with trio.move_on_after(1):
                    await self._retry.wait()
            for applied in batches:
                self._settle(applied)

    async def _commit(self, batches: list[Applied]) -> bool:
        """Whether the batches are durable now; no: there is no room."""
        self._retry = trio.Event()
        try:
            await self._journal.append_all([(applied.seq, applied.frame) for applied in batches])
        except StoreFull:
            self._full_since = self._full_since or time.monotonic()
            self._room.set()
            return False
        self._full_since = None
        return True

    def _settle(self, applied: Applied) -> None:
        oldest = self._ahead.popleft()
        assert oldest is applied, "batches are committed in the order they were applied"
        self._durable_seq = applied.seq
        self._batches += 1
        self._pulses += not applied.submissions
        place = 0
        for submission in applied.submissions:
            count = len(submission.inputs)
            submission.ticket.answers += applied.outcome.answers[place : place + count]
            place += count
            if submission.last:
                submission.ticket.resolve()
        self._inputs += place
        self._bell.set()
        self._settled(applied.outcome)

    # What others ask

    def durable_effects_before(self) -> int | None:
        """Return the seq below which effects are durable; None: all are."""
        return next((one.outcome.effects[0].seq for one in self._ahead if one.outcome.effects), None)

    @property
    def durable_seq(self) -> int:
        """Seq of the newest durable batch."""
        return self._durable_seq

    @property
    def is_full(self) -> bool:
        """Whether a batch waits for room on the disk; submissions are refused meanwhile."""
        return self._full_since is not None

    @property
    def accepts_events(self) -> bool:
        """Whether there is room on the disk and in the outbox."""
        return not self.is_full and not self._outbox_is_full()

    def statistics(self) -> dict[str, object]:
        """Return counts since the start, and what is queued at present. Times in seconds."""
        return {
            "batches": self._batches,
            "pulses": self._pulses,
            "inputs": self._inputs,
            "durable_seq": self._durable_seq,
            "queued_bytes": self._queued_bytes,
            "queued_inputs": self._queued_inputs,
            "batches_ahead": len(self._ahead),
            "apply_s": self._apply_s,
            "apply_s_max": self._apply_s_max,
            "full": self.is_full,
        }

    def _outbox_is_full(self) -> bool:
        """Whether OUTBOX_EFFECTS_MAX effects wait for receipts; counted at most once a second."""
        now_s = time.monotonic()
        if now_s >= self._outbox_due_s:
            self._outbox_due_s = now_s + OUTBOX_CHECK_S
            self._outbox_full = self._kernel.counts()["effects_pending"] >= limits.OUTBOX_EFFECTS_MAX
        return self._outbox_full

    def _refusal(self) -> Unavailable | None:
        if self._closing is not None:
            return stopping(self._closing)
        return StoreFull("journal") if self.is_full else None

    def _fail_waiting(self) -> None:
        self._closing = self._closing or "stopped"
        self._room.set()
        waiting = [one for applied in self._ahead for one in applied.submissions]
        for submission in (*waiting, *self._queue):
            submission.ticket.resolve(self._closing)


def _with_those_that_wait(applied: Applied, receive: trio.MemoryReceiveChannel[Applied]) -> list[Applied]:
    """Return a batch and those applied after it that wait as well, until their frames are COMMIT_BYTES_MAX."""
    batches = [applied]
    while sum(len(one.frame) for one in batches) < tuning.COMMIT_BYTES_MAX:
        try:
            batches.append(receive.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            break
    return batches
