"""The kernel by itself: batches in, outcomes out, snapshots and reads."""

from __future__ import annotations

import pytest

from engine.errors import NotFound, Refused
from engine.kernel import Kernel
from engine.model import Control
from engine.wire import decode_lines, encode_control
from tests.kernel.kernel_bench import DAY, START, WAITING, Bench, flow, reached


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.control("launch", flow=WAITING)
    return bench


def test_an_event_walks_a_contact_through_the_flow(bench: Bench) -> None:
    bench.track("c1", "Order Completed", '{"total": 49.5}')
    bench.track("c1", "Order Completed", '{"total": 70}')
    bench.now_ms += DAY
    bench.track("c1", "Order Completed", '{"total": 10}')
    bench.now_ms += 2 * DAY
    bench.apply()
    assert bench.whats() == [
        ("c1", "start", "entered"),
        ("c1", "w", "waiting"),
        ("c1", "again", "condition"),
        ("c1", "again", "left"),
    ]
    assert bench.kernel.stats("f")["nodes"]["again"]["false"] == 1


def test_a_timer_is_never_early(bench: Bench) -> None:
    bench.track("c1", "Order Completed", '{"total": 70}')
    due = bench.kernel.next_due_ms()
    assert due == START + 3 * DAY
    bench.now_ms = due - 1
    bench.apply()
    assert bench.whats()[-1] == ("c1", "w", "waiting")
    bench.now_ms = due
    bench.apply()
    assert bench.whats()[-1] == ("c1", "again", "left")
    assert bench.kernel.next_due_ms() is None


def test_the_same_message_twice_changes_nothing_at_all(bench: Bench) -> None:
    bench.track("c1", "Order Completed", '{"total": 70}', messageId="m1")
    before = bench.kernel.contact("c1")
    bench.track("c1", "Order Completed", '{"total": 70}', messageId="m1")
    assert bench.kernel.contact("c1") == before
    assert bench.kernel.counts()["duplicates"] == 1


def test_a_snapshot_read_while_batches_go_on_holds_the_state_it_was_taken_of(bench: Bench) -> None:
    for n in range(40):
        bench.track(f"c{n}", "Order Completed", '{"total": 70}', messageId=f"m{n}")
    digest = bench.kernel.digest()
    snapshot = bench.kernel.snapshot(full=True)
    parts = []
    n = 0
    while (part := snapshot.part(3)) is not None:
        parts.append(part)
        n += 1
        bench.now_ms += DAY // 4
        bench.track(f"c{n % 50}", "Order Completed", '{"total": 90}', messageId=f"x{n}")
    restored = Kernel(trace=True)
    restored.restore(parts)
    assert restored.seq == snapshot.seq
    assert restored.digest() == digest
    assert bench.kernel.digest() != digest


def test_a_base_and_its_deltas_bring_back_the_state_and_go_on_alike(bench: Bench) -> None:
    parts: list[bytes] = []

    def checkpoint(full: bool) -> None:
        snapshot = bench.kernel.snapshot(full=full)
        parts[:0] = [part for part in iter(lambda: snapshot.part(7), None) if part is not None]

    for n in range(20):
        bench.track(f"c{n}", "Order Completed", '{"total": 70, "n": 1}', messageId=f"m{n}")
    bench.line('{"type":"alias","userId":"c1","previousId":"c2"}')
    checkpoint(True)
    bench.now_ms += DAY
    bench.control("delete_contact", contact="c3")
    bench.control("add_codes", pool="spring", codes=["A", "B"])
    bench.track("c4", "Order Completed", '{"total": 70}', messageId="m20")
    checkpoint(False)
    bench.control("launch", flow={**WAITING, "name": "second"})
    bench.track("new", "Order Completed", '{"total": 70}')
    checkpoint(False)

    twin = Bench()
    twin.kernel.restore(parts)
    twin.now_ms = bench.now_ms
    assert twin.kernel.digest() == bench.kernel.digest()
    assert twin.kernel.outcome_digest == bench.kernel.outcome_digest
    for one in (bench, twin):
        one.trace = []
        one.now_ms += 2 * DAY
        one.apply()
        one.track("c2", "Order Completed", '{"total": 70}', messageId="m20")
        one.now_ms += 3 * DAY
        one.track("c2", "Order Completed", '{"total": 70}')
    assert twin.trace == bench.trace
    assert bench.trace
    assert twin.kernel.digest() == bench.kernel.digest()


def test_a_snapshot_given_up_is_followed_by_a_full_one(bench: Bench) -> None:
    bench.track("c1", "Order Completed", '{"total": 70}')
    bench.kernel.snapshot(full=True).part(1)
    bench.track("c2", "Order Completed", '{"total": 70}')
    snapshot = bench.kernel.snapshot(full=False)
    assert snapshot.full
    parts = iter(lambda: snapshot.part(10), None)
    twin = Kernel()
    twin.restore(part for part in parts if part is not None)
    assert twin.digest() == bench.kernel.digest()


def test_deleting_a_contact_ends_its_runs_and_leaves_the_counts(bench: Bench) -> None:
    bench.track("c1", "Order Completed", '{"total": 70}')
    bench.control("delete_contact", contact="c1")
    assert bench.trace[-1].detail == {"reason": "deleted"}
    assert bench.kernel.stats("f")["nodes"]["w"]["arrived"] == 1
    assert bench.kernel.stats("f")["nodes"]["w"]["waiting"] == 0
    with pytest.raises(NotFound):
        bench.kernel.contact("c1")
    bench.now_ms += 4 * DAY
    assert bench.apply().trace == []


def test_a_flow_with_problems_is_kept_as_a_draft_and_not_launched() -> None:
    bench = Bench()
    bad = flow({"start": {"kind": "launch", "trigger": {"event": "X"}, "next": "nowhere"}})
    saved = bench.control("create_flow", document=bad)
    assert saved["status"] == "draft"
    assert saved["problems"][0]["pointer"] == "/nodes/start/next"
    with pytest.raises(Refused) as caught:
        bench.control("launch", flow="f")
    assert caught.value.code == "flow_has_problems"
    good = flow({"start": {"kind": "launch", "trigger": {"event": "X"}, "next": "a"}, "a": reached()})
    assert bench.control("save_draft", flow="f", document=good, revision=1)["status"] == "ready"
    with pytest.raises(Refused) as caught:
        bench.control("save_draft", flow="f", document=good, revision=1)
    assert caught.value.code == "stale_revision"
    assert bench.control("launch", flow="f")["status"] == "active"
    assert bench.kernel.flow("f")["draft"] is False


def test_why_names_the_instant_from_which_the_contact_may_enter() -> None:
    bench = Bench()
    document = flow(
        {"start": {"kind": "launch", "trigger": {"event": "X"}, "next": "a"}, "a": reached()},
        frequency={"mode": "periodically", "every": "7d"},
    )
    bench.control("launch", flow=document)
    bench.track("c1", "X")
    why = bench.kernel.why("c1", "f")
    assert (why["may_enter"], why["reason"], why["until"]) == (False, "frequency", "2026-08-08T00:00:00Z")
    bench.now_ms += 7 * DAY
    bench.apply()
    assert bench.kernel.why("c1", "f")["may_enter"]


def test_the_impact_of_a_launch_is_what_the_launch_then_does(bench: Bench) -> None:
    for n in range(3):
        bench.track(f"c{n}", "Order Completed", '{"total": 70}')
    bench.control("start_draft", flow="f")
    shorter = flow({"start": {**WAITING["nodes"]["start"], "next": "a"}, "a": reached()})
    bench.control("save_draft", flow="f", document=shorter)
    foreseen = bench.kernel.impact("f")
    assert foreseen["removed"] == {"total": 3, "nodes": {"w": 3}, "contacts": ["c0", "c1", "c2"]}
    done = bench.control("launch", flow="f")
    assert (done["stay"], done["removed"]) == (foreseen["stay"], foreseen["removed"])
    assert [record.what for record in bench.trace[-3:]] == ["left"] * 3
    assert bench.kernel.next_due_ms() is None


def test_operations_survive_the_journal_as_lines() -> None:
    control = Control("pause", {"flow": "f"})
    assert decode_lines(encode_control(control), control=True).inputs == [control]
    assert decode_lines(encode_control(control)).inputs == []


def test_an_unknown_operation_is_refused_and_nothing_stops() -> None:
    bench = Bench()
    answer = bench.apply(Control("dance", {})).answers[0]
    assert isinstance(answer, Refused)
    assert answer.code == "no_such_operation"


def test_two_kernels_given_the_same_batches_have_the_same_digests() -> None:
    one, other = Bench(), Bench()
    for bench in (one, other):
        bench.control("launch", flow=WAITING)
        for n in range(10):
            bench.track(f"c{n % 3}", "Order Completed", '{"total": 70}')
    assert one.kernel.digest() == other.kernel.digest()
    assert one.kernel.outcome_digest == other.kernel.outcome_digest
    other.track("c1", "Order Completed", '{"total": 70}')
    assert one.kernel.outcome_digest != other.kernel.outcome_digest
