"""Findings of a hostile review: bounds, orders of events and fates of data that are rare in practice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.errors import Refused
from engine.kernel import Kernel, flows, kernel, schedules
from engine.limits import (
    CHAIN_EVENTS_MAX,
    HISTORY_EVENTS_PER_NAME_MAX,
    HISTORY_PROPERTIES_PER_NAME_MAX,
    PROBLEM_DETAIL_CHARS_MAX,
    TRAITS_BYTES_MAX,
)
from engine.model import Control, Input
from engine.wire import decode_lines
from ext.kernel.contact_writer import pack_contact
from tests.kernel.kernel_bench import DAY, Bench, flow, reached


def again(bench: Bench) -> Bench:
    """Return the engine as it is after a restart."""
    snapshot = bench.kernel.snapshot(full=True)
    twin = Bench()
    twin.now_ms = bench.now_ms
    twin.kernel = Kernel(trace=True)
    twin.kernel.restore(part for part in iter(lambda: snapshot.part(10), None) if part is not None)
    assert twin.kernel.digest() == bench.kernel.digest()
    return twin


def step(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "step", "actions": list(actions), **more}


def event(contact: str, name: str) -> list[Input]:
    return decode_lines(f'{{"type":"track","userId":"{contact}","event":"{name}"}}'.encode()).inputs


def on(event: str, next: str) -> dict[str, Any]:
    return {"kind": "launch", "trigger": {"event": event}, "next": next}


AB_TEST = flow(
    {
        "start": on("X", "t"),
        "t": {
            "kind": "ab_test",
            "variants": [{"name": "c", "share": 50, "control": True}, {"name": "g", "share": 50}],
            "goal": {"event": "Order Completed", "within": "7d", "revenue": "order.total"},
        },
    }
)


def test_revenue_whose_square_outgrows_64_bits_survives_a_restart() -> None:
    bench = Bench()
    bench.control("launch", flow=AB_TEST)
    bench.track("c1", "X")
    bench.track("c1", "Order Completed", '{"total": 50000000}')
    assert again(bench).kernel.report("f", "t") == bench.kernel.report("f", "t")


def test_points_of_two_contacts_that_are_one_do_not_wrap_around() -> None:
    bench = Bench()
    many = step({"points": {"add": 9_000_000_000_000_000_000}})
    bench.control("launch", flow=flow({"start": on("X", "a"), "a": many}))
    bench.track("c1", "X")
    bench.track("c2", "X")
    bench.line('{"type":"alias","userId":"c1","previousId":"c2"}')
    assert bench.kernel.contact("c1")["points"] == (1 << 63) - 1


def test_a_flow_deleted_with_two_waits_of_which_one_empties_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "REAPED_PER_BATCH_MAX", 2)
    monkeypatch.setattr(flows, "REAPED_PER_BATCH_MAX", 2)
    bench = Bench()
    nodes = {
        "start": on("X", "c"),
        "c": {"kind": "condition", "when": "event.properties.long", "then": "w1", "else": "w2"},
        "w1": {"kind": "wait", "for": "9d"},
        "w2": {"kind": "wait", "for": "1d"},
    }
    bench.control("launch", flow=flow(nodes))
    for contact in ("c1", "c2", "c3"):
        bench.track(contact, "X", '{"long": true}')
    bench.track("c4", "X", '{"long": false}')
    bench.control("pause", flow="f")
    bench.control("delete_flow", flow="f")
    bench.now_ms += DAY
    bench.apply()
    assert [record.detail for record in bench.trace if record.what == "left"] == [{"reason": "deleted"}] * 4
    assert bench.kernel.next_due_ms() is None


def test_flows_that_launch_each_other_twice_over_do_not_fill_the_memory() -> None:
    bench = Bench()
    for name in ("f", "g"):
        both = flow({"start": on("X", "a"), "a": step({"emit": {"event": "X"}})}, name=name)
        bench.control("launch", flow={**both, "id": name})
    bench.track("c1", "X")
    counts = bench.kernel.counts()
    assert counts["runs"] <= 2 * CHAIN_EVENTS_MAX + 6
    assert counts["cut_chains"] == counts["problems_chain_cut"] > 0
    bench.track("c2", "X")
    assert bench.kernel.counts()["runs"] == 2 * counts["runs"], "each contact has chains of its own"


def test_an_event_that_nobody_asks_for_cuts_no_chain() -> None:
    bench = Bench()
    bench.control("launch", flow=flow({"start": on("X", "a"), "a": step({"emit": {"event": "X"}})}))
    bench.track("c1", "X")
    assert bench.kernel.counts()["cut_chains"] == 1
    again_with_points = step({"emit": {"event": "X"}}, {"points": {"add": 1}})
    bench.control("launch", flow=flow({"start": on("X", "a"), "a": again_with_points}))
    bench.track("c1", "X")
    assert bench.kernel.counts()["cut_chains"] == 2


def test_an_event_of_the_engines_own_is_a_goal_though_it_launches_nothing() -> None:
    bench = Bench()
    test = {**AB_TEST["nodes"]["t"], "goal": {"event": "Segment Entered", "within": "7d"}}
    bench.control("launch", flow=flow({"start": on("X", "t"), "t": test}))
    bench.track("c1", "X")
    bench.control("segment_add", segment="s", contacts=["c1"])
    variants = bench.kernel.report("f", "t")["variants"]
    assert sum(variant["conversions"] for variant in variants) == 1


def test_the_tests_of_two_flows_stay_apart_however_many_nodes_there_were() -> None:
    bench = Bench()
    bench.control("launch", flow=AB_TEST)
    core = bench.kernel._state.flows["f"].core
    assert core is not None
    for number in range(1 << 16):
        core.know(f"n{number}")
    test = {
        **AB_TEST["nodes"]["t"],
        "variants": [{"name": "a", "share": 100, "control": True}, {"name": "b", "share": 0}],
    }
    bench.control("launch", flow=flow({"start": on("X", "n65535"), "n65535": test}))
    bench.control("launch", flow={**AB_TEST, "id": "g"})
    bench.track("c1", "X")
    branches = [record.detail["name"] for record in bench.trace if record.what == "branch"]
    assert branches[0] == "a"
    assert branches[1] in ("c", "g")
    found = bench.kernel._core.registry.contact("c1")
    assert found is not None
    assert found.trials is not None
    assert len(found.trials) == 2


def test_a_contact_refused_for_its_size_is_not_created() -> None:
    bench = Bench()
    bench.control("launch", flow=flow({"start": on("Contact Created", "a"), "a": reached()}))
    with pytest.raises(Refused):
        bench.control("patch_contact", contact="c1", traits={"x": "y" * TRAITS_BYTES_MAX})
    with pytest.raises(Refused):
        bench.kernel.contact("c1")
    twin = again(bench)
    for one in (bench, twin):
        one.track("c2", "X")
        assert {record.contact for record in one.trace} == {"c2"}


def test_nothing_is_sent_to_a_deleted_contact_under_a_former_id_either() -> None:
    bench = Bench()
    message = {"send": "webhook", "message": {"body": "{{ customer.secret }}"}}
    send = step(message, {"issue_promo_code": {"pool": "none-left", "as": "x"}})
    bench.control("launch", flow=flow({"start": on("X", "a"), "a": send}))
    bench.control("patch_contact", contact="old", traits={"secret": "s"})
    bench.track("old", "X")
    bench.line('{"type":"alias","userId":"new","previousId":"old"}')
    assert len(bench.kernel.outbox(0, 10)) == len(bench.kernel.problems()) == 1
    bench.control("delete_contact", contact="new")
    assert not bench.kernel.outbox(0, 10)
    assert not bench.kernel.problems()


def test_aliases_lead_to_their_contact_over_deltas_and_go_with_it() -> None:
    bench = Bench()
    parts: list[bytes] = []

    def checkpoint(full: bool) -> None:
        snapshot = bench.kernel.snapshot(full=full)
        parts[:0] = [part for part in iter(lambda: snapshot.part(7), None) if part is not None]

    def alias(contact: str, previous: str) -> None:
        bench.line(f'{{"type":"alias","userId":"{contact}","previousId":"{previous}"}}')

    alias("b", "a")
    checkpoint(True)
    alias("c", "a")
    alias("c", "never-seen")
    alias("a", "c")
    alias("gone", "x")
    checkpoint(False)
    bench.control("delete_contact", contact="x")
    checkpoint(False)
    twin = Bench()
    twin.kernel.restore(parts)
    assert twin.kernel.digest() == bench.kernel.digest()
    for one in (bench, twin):
        assert one.kernel.contact("never-seen")["aliases"] == ["a", "b", "never-seen"]
        assert one.kernel.contact("b")["id"] == "c"
        assert one.kernel.counts()["contacts"] == 1
        for id in ("x", "gone"):
            with pytest.raises(Refused):
                one.kernel.contact(id)


def test_held_runs_that_an_event_reached_leave_in_the_same_order_after_a_restart() -> None:
    bench = Bench()
    wait = {"kind": "wait", "until_event": {"event": "Y"}, "for": "1h"}
    document = flow({"start": on("X", "w"), "w": wait}, when_paused="hold")
    bench.control("launch", flow=document)
    bench.track("c1", "X")
    bench.track("c2", "X")
    bench.control("pause", flow="f")
    bench.now_ms += DAY
    bench.apply()
    bench.track("c1", "Y")
    twin = again(bench)
    for one in (bench, twin):
        one.trace = []
        one.now_ms += 1
        one.control("resume", flow="f")
    assert [record.contact for record in bench.trace if record.what == "left"] == ["c2", "c1"]
    assert twin.trace == bench.trace
    assert twin.kernel.outcome_digest == bench.kernel.outcome_digest


def test_a_flow_deleted_after_its_schedule_was_set_is_restored_while_its_runs_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flows, "REAPED_PER_BATCH_MAX", 1)
    bench = Bench()
    bench.control("launch", flow=flow({"start": on("X", "w"), "w": {"kind": "wait", "for": "9d"}}))
    bench.track("c1", "X")
    bench.track("c2", "X")
    bench.control("pause", flow="f")
    bench.control("schedule", flow="f", end="2030-01-01T00:00:00Z")
    bench.control("delete_flow", flow="f")
    twin = again(bench)
    for one in (bench, twin):
        one.trace = []
        one.apply()
    assert twin.trace == bench.trace
    assert len(bench.trace) == 1


NINE = 9 * 3_600_000
AT_NINE = flow(
    {
        "start": {"kind": "launch", "trigger": {"schedule": {"every": "day", "at": "09:00"}}, "next": "a"},
        "a": reached(),
    }
)
ON_EVENT = flow({"start": on("X", "a"), "a": reached()})


@pytest.fixture
def sweeping(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A scheduled launch that has entered two of six contacts."""
    monkeypatch.setattr(schedules, "SWEEP_CONTACTS_PER_BATCH_MAX", 2)
    bench = Bench()
    for number in range(6):
        bench.track(f"c{number}", "Z")
    bench.control("launch", flow=AT_NINE)
    bench.now_ms += NINE
    bench.apply()
    assert [record.contact for record in bench.trace if record.what == "entered"] == ["c0", "c1"]
    bench.trace = []
    return bench


def test_a_version_that_launches_on_events_ends_a_scheduled_launch_under_way(sweeping: Bench) -> None:
    sweeping.apply(Control("launch", {"flow": ON_EVENT}))
    sweeping.trace = []
    while sweeping.apply().more:
        pass
    assert sweeping.trace == []


def test_a_scheduled_launch_under_way_does_not_go_on_in_a_new_flow_of_the_same_id(sweeping: Bench) -> None:
    later = {"kind": "launch", "trigger": {"schedule": {"every": "day", "at": "10:00"}}, "next": "a"}
    sweeping.apply(
        Control("pause", {"flow": "f"}),
        Control("delete_flow", {"flow": "f"}),
        Control("launch", {"flow": flow({**AT_NINE["nodes"], "start": later})}),
    )
    sweeping.trace = []
    while sweeping.apply().more:
        pass
    assert sweeping.trace == []


def test_a_cursor_beyond_64_bits_is_refused() -> None:
    bench = Bench()
    bench.control("launch", flow=ON_EVENT)
    with pytest.raises(Refused):
        bench.kernel.runs("f", cursor="0.99999999999999999999")


def test_a_step_acts_once_for_a_run_though_an_edit_leads_it_there_again() -> None:
    bench = Bench()
    acts = step({"send": "webhook", "message": {"body": "x"}}, {"points": {"add": 5}}, relevance="none")
    wait = {"kind": "wait", "for": "1d"}
    before = flow({"start": on("X", "a"), "a": {**acts, "next": "w"}, "w": wait})
    after = flow({"start": on("X", "w"), "w": {**wait, "next": "a"}, "a": {**acts, "next": "b"}, "b": acts})
    bench.control("launch", flow=before)
    bench.track("c1", "X")
    bench.control("launch", flow=after)
    twin = again(bench)
    for one in (bench, twin):
        one.now_ms += DAY
        one.apply()
        assert [effect.id for effect in one.kernel.outbox(0, 10)] == ["f.1.a.0", "f.1.b.0"]
        assert one.kernel.contact("c1")["points"] == 10


def test_a_contact_whose_events_hold_ever_new_numbers_stays_small() -> None:
    bench = Bench()
    for number in range(0, 4 * HISTORY_PROPERTIES_PER_NAME_MAX, 16):
        numbers = ", ".join(f'"n{number + place}": 1' for place in range(16))
        bench.track("c1", "X", f"{{{numbers}}}")
    found = bench.kernel._core.registry.contact("c1")
    assert found is not None
    kept = msgspec.msgpack.decode(pack_contact(found))[5][0][2]
    assert [column[0] for column in kept] == list(range(HISTORY_PROPERTIES_PER_NAME_MAX))
    for _ in range(HISTORY_EVENTS_PER_NAME_MAX):
        bench.track("c1", "X")
    twin = again(bench)
    asks = flow({"start": {**on("Y", "a"), "where": 'customer.sum("X", "new") == 7.0'}, "a": reached()})
    for one in (bench, twin):
        one.track("c1", "X", '{"new": 7}')
        one.control("launch", flow=asks)
        one.track("c1", "Y")
        assert one.kernel.contact("c1")["segments"] == ["reached"]
    assert twin.kernel.digest() == bench.kernel.digest()


def test_a_problem_quotes_no_more_than_a_sentence() -> None:
    bench = Bench()
    send = step({"send": "webhook", "message": {"body": "x"}})
    bench.control("launch", flow=flow({"start": on("X", "a"), "a": send}))
    bench.track("c1", "X")
    bench.control(
        "receipts", receipts=[{"effect": "f.1.a.0", "status": "bounced", "detail": "x" * 1_000_000}]
    )
    assert len(bench.kernel.problems()[0]["detail"]) == PROBLEM_DETAIL_CHARS_MAX


def test_a_run_that_is_about_to_be_removed_reserves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "REAPED_PER_BATCH_MAX", 1)
    bench = Bench()
    once = {"mode": "once"}
    waits = {"start": on("X", "w"), "w": {"kind": "wait", "for": "1d", "next": "a"}, "a": reached()}
    bench.control("launch", flow=flow(waits, frequency=once))
    bench.track("c1", "X")
    bench.track("c2", "X")
    bench.apply(Control("launch", {"flow": {**ON_EVENT, "frequency": once}}), *event("c2", "X"))
    assert bench.kernel.contact("c2")["segments"] == ["reached"]
    bench.track("c2", "X")
    assert bench.trace[-1].what == "refused"


def test_an_emitted_event_is_no_larger_than_one_from_outside() -> None:
    bench = Bench()
    twice = "{{ event.properties.text }}{{ event.properties.text }}"
    document = flow(
        {"start": on("X", "a"), "a": step({"emit": {"event": "X", "properties": {"text": twice}}})}
    )
    bench.control("launch", flow=document)
    bench.track("c1", "X", f'{{"text": "{"x" * 10_000}"}}')
    assert [record.what for record in bench.trace if record.node == "a"] == [
        "executed",
        "left",
        "failed",
        "left",
    ]
