"""Ingest: only durable outcomes leave, some batches are applied ahead, senders wait when too much is queued."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from engine import limits, tuning
from engine.clock import VirtualClock
from engine.errors import Refused, StoreError, Unavailable
from engine.ingest import Ingest
from engine.kernel import Kernel
from engine.kernel import kernel as kernel_module
from engine.model import Control, Outcome, TraceRecord
from engine.store import frame
from engine.store.environment import StoreFull
from engine.store.journal import Journal
from engine.submission import pieces_of
from engine.wire import decode_lines
from ext.wire.event import Event
from tests.store.fake_kernel import FakeKernel, as_kernel
from tests.store.helpers import events, line, run


class HeldJournal:
    """A journal whose commits end when the test lets them (`release`), or fail with `error`."""

    def __init__(self, *, held: bool = True) -> None:
        self.frames: list[frame.Frame] = []
        self.under_way = 0
        self.error: Exception | None = None
        self._held = held
        self._released = trio.Semaphore(0)

    async def append_all(self, frames: list[tuple[int, bytes]]) -> None:
        self.under_way += 1
        assert self.under_way == 1, "one commit at a time"
        if self._held:
            await self._released.acquire()
        else:
            await trio.lowlevel.checkpoint()
        self.under_way -= 1
        if self.error is not None:
            raise self.error
        self.frames += [frame.decode(value, seq) for seq, value in frames]

    async def release(self, commits: int = 1) -> None:
        for _ in range(commits):
            self._released.release()
            await wait_all_tasks_blocked()


class IngestBench:
    """An ingest on a fake kernel, a held journal and a virtual clock."""

    def __init__(self, *, held: bool = True) -> None:
        self.kernel = FakeKernel()
        self.journal = HeldJournal(held=held)
        self.clock = VirtualClock(1_000)
        self.settled: list[Outcome] = []
        self.full = 0
        self.ingest = Ingest(
            as_kernel(self.kernel),
            cast(Journal, self.journal),
            self.clock,
            settled=self.settled.append,
            full=self._was_full,
        )

    def _was_full(self) -> None:
        self.full += 1


@asynccontextmanager
async def bench(*, held: bool = True) -> AsyncIterator[IngestBench]:
    made = IngestBench(held=held)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.ingest.run)
        await wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


def test_nothing_is_acknowledged_before_its_commit() -> None:
    async def test() -> None:
        async with bench() as b:
            ticket = await b.ingest.enqueue(events(3))
            await wait_all_tasks_blocked()
            assert b.kernel.seq == 1
            assert not ticket.done
            assert b.settled == []
            assert b.ingest.durable_seq == 0
            await b.journal.release()
            assert ticket.done
            assert b.ingest.durable_seq == 1
            assert len(b.settled) == 1

    run(test)


def test_a_batch_grows_while_a_commit_is_under_way() -> None:
    async def test() -> None:
        async with bench() as b:
            tickets = [await b.ingest.enqueue(events(1))]
            await wait_all_tasks_blocked()
            for n in range(1, 6):
                tickets.append(await b.ingest.enqueue(events(1, first=n)))
                await wait_all_tasks_blocked()
            assert b.kernel.seq == 1
            await b.journal.release()
            assert [ticket.done for ticket in tickets] == [True] + 5 * [False]
            await b.journal.release()
            assert all(ticket.done for ticket in tickets)
            assert [one.count for one in b.journal.frames] == [1, 5]

    run(test)


def test_with_much_queued_some_batches_are_applied_ahead_and_committed_together() -> None:
    async def test() -> None:
        async with bench() as b:
            for n in range(6):
                await b.ingest.enqueue(
                    events(tuning.PIPELINE_INPUTS_MIN, first=n * tuning.PIPELINE_INPUTS_MIN)
                )
                await wait_all_tasks_blocked()
            assert b.kernel.seq == tuning.PIPELINE_BATCHES_MAX == 4
            assert b.ingest.durable_seq == 0
            await b.journal.release()
            assert (b.ingest.durable_seq, b.kernel.seq) == (1, 5), "those still queued are one batch"
            await b.journal.release()
            assert (b.ingest.durable_seq, b.kernel.seq) == (4, 5)
            await b.journal.release()
            assert b.ingest.durable_seq == 5
            assert sum(one.count for one in b.journal.frames) == 6 * tuning.PIPELINE_INPUTS_MIN


@pytest.mark.parametrize("most", [1, 1 << 20])
def test_one_commit_is_bounded_in_bytes(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "COMMIT_BYTES_MAX", most)

    async def test() -> None:
        async with bench() as b:
            for n in range(3):
                await b.ingest.enqueue(
                    events(tuning.PIPELINE_INPUTS_MIN, first=n * tuning.PIPELINE_INPUTS_MIN)
                )
                await wait_all_tasks_blocked()
            assert b.kernel.seq == 3
            await b.journal.release()
            await b.journal.release()
            assert b.ingest.durable_seq == (2 if most == 1 else 3)
            await b.journal.release(3)

    run(test)


def test_each_frame_carries_the_digest_before_it() -> None:
    async def test() -> None:
        async with bench(held=False) as b:
            digests = [b.kernel.outcome_digest]
            for n in range(3):
                await b.ingest.submit(events(2, first=2 * n))
                digests.append(b.kernel.outcome_digest)
            assert [one.previous for one in b.journal.frames] == digests[:3]
            assert len(set(digests)) == 4

    run(test)


def test_senders_wait_in_order_while_too_much_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INTAKE_QUEUE_BYTES_MAX", 1_000)
    taken: list[int] = []

    async def test() -> None:
        async with bench() as b, trio.open_nursery() as nursery:

            async def send(number: int) -> None:
                await b.ingest.enqueue(events(1, first=number, padding=1_000))
                taken.append(number)

            for number in range(6):
                nursery.start_soon(send, number)
                await wait_all_tasks_blocked()
            assert taken == [0, 1], "one is being committed, one queued"
            queued_bytes: Any = b.ingest.statistics()["queued_bytes"]
            assert queued_bytes > 1_000
            await b.journal.release(6)
            assert taken == list(range(6))

    run(test)


def test_a_submission_larger_than_a_batch_is_cut_and_acknowledged_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "BATCH_INPUTS_MAX", 10)
    monkeypatch.setattr(tuning, "PIPELINE_INPUTS_MIN", 1)
    monkeypatch.setattr(tuning, "COMMIT_BYTES_MAX", 1)

    async def test() -> None:
        async with bench() as b:
            ticket = await b.ingest.enqueue(events(25))
            await b.journal.release(2)
            assert not ticket.done
            await b.journal.release()
            assert ticket.done
            assert [one.count for one in b.journal.frames] == [10, 10, 5]
            assert sum(b.kernel.counted.values()) == 25

    run(test)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(1, 10), st.integers(300, 1000))
def test_cutting_loses_nothing_and_keeps_the_bounds(paddings: list[int], inputs: int, size: int) -> None:
    body = b"\n".join(line(f"c{n}", padding="x" * padding) for n, padding in enumerate(paddings))
    decoded = decode_lines(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "BATCH_INPUTS_MAX", inputs)
        patch.setattr(limits, "BATCH_BYTES_MAX", size)
        pieces = pieces_of(decoded)
    contacts = [item.contact for piece, _ in pieces for item in piece if isinstance(item, Event)]
    assert contacts == [f"c{n}" for n in range(len(paddings))]
    for piece, lines in pieces:
        assert len(decode_lines(lines).inputs) == len(piece) <= inputs
        assert len(lines) <= size or len(piece) == 1


def test_operations_and_events_share_one_queue_in_order() -> None:
    async def test() -> None:
        async with bench() as b:
            await b.ingest.enqueue(events(1))
            await wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                await b.ingest.enqueue(events(2, first=1))
                nursery.start_soon(b.ingest.control, "echo", {})
                await wait_all_tasks_blocked()
                await b.ingest.enqueue(events(1, first=3))
                await b.journal.release(2)
            kinds = [b'"control"' in one for one in b.journal.frames[1].body.splitlines()]
            assert kinds == [False, False, True, False]

    run(test)


def test_the_kernel_meets_an_operation_as_a_replay_would() -> None:
    async def test() -> None:
        async with bench(held=False) as b:
            answer = await b.ingest.control("echo", {"list": (1, 2), "number": 1.0, "nothing": None})
            assert answer == {"op": "echo", "list": [1, 2], "number": 1.0, "nothing": None}
            (again,) = decode_lines(b.journal.frames[0].body, control=True).inputs
            assert isinstance(again, Control)
            assert again.args == {"list": [1, 2], "number": 1.0, "nothing": None}

    run(test)


def test_an_operation_too_large_for_a_line_is_refused() -> None:
    async def test() -> None:
        async with bench(held=False) as b:
            with pytest.raises(Refused) as refused:
                await b.ingest.control("echo", {"text": "x" * limits.CONTROL_BYTES_MAX})
            assert refused.value.code == "too_large"
            assert b.kernel.seq == 0

    run(test)


def test_a_pulse_comes_when_a_timer_is_due_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "PULSE_SLEEP_S_MAX", 0.01)

    async def test() -> None:
        async with bench(held=False) as b:
            await b.ingest.submit(decode_lines(line("c1", "wait", ms=60_000)))
            await trio.sleep(0.05)
            assert b.kernel.seq == 1
            b.clock.set(60_999)
            await trio.sleep(0.05)
            assert b.kernel.seq == 1
            b.clock.set(61_000)
            await trio.sleep(0.05)
            assert b.kernel.seq == 2
            assert [effect.at for effect in b.settled[-1].effects] == [61_000]
            assert (b.journal.frames[-1].count, b.journal.frames[-1].now_ms) == (0, 61_000)

    run(test)


def test_timers_left_over_get_batches_without_waiting() -> None:
    async def test() -> None:
        async with bench(held=False) as b:
            waits = b"".join(line(f"c{n}", "wait", ms=5) for n in range(10))
            await b.ingest.submit(decode_lines(waits))
            b.clock.set(2_000)
            await b.ingest.submit(events(1))
            await wait_all_tasks_blocked()
            assert [len(outcome.effects) for outcome in b.settled] == [0, 3, 3, 3, 1]

    run(test)


def test_time_never_goes_back() -> None:
    class Backwards:
        times = iter([5_000, 5_000, 4_000, 3_000, 3_000, 6_000])

        def now_ms(self) -> int:
            return next(self.times, 6_000)

    async def test() -> None:
        async with bench(held=False) as b:
            b.ingest._clock = Backwards()
            for n in range(5):
                await b.ingest.submit(events(1, first=n))
            times = [one.now_ms for one in b.journal.frames]
            assert times == sorted(times)
            assert times[:3] == [5_000, 5_000, 5_000]

    run(test)


def test_a_full_store_refuses_new_input_and_loses_nothing() -> None:
    async def test() -> None:
        async with bench() as b:
            b.journal.error = StoreFull("journal")
            first = await b.ingest.enqueue(events(5))
            queued = await b.ingest.enqueue(events(5, first=5))
            await b.journal.release()
            assert b.ingest.is_full
            assert b.full == 1
            with pytest.raises(Unavailable) as refused:
                await b.ingest.enqueue(events(1, first=10))
            assert refused.value.code == "store_full"
            assert not first.done
            b.journal.error = None
            b.ingest.retry()
            await b.journal.release(2)
            assert first.done
            assert queued.done
            assert not b.ingest.is_full
            assert sum(one.count for one in b.journal.frames) == 10
            await b.ingest.enqueue(events(1, first=10))

    run(test)


def test_a_sender_that_waits_for_room_in_the_queue_is_refused_when_the_store_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "INTAKE_QUEUE_BYTES_MAX", 10)

    async def test() -> None:
        async with bench() as b:
            b.journal.error = StoreFull("journal")
            await b.ingest.enqueue(events(1))
            await wait_all_tasks_blocked()
            await b.ingest.enqueue(events(1, first=1))
            refused = trio.Event()

            async def third() -> None:
                with pytest.raises(StoreFull):
                    await b.ingest.enqueue(events(1, first=2))
                refused.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(third)
                await wait_all_tasks_blocked()
                assert not refused.is_set()
                await b.journal.release()
            assert refused.is_set()

    run(test)


def test_a_commit_that_fails_ends_ingest_and_refuses_waiting_senders() -> None:
    async def test() -> None:
        b = IngestBench()
        b.journal.error = StoreError("commit_failed", "The disk failed.")
        tickets = [b.ingest._put(events(1, first=n)) for n in range(3)]
        b.journal._released.release()
        with pytest.raises(ExceptionGroup) as ended:
            await b.ingest.run()
        assert ended.group_contains(StoreError, match="The disk failed")
        for ticket in tickets:
            with pytest.raises(Unavailable):
                await ticket.wait()
        with pytest.raises(Unavailable):
            await b.ingest.enqueue(events(1))

    run(test)


def test_closing_makes_queued_input_durable_and_accepts_no_more() -> None:
    async def test() -> None:
        async with bench(held=False) as b:
            tickets = [b.ingest._put(events(1, first=n)) for n in range(3)]
            await b.ingest.close()
            assert all(ticket.done and ticket.error is None for ticket in tickets)
            with pytest.raises(Unavailable) as refused:
                b.ingest._put(events(1, first=3))
            assert refused.value.code == "stopping"

    run(test)


def test_closing_gives_up_on_a_store_that_stays_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STOP_FULL_S", 0)

    async def test() -> None:
        async with bench(held=False) as b:
            b.journal.error = StoreFull("journal")
            ticket = b.ingest._put(events(1))
            await wait_all_tasks_blocked()
            await b.ingest.close()
            assert not ticket.done

    run(test)


def test_a_submission_without_inputs_is_done_immediately() -> None:
    async def test() -> None:
        async with bench() as b:
            await b.ingest.submit(decode_lines(b"\n\n"))
            assert b.kernel.seq == 0

    run(test)


def test_effects_of_a_batch_that_is_not_durable_are_known() -> None:
    async def test() -> None:
        async with bench() as b:
            assert b.ingest.durable_effects_before() is None
            await b.ingest.enqueue(decode_lines(line("c1", "send", channel="sms")))
            await wait_all_tasks_blocked()
            assert b.ingest.durable_effects_before() == 1
            await b.journal.release()
            assert b.ingest.durable_effects_before() is None

    run(test)


def test_a_full_outbox_keeps_events_out_and_lets_receipts_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OUTBOX_EFFECTS_MAX", 2)
    monkeypatch.setattr("engine.ingest.OUTBOX_CHECK_S", 0)

    async def test() -> None:
        async with bench(held=False) as b:
            await b.ingest.submit(decode_lines(2 * line("c1", "send", channel="sms")))
            with pytest.raises(Unavailable) as refused:
                await b.ingest.submit(events(1))
            assert refused.value.code == "outbox_full"
            assert not b.ingest.accepts_events
            await b.ingest.control("receipts", {"receipts": [{"effect": "e1", "status": "delivered"}]})
            await b.ingest.submit(events(1))

    run(test)


def test_an_operation_waits_until_earlier_timers_have_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 28: a pause stops what is due from then on, also where more was due than a batch takes."""
    monkeypatch.setattr(kernel_module, "TIMERS_PER_BATCH_MAX", 2)
    kernel = Kernel(trace=True)
    clock = VirtualClock(1_000)
    trace: list[TraceRecord] = []
    nodes = {
        "start": {"kind": "launch", "trigger": {"event": "X"}, "next": "w"},
        "w": {"kind": "wait", "for": "1s", "next": "a"},
        "a": {"kind": "step", "actions": [{"points": {"add": 1}}]},
    }

    async def test() -> None:
        journal = cast(Journal, HeldJournal(held=False))
        ingest = Ingest(kernel, journal, clock, settled=lambda outcome: trace.extend(outcome.trace))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ingest.run)
            await ingest.control("launch", {"flow": {"id": "f", "name": "f", "nodes": nodes}})
            lines = b"".join(b'{"type":"track","userId":"c%d","event":"X"}\n' % n for n in range(7))
            await ingest.submit(decode_lines(lines))
            clock.set(5_000)
            await ingest.control("pause", {"flow": "f"})
            await ingest.close()

    run(test)
    assert [record.what for record in trace if record.node == "a" and record.what != "left"] == [
        "executed"
    ] * 7
    assert kernel.flow("f")["status"] == "paused"
