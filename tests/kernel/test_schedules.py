"""Scheduled launches: every contact once an occurrence, in slices, over outages and restarts (rule 11)."""

from __future__ import annotations

from typing import Any

import pytest

from engine import limits
from engine.kernel import Kernel, schedules
from ext.wire import instant
from tests.kernel.kernel_bench import DAY, START, Bench, flow, reached

HOUR = DAY // 24


def daily(**more: Any) -> dict[str, Any]:
    launch = {"kind": "launch", "trigger": {"schedule": {"every": "day", "at": "09:00"}}, "next": "a", **more}
    return flow({"start": launch, "a": reached()})


def entered(bench: Bench) -> list[str]:
    return [record.contact for record in bench.trace if record.what == "entered"]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    for name in ("c2", "c10", "c1", "ä"):
        bench.line(f'{{"type":"identify","userId":"{name}","traits":{{"vip":{str(name != "c2").lower()}}}}}')
    return bench


def until(bench: Bench, ms: int) -> None:
    """Let time run as a host does: a batch whenever the kernel wants one."""
    while (due := bench.kernel.next_due_ms()) is not None and due <= ms:
        bench.now_ms = max(bench.now_ms, due)
        bench.apply()
    bench.now_ms = ms


def test_each_contact_for_whom_the_condition_holds_in_order_of_id(bench: Bench) -> None:
    bench.control("launch", flow=daily(where="customer.vip"))
    assert bench.kernel.next_due_ms() == START + 9 * HOUR
    until(bench, START + DAY)
    assert entered(bench) == ["c1", "c10", "ä"]
    record = next(record for record in bench.trace if record.what == "entered")
    assert (record.at, record.detail) == (START + 9 * HOUR, {"schedule": START + 9 * HOUR})


def test_an_occurrence_goes_over_many_batches_and_events_flow_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "SWEEP_CONTACTS_PER_BATCH_MAX", 2)
    bench.control("launch", flow=daily())
    bench.now_ms = START + 9 * HOUR
    assert bench.apply().more
    assert entered(bench) == ["c1", "c10"]
    bench.now_ms += 1
    assert bench.track("c0", "Order Completed").more
    assert not bench.apply().more
    assert entered(bench) == ["c1", "c10", "c2", "ä"], "who came after the occurrence is not meant"


def test_a_restart_in_the_middle_neither_repeats_nor_forgets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "SWEEP_CONTACTS_PER_BATCH_MAX", 3)
    bench.control("launch", flow=daily())
    bench.now_ms = START + 9 * HOUR
    bench.apply()
    snapshot = bench.kernel.snapshot(full=True)
    parts = [part for part in iter(lambda: snapshot.part(10), None) if part is not None]
    bench.kernel = Kernel(trace=True)
    bench.kernel.restore(parts)
    until(bench, START + DAY)
    assert entered(bench) == ["c1", "c10", "c2", "ä"]
    until(bench, START + DAY + 10 * HOUR)
    assert entered(bench) == ["c1", "c10", "c2", "ä"] * 2


def twins(**schedule: str) -> list[dict[str, Any]]:
    """Two flows of the same rule but for the time of day."""
    documents = []
    for id, at in (("a", "09:00"), ("b", "09:30")):
        rule = {"every": "day", "at": at}
        launch = {"kind": "launch", "trigger": {"schedule": rule}, "next": "a"}
        documents.append({**flow({"start": launch, "a": reached()}), "id": id, **schedule})
    return documents


def test_what_is_due_at_once_is_entered_in_one_batch_before_the_events_in_it(bench: Bench) -> None:
    for document in twins():
        bench.control("launch", flow=document)
    bench.now_ms = START + 10 * HOUR
    assert not bench.track("c0", "Order Completed").more
    assert [(record.flow, record.contact) for record in bench.trace if record.what == "entered"] == [
        (flow, contact) for flow in "ab" for contact in ("c1", "c10", "c2", "ä")
    ]


def test_the_bound_of_a_batch_is_over_all_that_is_due(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SWEEP_CONTACTS_PER_BATCH_MAX", 6)
    for document in twins():
        bench.control("launch", flow=document)
    bench.now_ms = START + 10 * HOUR
    assert bench.apply().more
    assert entered(bench) == ["c1", "c10", "c2", "ä", "c1", "c10"]
    assert not bench.apply().more
    assert entered(bench) == ["c1", "c10", "c2", "ä"] * 2


def test_two_mornings_of_a_short_day_missed_by_two_flows_go_in_order(bench: Bench) -> None:
    """The day on which clocks are set forward has 23 hours: an outage can miss two mornings by less than a day."""
    bench.now_ms = instant.parse("2027-03-27T07:00:00Z")
    for document in twins(timezone="Europe/Berlin"):
        bench.control("launch", flow=document)
    bench.now_ms = instant.parse("2027-03-28T07:45:00Z")
    bench.apply()
    met = [(one.flow, one.detail["schedule"]) for one in bench.trace if one.what == "entered"]
    assert [(id, instant.format(ms)) for id, ms in dict.fromkeys(met)] == [
        ("a", "2027-03-27T08:00:00Z"),
        ("b", "2027-03-27T08:30:00Z"),
        ("a", "2027-03-28T07:00:00Z"),
        ("b", "2027-03-28T07:30:00Z"),
    ]


def test_missed_by_less_than_a_day_it_is_made_up_for_else_skipped(bench: Bench) -> None:
    bench.control("launch", flow=daily())
    bench.now_ms = START + 9 * HOUR + 3 * DAY + limits.OCCURRENCE_AGE_MS_MAX - 1
    bench.apply()
    assert entered(bench) == ["c1", "c10", "c2", "ä"]
    assert bench.kernel.counts()["problems_occurrence_skipped"] == 3
    assert bench.kernel.next_due_ms() == START + 9 * HOUR + 4 * DAY


def test_a_paused_flow_has_no_occurrences_and_makes_up_for_none(bench: Bench) -> None:
    bench.control("launch", flow=daily())
    bench.control("pause", flow="f")
    until(bench, START + 12 * HOUR)
    bench.control("resume", flow="f")
    until(bench, START + DAY)
    assert entered(bench) == []
    until(bench, START + DAY + 9 * HOUR)
    assert entered(bench) == ["c1", "c10", "c2", "ä"]


def test_occurrences_lie_between_start_and_end(bench: Bench) -> None:
    document = daily()
    document["schedule"] = {"start": "2026-08-02T09:00:00Z", "end": "2026-08-03T09:00:00Z"}
    bench.control("launch", flow=document)
    until(bench, START + 5 * DAY)
    ats = {instant.format(record.at) for record in bench.trace if record.what == "entered"}
    assert ats == {"2026-08-02T09:00:00Z"}


def test_an_edit_at_the_very_instant_does_not_repeat_it(bench: Bench) -> None:
    bench.control("launch", flow=daily())
    until(bench, START + 9 * HOUR)
    bench.apply()
    bench.control("launch", flow=daily())
    until(bench, START + DAY)
    assert entered(bench) == ["c1", "c10", "c2", "ä"]
