"""Many flows of one event: trying only those that no clause rules out comes to what trying all of them comes to."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.tuning import FLOWS_MATCHED_FROM
from tests.kernel.kernel_bench import Bench

CONTACTS = ("c1", "c2", "c3")
CLAUSES = (
    'customer.city == "York"',
    'customer.city != "York"',
    'customer.city in ["York", "Leeds"]',
    "customer.visits > 1",
    "customer.visits <= 2",
    "customer.points >= 5",
    "customer.points < 9",
    'customer.in_segment("gold")',
    '!customer.in_segment("gold")',
    'customer.count("Go") > 1',
    'customer.last("Never") < now',
    "event.properties.total > 20.0",
    "event.properties.total == 10",
    "event.properties.flag",
    '(customer.city == "York" || customer.points > 3)',
    "customer.visits / 0 > 1",
    'promo.available("spring") > 0',
    "has(customer.city)",
    "true",
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"update_customer": {"set": {"city": "York"}, "increment": {"visits": 1}}},
    {"update_customer": {"set": {"city": "Leeds"}}},
    {"update_customer": {"unset": ["city"]}},
    {"points": {"add": 3}},
    {"points": {"add": -2}},
    {"segment": {"add": ["gold"]}},
    {"segment": {"remove": ["gold"]}},
    {"issue_promo_code": {"pool": "spring", "as": "code"}},
)
NEVER = 1 << 40


def where(random: Random) -> str | None:
    clauses = random.choices(CLAUSES, k=random.choice((0, 1, 1, 2, 3, 3, 5)))
    if not clauses:
        return None
    return (" || " if random.random() < 0.15 else " && ").join(clauses)


def flow(random: Random, number: int) -> dict[str, Any]:
    launch: dict[str, Any] = {"kind": "launch", "trigger": {"event": "Go"}, "next": "wait"}
    if condition := where(random):
        launch["where"] = condition
    if random.random() < 0.1:
        launch["run_key"] = "event.properties.total"
    nodes: dict[str, Any] = {"start": launch, "wait": {"kind": "wait", "for": "1h"}}
    if random.random() < 0.4:
        launch["next"] = "act"
        nodes["act"] = {"kind": "step", "actions": [random.choice(CHANGES)], "next": "wait"}
    mode = random.choice(("once", "every_time", "every_time"))
    return {"id": f"f{number}", "name": "f", "nodes": nodes, "frequency": {"mode": mode}}


def played(seed: int, matched_from: int, flows: int) -> tuple[list[Any], int, bytes]:
    """The trace, the digest of all that happened and the digest of the state."""
    random = Random(seed)
    bench = Bench()
    bench.kernel._core.subscriptions.matched_from = matched_from
    bench.control("add_codes", pool="spring", codes=["A", "B", "C"])
    for number in range(flows):
        bench.control("launch", flow=flow(random, number))
    for _ in range(8):
        contact = random.choice(CONTACTS)
        total = random.choice(("10", "25.5", '"ten"', "null"))
        flag = random.choice(("true", "false", "1"))
        bench.track(contact, "Go", f'{{"total":{total},"flag":{flag}}}')
        bench.now_ms += random.choice((0, 1, 1_000))
        doing = random.randrange(5)
        if doing == 0:
            bench.control("launch", flow=flow(random, random.randrange(flows)))
        elif doing == 1:
            status = bench.kernel.flow(name := f"f{random.randrange(flows)}")["status"]
            bench.control("pause" if status == "running" else "resume", flow=name)
        elif doing == 2:
            traits = random.choice(({"city": "York"}, {"city": 5, "visits": 2}, {"visits": 1}))
            bench.control("patch_contact", contact=contact, traits=traits)
    return bench.trace, bench.kernel.outcome_digest, bench.kernel.digest()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("flows", [3, 20])
def test_the_outcome_is_that_of_trying_every_flow(seed: int, flows: int) -> None:
    assert played(seed, 1, flows) == played(seed, NEVER, flows)


def test_more_flows_than_bits_in_a_word() -> None:
    for seed in range(3):
        assert played(seed, 1, 150) == played(seed, NEVER, 150)


def test_the_cases_enter_runs_whose_steps_let_in_and_keep_out_later_flows() -> None:
    """The comparison covers runs that enter and runs that are kept out."""
    entered = [record for seed in range(10) for record in played(seed, 1, 20)[0] if record.what == "entered"]
    assert len(entered) > 300


def test_a_flow_sees_what_an_earlier_one_did() -> None:
    bench = Bench()
    names = [f"f{number:02}" for number in range(FLOWS_MATCHED_FROM + 4)]
    for at, name in enumerate(names):
        launch = {"kind": "launch", "trigger": {"event": "Go"}, "next": "act"}
        launch["where"] = f"customer.points == {at} && customer.points < 100"
        act = {"kind": "step", "actions": [{"points": {"add": 1}}]}
        bench.control("launch", flow={"id": name, "name": name, "nodes": {"start": launch, "act": act}})
    bench.track("c1", "Go")
    assert [record.flow for record in bench.trace if record.what == "entered"] == names


def test_an_edit_takes_effect_at_the_next_event() -> None:
    bench = Bench()
    bench.kernel._core.subscriptions.matched_from = 1
    for total in (5, 6):
        launch = {"kind": "launch", "trigger": {"event": "Go"}, "where": f"event.properties.total == {total}"}
        edited = {"id": "f", "name": "f", "nodes": {"start": launch}, "frequency": {"mode": "every_time"}}
        bench.control("launch", flow=edited)
        bench.trace.clear()
        for found in (5, 6):
            bench.track("c1", "Go", f'{{"total":{found}}}')
        assert [record.version for record in bench.trace if record.what == "entered"] == [total - 4]
