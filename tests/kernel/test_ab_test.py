"""A/B tests in the kernel: who is in which variant, and what is counted for the report (rules 21, 22)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from engine.errors import NotFound
from engine.kernel import Kernel
from tests.kernel.kernel_bench import DAY, Bench, flow, reached


def ab_flow(control: float = 50, gift: float = 50, **goal: Any) -> dict[str, Any]:
    return flow(
        {
            "start": {"kind": "launch", "trigger": {"event": "Cart Viewed"}, "next": "t"},
            "t": {
                "kind": "ab_test",
                "variants": [
                    {"name": "control", "share": control, "control": True},
                    {"name": "gift", "share": gift, "next": "a"},
                ],
                "goal": {"event": "Order Completed", "within": "7d", "revenue": "order.total", **goal},
                "metric": "revenue_per_contact",
            },
            "a": reached(),
        }
    )


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.control("launch", flow=ab_flow())
    return bench


def drawn(bench: Bench) -> dict[str, str]:
    return {record.contact: record.detail["name"] for record in bench.trace if record.what == "branch"}


def variants(bench: Bench) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in bench.kernel.report("f", "t")["variants"]}


def test_a_contact_keeps_its_variant_over_edits_of_the_shares(bench: Bench) -> None:
    names = [f"c{n}" for n in range(200)]
    for name in names:
        bench.track(name, "Cart Viewed")
    first = drawn(bench)
    assert 70 <= Counter(first.values())["gift"] <= 130
    bench.control("launch", flow=ab_flow(control=100, gift=0))
    for name in names:
        bench.track(name, "Cart Viewed")
    assert drawn(bench) == first
    bench.track("new", "Cart Viewed")
    assert drawn(bench)["new"] == "control"
    assert sum(one["contacts"] for one in variants(bench).values()) == 201, "a contact counts once"
    assert not bench.kernel.report("f", "t")["sample_ratio"]["mismatch"], (
        "who came before is held to the old shares"
    )


def test_goal_events_count_within_their_time_of_the_first_arrival(bench: Bench) -> None:
    bench.track("c1", "Order Completed", '{"total": 1000}')
    bench.track("c1", "Cart Viewed")
    name = drawn(bench)["c1"]
    bench.now_ms += 1
    bench.track("c1", "Order Completed", '{"total": 19.99}')
    bench.track("c1", "Order Completed", '{"total": "free"}')
    bench.now_ms += 7 * DAY - 1
    bench.track("c1", "Cart Viewed")
    bench.track("c1", "Order Completed", '{"total": 0.01}')
    bench.now_ms += 1
    bench.track("c1", "Order Completed", '{"total": 500}')
    bench.track("c1", "Order Refunded", '{"total": 500}')
    found = variants(bench)[name]
    assert (found["contacts"], found["conversions"], found["orders"]) == (1, 1, 3)
    assert found["revenue"] == pytest.approx(20)


def test_the_sums_are_those_over_contacts(bench: Bench) -> None:
    spent: dict[str, list[int]] = {}
    for n in range(60):
        bench.track(f"c{n}", "Cart Viewed")
        for order in range(n % 4):
            bench.track(f"c{n}", "Order Completed", f'{{"total": {n + order}.25}}')
            spent.setdefault(f"c{n}", []).append((n + order) * 100 + 25)
    core = bench.kernel._state.flows["f"].core
    assert core is not None
    for name in ("control", "gift"):
        mine = [spent.get(contact, []) for contact, variant in drawn(bench).items() if variant == name]
        assert core.trials[(core.numbers["t"], name)].sums() == (
            len(mine),
            sum(bool(orders) for orders in mine),
            sum(map(len, mine)),
            sum(map(sum, mine)),
            sum(len(orders) ** 2 for orders in mine),
            sum(sum(orders) ** 2 for orders in mine),
            sum(len(orders) * sum(orders) for orders in mine),
            60 * 5_000,
        )


def test_the_report_goes_on_after_a_restart(bench: Bench) -> None:
    for n in range(20):
        bench.track(f"c{n}", "Cart Viewed")
    snapshot = bench.kernel.snapshot(full=True)
    twin = Bench()
    twin.kernel = Kernel(trace=True)
    twin.kernel.restore([part for part in iter(lambda: snapshot.part(10), None) if part is not None])
    for one in (bench, twin):
        one.track("c3", "Order Completed", '{"total": 5}')
    assert twin.kernel.report("f", "t") == bench.kernel.report("f", "t")
    assert sum(one["conversions"] for one in variants(bench).values()) == 1


def test_only_a_test_has_a_report(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.kernel.report("f", "a")
