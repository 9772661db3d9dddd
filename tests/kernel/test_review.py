"""What a hostile reader found: bounds, orders of events and fates of data that nobody meets on a good day."""

from __future__ import annotations

from typing import Any

from engine.kernel import Kernel
from tests.kernel.test_kernel import Bench, flow


def again(bench: Bench) -> Bench:
    """The same engine after a restart."""
    snapshot = bench.kernel.snapshot(full=True)
    twin = Bench()
    twin.now_ms = bench.now_ms
    twin.kernel = Kernel(trace=True)
    twin.kernel.restore(part for part in iter(lambda: snapshot.part(10), None) if part is not None)
    assert twin.kernel.digest() == bench.kernel.digest()
    return twin


def step(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "step", "actions": list(actions), **more}


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
