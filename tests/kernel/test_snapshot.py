"""Snapshots that are read in slices while batches go on: effects, codes, contacts and fingerprints as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel import Kernel
from engine.kernel.outbox import PendingEffects
from engine.kernel.pools import CodePool
from engine.model import Effect
from tests.kernel.kernel_bench import Bench, flow

GIFT = flow(
    {
        "start": {"kind": "launch", "trigger": {"event": "X"}, "next": "gift"},
        "gift": {
            "kind": "step",
            "actions": [
                {"issue_promo_code": {"pool": "spring", "as": "gift"}},
                {"send": "webhook", "message": {"body": "{{ codes.gift }}"}},
            ],
            "next": "w",
        },
        "w": {"kind": "wait", "for": "1d"},
    }
)


def settle(bench: Bench, which: int) -> None:
    pending = bench.kernel.outbox(0, 1_000)
    if pending:
        effect = pending[which % len(pending)].id
        status = "failed" if which % 3 else "delivered"
        bench.control("receipts", receipts=[{"effect": effect, "status": status}])


def delete(bench: Bench, which: int) -> None:
    bench.track(f"c{which}", "Y")
    bench.control("delete_contact", contact=f"c{which}")


def draft(bench: Bench, n: int) -> None:
    """A draft is begun, or saved, or thrown away."""
    if not bench.kernel.flow("f")["draft"]:
        bench.control("start_draft", flow="f")
    elif n % 3:
        bench.control("save_draft", flow="f", document={**GIFT, "name": f"drafted {n}"})
    else:
        bench.control("delete_draft", flow="f")


def other_flow(bench: Bench, n: int) -> None:
    """Another flow is launched, or deleted, and may come again under its id."""
    if any(one["id"] == "other" for one in bench.kernel.flows()):
        bench.control("pause", flow="other")
        bench.control("delete_flow", flow="other")
    else:
        bench.control("launch", flow={**GIFT, "id": "other", "name": f"other {n}"})


def without_wait(bench: Bench, n: int) -> None:
    """A version without the wait is launched: runs that are there are removed, a slice at a time."""
    gift = {key: value for key, value in GIFT["nodes"]["gift"].items() if key != "next"}
    bench.control("launch", flow=flow({"start": GIFT["nodes"]["start"], "gift": gift}))


def pause(bench: Bench, n: int) -> None:
    """The flow is paused, or goes on."""
    paused = bench.kernel.flow("f")["status"] == "paused"
    bench.control("resume" if paused else "pause", flow="f")


VERBS: dict[str, Callable[[Bench, int], object]] = {
    "event": lambda bench, n: bench.track(f"c{n}", "X", messageId=f"m{bench.kernel.seq // 2}"),
    "settle": settle,
    "retry": lambda bench, n: bench.control("retry"),
    "codes": lambda bench, n: bench.control(
        "add_codes", pool="spring", codes=[f"{n}-{i}" for i in range(n * 90)]
    ),
    "delete": delete,
    "draft": draft,
    "launch": lambda bench, n: bench.control("launch", flow={**GIFT, "name": f"launched {n}"}),
    "flow": other_flow,
    "without": without_wait,
    "pause": pause,
    "end": lambda bench, n: bench.control("schedule", flow="f", end=f"2030-01-{n + 1:02}T00:00:00Z"),
    "day": lambda bench, n: setattr(bench, "now_ms", bench.now_ms + n * 9_000_000),
}

verbs = st.lists(st.tuples(st.sampled_from(["event", "event", *VERBS]), st.integers(0, 12)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    before=st.lists(verbs, min_size=1, max_size=4),
    during=st.lists(verbs, min_size=1, max_size=8),
    records_max=st.integers(1, 20),
)
def test_a_base_and_deltas_hold_the_state_they_were_taken_of(
    before: list[list[tuple[str, int]]], during: list[list[tuple[str, int]]], records_max: int
) -> None:
    bench = Bench()
    bench.control("launch", flow=GIFT)
    bench.control("add_codes", pool="spring", codes=[f"s{n}" for n in range(15)])
    snapshots: list[list[bytes]] = []
    for verbs in before:
        for verb, n in verbs:
            VERBS[verb](bench, n)
        digest = bench.kernel.digest()
        snapshot = bench.kernel.snapshot(full=not snapshots)
        snapshots.insert(0, [])
        between = iter(during)
        while (part := snapshot.part(records_max)) is not None:
            snapshots[0].append(part)
            for verb, n in next(between, []):
                VERBS[verb](bench, n)
        restored = Kernel()
        restored.restore(part for parts in snapshots for part in parts)
        assert restored.seq == snapshot.seq
        assert restored.digest() == digest


def effect(seq: int) -> Effect:
    return Effect(seq, f"f.{seq}.n.0", 0, "c", "f", 1, seq, "n", "webhook", None, {})


def test_effects_settled_while_they_are_read_are_read_all_the_same() -> None:
    outbox = PendingEffects()
    for _ in range(6):
        outbox.add(effect(outbox.next_seq()))
    outbox.settle("f.2.n.0")
    outbox.hold()
    first = outbox.held_part(2)
    assert [one.seq for one in first] == [1, 3]
    for id in ("f.1.n.0", "f.4.n.0", "f.6.n.0"):
        outbox.settle(id)
    outbox.add(effect(outbox.next_seq()))
    rest = [one.seq for _ in range(3) for one in outbox.held_part(2)]
    assert sorted(rest) == [4, 5, 6]
    assert outbox.held_part(2) == []
    outbox.settle("f.5.n.0")
    assert outbox.held_part(2) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 1_500), st.sampled_from(["issue", "blocks"])), max_size=60))
def test_a_pool_is_a_queue(verbs: list[int | str]) -> None:
    pool, queue, kept = CodePool(), list[str](), list[tuple[list[str], list[tuple[str, ...]]]]()
    for verb in verbs:
        if isinstance(verb, int):
            codes = [f"{len(queue)}-{n}" for n in range(verb)]
            pool.fill(codes)
            queue += codes
        elif verb == "issue":
            for _ in range(min(400, len(queue)) or 1):
                assert pool.issue() == (queue.pop(0) if queue else None)
        else:
            kept.append((list(queue), pool.blocks()))
        assert pool.available == len(queue)
    assert list(pool) == queue
    for then, blocks in kept:
        assert [code for block in blocks for code in block] == then
        assert all(blocks)


@pytest.mark.parametrize("codes", [1, 3_000])
def test_a_pool_filled_code_by_code_has_few_blocks(codes: int) -> None:
    pool = CodePool()
    for n in range(codes):
        pool.fill([str(n)])
    assert len(pool.blocks()) <= 2 + codes // 1_000
    assert list(pool) == [str(n) for n in range(codes)]
