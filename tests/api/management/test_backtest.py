"""Backtests from the command line and over HTTP: what is printed, what is answered, what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.management import answers
from engine.limits import API_SIMULATE_INPUTS_MAX
from tests.api.api_engine import FLOW, Api, signed_up, with_api
from tests.api.command_line import answer, tidemill

ORDERS = Path(__file__).parents[2] / "data" / "cdnow-orders.ndjson.gz"
SECOND_ORDER = """\
id: second-order
name: A second order
nodes:
  start:
    kind: launch
    trigger: {event: Order Completed}
    where: customer.count("Order Completed") == 1 && order.total >= 50.0
    next: month
  month: {kind: wait, for: 30d, next: again}
  again: {kind: condition, when: 'customer.count("Order Completed", duration("720h")) > 0', then: thank, else: ask}
  thank: {kind: step, actions: [{segment: {add: [came-back]}}]}
  ask: {kind: step, actions: [{send: webhook, message: {body: How was it}}]}
"""
DAY = "2026-08-{:02}T00:00:00Z"


def signed_up_on(day: int, user: str) -> dict[str, Any]:
    return {**signed_up(user), "timestamp": DAY.format(day)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`flow.yaml`, and `events.ndjson` in which two sign up, a day apart."""
    (tmp_path / "flow.yaml").write_bytes(msgspec.yaml.encode(FLOW))
    write(tmp_path / "events.ndjson", signed_up_on(1, "a"), signed_up_on(2, "b"))
    return tmp_path


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


# tidemill backtest


def test_a_backtest_prints_what_happened_at_each_node(folder: Path) -> None:
    (folder / "second.yaml").write_text(SECOND_ORDER)
    result = tidemill("backtest", folder / "second.yaml", "--events", ORDERS)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "second-order, version 1: A second order"
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["again"].rstrip().endswith("3,993           true 944, false 3,049")
    assert rows["ask"].rstrip().endswith("executed 3,049, completed 3,049")
    assert lines[-1] == "Events: 69,659. Contacts: 23,570. Time ends at 1998-06-30T09:32:09Z."


def test_a_program_gets_what_the_statistics_of_the_api_answer(folder: Path) -> None:
    events = folder / "events.ndjson"
    found = answer(tidemill("backtest", folder / "flow.yaml", "--events", events, "--json"))
    stats = msgspec.convert(found, answers.Stats)
    assert (stats.flow, stats.version) == ("welcome", 1)
    assert stats.nodes["pause"]["waiting"] == 2


def test_packed_events_known_contacts_an_end_and_a_schema(folder: Path) -> None:
    flow = {**FLOW, "nodes": {**FLOW["nodes"]}}
    flow["nodes"]["begin"] = {**FLOW["nodes"]["begin"], "where": 'customer.city == "Oslo"'}
    (folder / "flow.yaml").write_bytes(msgspec.yaml.encode(flow))
    (folder / "schema.yaml").write_text("traits: {city: string, first: string}\n")
    packed = folder / "events.gz"
    packed.write_bytes(gzip.compress((folder / "events.ndjson").read_bytes()))
    known = write(
        folder / "contacts.ndjson",
        {"type": "identify", "userId": "b", "traits": {"city": "Oslo", "email": "b@x"}},
    )
    found = answer(
        tidemill(
            *("backtest", folder / "flow.yaml", "--events", packed, "--contacts", known),
            *("--until", DAY.format(5), "--schema", folder / "schema.yaml", "--json"),
        )
    )
    nodes = msgspec.convert(found, answers.Stats).nodes
    assert (nodes["begin"]["entered"], nodes["hello"]["executed"], nodes["thanks"]["executed"]) == (1, 1, 1)


def test_messages_that_came_twice_are_told(folder: Path) -> None:
    events = write(folder / "events.ndjson", *[{**signed_up_on(1, "a"), "messageId": "m"}] * 2)
    result = tidemill("backtest", folder / "flow.yaml", "--events", events)
    assert result.stdout.splitlines()[-1] == (
        f"Events: 1. Contacts: 1. Messages seen before: 1. Time ends at {DAY.format(1)}."
    )


def test_a_flow_with_problems_is_told_as_check_tells_it_and_not_run(folder: Path) -> None:
    (folder / "flow.yaml").write_text(SECOND_ORDER.replace("next: month", "next: monht"))
    checked = tidemill("check", folder / "flow.yaml")
    result = tidemill("backtest", folder / "flow.yaml", "--events", folder / "events.ndjson")
    assert (result.exit_code, result.stdout) == (1, checked.stdout)
    assert result.stderr == f"tidemill: {folder}/flow.yaml has 1 problem: nothing was run.\n"
    as_json = tidemill("check", folder / "flow.yaml", "--json")
    result = tidemill("backtest", folder / "flow.yaml", "--events", folder / "events.ndjson", "--json")
    assert (result.exit_code, result.stdout) == (1, as_json.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Missing option '--events'"),
        (("--events", "events.ndjson", "--until", "soon"), 2, "'soon' is not an instant"),
        (("--events", "nowhere.ndjson"), 1, "nowhere.ndjson cannot be read: No such file"),
        (("--events", "bare.ndjson"), 1, "bare.ndjson:1 has no `timestamp`"),
        (("--events", "bad.ndjson"), 1, "bad.ndjson:1 cannot be taken"),
        (
            ("--events", "events.ndjson", "--contacts", "events.ndjson"),
            1,
            "events.ndjson:1 is no identify line",
        ),
        (("--events", "empty.ndjson"), 1, "There is no event"),
        (("--events", "events.ndjson", "--until", "2026-07-01T00:00:00Z"), 1, "before the first event"),
    ],
)
def test_what_cannot_be_run_over_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(folder)
    write(folder / "bare.ndjson", signed_up("a"))
    (folder / "bad.ndjson").write_text("nonsense\n")
    (folder / "empty.ndjson").touch()
    result = tidemill("backtest", "flow.yaml", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert said in result.stderr


# POST /v1/flows/{id}/backtest

WANTED: dict[str, Any] = {
    "contacts": [{"type": "identify", "userId": "a", "traits": {"email": "a@example.com"}}],
    "events": [signed_up_on(1, "a"), signed_up_on(3, "b")],
}


def test_a_backtest_answers_with_the_counts_and_touches_nothing(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        stats = (await api.post("/v1/flows/welcome/backtest", WANTED)).shaped(answers.Stats)
        assert (stats.nodes["hello"]["executed"], stats.nodes["hello"]["not_sent"]) == (1, 1)
        assert stats.nodes["pause"]["waiting"] == 2
        later = {**WANTED, "until": DAY.format(4)}
        stats = (await api.post("/v1/flows/welcome/backtest", later)).shaped(answers.Stats)
        assert (stats.nodes["pause"]["waiting"], stats.nodes["thanks"]["executed"]) == (1, 1)
        assert (await api.get("/v1/contacts/a")).status == 404
        assert (await api.get("/v1/flows/welcome")).body["status"] == "ready"

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"events": []}, "/events"),
        ({"events": [signed_up_on(1, "a"), signed_up("b")]}, "/events/1"),
        ({"events": [{"type": "track", "timestamp": DAY.format(1), "event": "A"}]}, "/events/0"),
        ({"events": [{"type": "control", "op": "launch", "timestamp": DAY.format(1)}]}, "/events/0"),
        ({"events": [signed_up_on(1, "a")] * (API_SIMULATE_INPUTS_MAX + 1)}, "/events"),
        ({"contacts": [signed_up_on(1, "a")]}, "/contacts/0"),
        ({"until": "soon"}, "/until"),
    ],
)
def test_wrong_inputs_are_named_with_their_place(
    tmp_path: Path, change: dict[str, Any], pointer: str
) -> None:
    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        refused = await api.post("/v1/flows/welcome/backtest", {**WANTED, **change})
        assert refused.problem.status == 422
        assert [problem.pointer for problem in refused.problem.errors] == [pointer]

    with_api(tmp_path, body)


def test_a_flow_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        assert (await api.post("/v1/flows/welcome/backtest", WANTED)).problem.status == 404
        wrong = {**FLOW, "nodes": {**FLOW["nodes"], "pause": {"kind": "wait", "for": "3d", "next": "thnaks"}}}
        await api.post("/v1/flows", wrong)
        refused = (await api.post("/v1/flows/welcome/backtest", WANTED)).problem
        assert (refused.status, [problem.node for problem in refused.errors]) == (422, ["pause"])
        never = await api.post("/v1/flows/welcome/backtest", {**WANTED, "version": "active"})
        assert never.problem.status == 409
        early = {**WANTED, "until": "2026-07-01T00:00:00Z"}
        await api.put("/v1/flows/welcome/draft", FLOW)
        assert (await api.post("/v1/flows/welcome/backtest", early)).problem.code == "too_early"

    with_api(tmp_path, body)


@pytest.mark.parametrize("way", ["simulate", "backtest"])
def test_what_takes_too_long_is_given_up(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    daily = {
        **FLOW["nodes"],
        "begin": {
            "kind": "launch",
            "trigger": {"schedule": {"every": "day", "at": "09:00"}},
            "next": "hello",
        },
    }
    wanted = {
        "simulate": {"start": DAY.format(1), "until": "9999-01-01T00:00:00Z"},
        "backtest": {**WANTED, "until": "9999-01-01T00:00:00Z"},
    }
    monkeypatch.setattr("api.management.simulation.API_SIMULATE_S", 0.2)

    async def body(api: Api) -> None:
        await api.post("/v1/flows", {**FLOW, "nodes": daily})
        refused = (await api.post(f"/v1/flows/welcome/{way}", wanted[way])).problem
        assert (refused.status, refused.code) == (422, "too_long")

    with_api(tmp_path, body)
