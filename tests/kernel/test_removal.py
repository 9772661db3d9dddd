"""A launch that removes a wait ends its runs in slices, and they take no further step meanwhile (rule 27)."""

from __future__ import annotations

import pytest

from engine.kernel import Kernel, flows, kernel
from tests.kernel.kernel_bench import DAY, WAITING, Bench, flow, reached

SHORTER = flow({"start": {**WAITING["nodes"]["start"], "next": "a"}, "a": reached()})


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Five contacts wait; two runs are ended a batch."""
    monkeypatch.setattr(kernel, "REAPED_PER_BATCH_MAX", 2)
    monkeypatch.setattr(flows, "REAPED_PER_BATCH_MAX", 2)
    bench = Bench()
    bench.control("launch", flow=WAITING)
    for name in ("c3", "c1", "c2", "c5", "c4"):
        bench.track(name, "Order Completed", '{"total": 70}')
    bench.trace = []
    return bench


def left(bench: Bench) -> list[tuple[str, str]]:
    return [(record.contact, record.detail["reason"]) for record in bench.trace if record.what == "left"]


def test_in_order_of_arrival_a_slice_a_batch(bench: Bench) -> None:
    answer = bench.control("launch", flow=SHORTER)
    assert answer["removed"] == {"total": 5, "nodes": {"w": 5}, "contacts": ["c3", "c1", "c2", "c5", "c4"]}
    assert (answer["status"], answer["stay"]["total"]) == ("launching", 0)
    assert left(bench) == [("c3", "removed"), ("c1", "removed")]
    assert bench.kernel.stats("f")["nodes"]["w"]["waiting"] == 0
    assert bench.kernel.next_due_ms() == bench.now_ms
    assert bench.apply().more
    bench.apply()
    assert [contact for contact, _ in left(bench)] == ["c3", "c1", "c2", "c5", "c4"]
    assert bench.kernel.flow("f")["status"] == "active"
    assert bench.kernel.next_due_ms() is None


def test_a_wait_that_ends_meanwhile_takes_no_step(bench: Bench) -> None:
    bench.control("launch", flow=SHORTER)
    bench.now_ms += 3 * DAY
    bench.apply()
    assert left(bench) == [(name, "removed") for name in ("c3", "c1", "c2", "c5", "c4")]
    assert {record.what for record in bench.trace} == {"left"}


def test_the_wait_come_back_does_not_bring_them_back(bench: Bench) -> None:
    bench.control("launch", flow=SHORTER)
    bench.control("launch", flow=WAITING)
    bench.track("new", "Order Completed", '{"total": 70}')
    bench.apply()
    assert len(left(bench)) == 5
    assert bench.kernel.stats("f")["nodes"]["w"]["waiting"] == 1


def test_a_restart_in_the_middle_goes_on_alike(bench: Bench) -> None:
    bench.control("launch", flow=SHORTER)
    snapshot = bench.kernel.snapshot(full=True)
    parts = [part for part in iter(lambda: snapshot.part(10), None) if part is not None]
    twin = Bench()
    twin.kernel = Kernel(trace=True)
    twin.kernel.restore(parts)
    assert twin.kernel.digest() == bench.kernel.digest()
    bench.trace = []
    for one in (bench, twin):
        one.apply()
        one.apply()
    assert left(twin) == left(bench) == [("c2", "removed"), ("c5", "removed"), ("c4", "removed")]
    assert twin.kernel.digest() == bench.kernel.digest()


def test_a_deleted_flow_is_gone_at_once_and_its_runs_soon(bench: Bench) -> None:
    bench.control("pause", flow="f")
    bench.control("delete_flow", flow="f")
    assert bench.kernel.flows() == []
    bench.control("launch", flow=SHORTER)
    bench.track("c1", "Order Completed", '{"total": 70}')
    bench.apply()
    bench.apply()
    assert [contact for contact, reason in left(bench) if reason == "deleted"] == [
        "c3",
        "c1",
        "c2",
        "c5",
        "c4",
    ]
    assert bench.kernel.counts()["waiting"] == 0
    assert bench.kernel.contact_runs("c3") == []
