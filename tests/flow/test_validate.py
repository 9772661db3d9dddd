"""The check of a flow document: what it allows, and every problem with its node, place, code and remedy."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Problem
from engine.flow.document import (
    AbTest,
    Branch,
    ChangeSegments,
    Flow,
    Frequency,
    Goal,
    Launch,
    Limit,
    Schedule,
    ScheduleTrigger,
    Send,
    Split,
    Step,
    Until,
    Wait,
    Window,
)
from engine.flow.schema import DEFAULT
from engine.flow.validate import check
from engine.limits import NODES_PER_FLOW_MAX
from ext.wire.instant import parse
from tests.flow.documents import (
    END,
    found,
    json_values,
    minimal,
    only,
    places,
    problems,
    put,
    resolves,
    step,
    whole,
)

HOUR, DAY = 3_600_000, 86_400_000


def flow(raw: object) -> Flow:
    checked = check(raw, DEFAULT)
    assert checked.problems == ()
    assert checked.flow is not None
    return checked.flow


# What is read


def test_a_flow_with_one_of_each() -> None:
    read = flow(whole())
    assert (read.id, read.folder, read.brand, read.timezone) == (
        "whole",
        "retention",
        "acme",
        "Europe/London",
    )
    assert read.frequency == Frequency("periodically", 7 * DAY, 10)
    assert read.schedule == Schedule(parse("2026-12-01T00:00:00Z"), parse("2026-12-31T23:00:00Z"))
    assert read.start == "start"
    assert list(read.nodes) == list(whole()["nodes"])
    nudge, wait, date = read.nodes["nudge"], read.nodes["wait"], read.nodes["date"]
    assert isinstance(nudge, Step)
    assert nudge.relevance_ms == -1
    assert nudge.actions[0] == Send(
        "mobile_push", {"title": "Hello {{ customer.first_name }}"}, transactional=True
    )
    assert nudge.actions[6] == ChangeSegments(("active",), ("idle",))
    assert wait == Wait(3 * DAY, windows=(Window((0, 1), 480, 1200),), next="date")
    assert isinstance(date, Wait)
    assert date.until == Until("customer.renewal", -2 * DAY, 600)
    assert date.windows[1] == Window(tuple(range(7)), 22 * 60, 120)
    assert read.nodes["split"] == Split((Branch("a", 3333, "test"), Branch("b", 6667)))
    assert read.nodes["limit"] == Limit(1000, 7 * DAY, "end")
    assert read.nodes["test"] == AbTest(
        (Branch("control", 5000, None, control=True), Branch("gift", 5000, "end")),
        Goal("Order Completed", 7 * DAY, "order.total"),
        "revenue_per_contact",
        0.9,
    )


def test_omitted_keys_have_their_defaults() -> None:
    read = flow(minimal(a=END))
    assert (read.folder, read.brand, read.timezone, read.when_paused) == ("main", None, "UTC", "leave")
    assert read.frequency == Frequency("every_time")
    assert read.schedule == Schedule()
    step = read.nodes["a"]
    assert isinstance(step, Step)
    assert step.relevance_ms == DAY


@pytest.mark.parametrize(
    ("trigger", "read"),
    [
        ({"every": "day", "at": "09:00"}, ScheduleTrigger("day", 540)),
        ({"every": "week", "days": ["thu", "mon"], "at": "09:00"}, ScheduleTrigger("week", 540, (0, 3))),
        ({"every": "month", "days": [15, "last", 1], "at": "00:00"}, ScheduleTrigger("month", 0, (0, 1, 15))),
    ],
)
def test_a_flow_may_launch_by_a_schedule(trigger: dict[str, Any], read: ScheduleTrigger) -> None:
    launch = flow(put(minimal(a=END), "/nodes/start/trigger", {"schedule": trigger})).nodes["start"]
    assert isinstance(launch, Launch)
    assert launch.trigger == read


def test_a_window_may_leave_out_its_times_or_its_days() -> None:
    def windows(window: dict[str, Any]) -> tuple[Window, ...]:
        node = flow(minimal(w={"kind": "wait", "window": window})).nodes["w"]
        assert isinstance(node, Wait)
        return node.windows

    assert windows({"days": ["sun"]}) == (Window((6,), 0, 0),)
    assert windows({"from": "08:00"}) == (Window(tuple(range(7)), 480, 0),)
    assert windows({"to": "08:00"}) == (Window(tuple(range(7)), 0, 480),)


def test_transactional_may_stand_beside_the_message_or_inside_it() -> None:
    def sent(action: dict[str, Any]) -> Any:
        step = flow(minimal(a={"kind": "step", "actions": [action]})).nodes["a"]
        assert isinstance(step, Step)
        return step.actions[0]

    expected = Send("email", {"subject": "Hi"}, transactional=True)
    assert sent({"send": "email", "message": {"subject": "Hi"}, "transactional": True}) == expected
    assert sent({"send": "email", "message": {"subject": "Hi", "transactional": True}}) == expected


def test_an_edge_may_be_null() -> None:
    assert flow(minimal(c={"kind": "condition", "when": True, "then": None, "else": None}))


# The flow


@pytest.mark.parametrize("raw", [None, 5, "x", [], True])
def test_a_flow_is_an_object(raw: object) -> None:
    assert found(raw) == [("", "", "wrong_type")]


def test_an_empty_object_lacks_everything() -> None:
    assert found({}) == [
        ("", "/id", "missing_key"),
        ("", "/name", "missing_key"),
        ("", "/nodes", "missing_key"),
    ]


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("/id", "Abandoned Cart", "invalid_id"),
        ("/id", 5, "wrong_type"),
        ("/id", "a" * 65, "invalid_id"),
        ("/name", "  ", "empty"),
        ("/name", "\ud800", "invalid_text"),
        ("/name", "é" * 200, "too_long"),
        ("/name", None, "wrong_type"),
        ("/folder", 2026, "wrong_type"),
        ("/brand", [], "wrong_type"),
        ("/timezone", "Europe/Londn", "unknown_zone"),
        ("/timezone", "+01:00", "unknown_zone"),
        ("/frequency", "once", "wrong_type"),
        ("/frequency", {"every": "7d"}, "missing_key"),
        ("/frequency", {"mode": "daily"}, "invalid_choice"),
        ("/frequency", {"mode": "periodically"}, "missing_key"),
        ("/frequency", {"mode": "periodically", "every": "0s"}, "invalid_duration"),
        ("/frequency", {"mode": "once", "every": "7d"}, "exclusive"),
        ("/frequency", {"mode": "every_time", "max": 0}, "out_of_range"),
        ("/frequency", {"mode": "every_time", "max": True}, "wrong_type"),
        ("/frequency", {"mode": "every_time", "max": 1.0}, "wrong_type"),
        ("/schedule", {"start": "2026-12-01"}, "invalid_instant"),
        ("/schedule", {"start": "2026-12-01T00:00:00"}, "invalid_instant"),
        ("/schedule", {"start": "2026-02-30T00:00:00Z"}, "invalid_instant"),
        ("/schedule", {"start": "2026-12-01T01:00:00+01:00", "end": "2026-12-01T00:00:00Z"}, "schedule"),
        ("/when_paused", "stay", "invalid_choice"),
        ("/nodes", [], "wrong_type"),
        ("/nodes", {}, "no_launch"),
    ],
)
def test_the_keys_of_a_flow(pointer: str, value: object, code: str) -> None:
    (problem,) = problems(put(minimal(a=END), pointer, value))
    assert problem.code == code
    assert problem.node == ""
    assert problem.pointer.startswith(pointer)


def test_null_for_a_brand_or_a_date_is_the_same_as_leaving_it_out() -> None:
    raw = minimal(a=END)
    raw |= {"brand": None, "schedule": {"start": None, "end": None}}
    assert flow(raw).schedule == Schedule()


def test_an_unknown_key_is_named_with_its_place_and_a_likely_key() -> None:
    raw = put(minimal(a=END), "/nodes/a/relevanse", "1d")
    problem = only(put(raw, "/nodes/a/relevanse", "1d"))
    assert (problem.node, problem.pointer, problem.code) == ("a", "/nodes/a/relevanse", "unknown_key")
    assert "'relevanse'. Did you mean relevance?" in problem.detail


def test_an_unknown_key_like_no_other_lists_the_known_ones() -> None:
    assert "Known here: id, name, folder" in only(put(minimal(a=END), "/xyz", 1)).detail


def test_a_key_is_escaped_in_the_pointer() -> None:
    assert only(put(minimal(a=END), "/a~1b", 1)).pointer == "/a~1b"


def test_all_problems_are_listed_in_the_order_of_the_nodes() -> None:
    raw = minimal(
        a={"kind": "step", "actions": [{"points": {}}, {"send": "Email"}], "next": "b"},
        b={"kind": "wait", "for": "3 days", "until": {"offset": "soon"}, "next": "nowhere"},
        c={"kind": "weight"},
    )
    raw |= {"id": "F!", "colour": "red"}
    assert found(raw) == [
        ("", "/id", "invalid_id"),
        ("", "/colour", "unknown_key"),
        ("a", "/nodes/a/actions/0/points/add", "missing_key"),
        ("a", "/nodes/a/actions/1/send", "invalid_id"),
        ("a", "/nodes/a/actions/1/message", "missing_key"),
        ("b", "/nodes/b/for", "invalid_duration"),
        ("b", "/nodes/b/until/offset", "invalid_duration"),
        ("b", "/nodes/b/until/date", "missing_key"),
        ("b", "/nodes/b/until", "exclusive"),
        ("b", "/nodes/b/next", "dangling_edge"),
        ("c", "/nodes/c/kind", "invalid_choice"),
    ]


# Nodes and edges


def many(count: int) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        f"n{n}": {"kind": "wait", "for": "1d", "next": f"n{n + 1}"} for n in range(count - 2)
    }
    return minimal(**nodes, **{f"n{count - 2}": END})


def test_a_flow_has_at_most_150_nodes_its_launch_included() -> None:
    assert NODES_PER_FLOW_MAX == 150
    assert problems(many(150)) == ()
    problem = only(many(151))
    assert (problem.pointer, problem.code) == ("/nodes", "too_many_nodes")
    assert "at most 150" in problem.detail
    assert "151" in problem.detail


def test_exactly_one_launch() -> None:
    none = minimal(a=END)
    del none["nodes"]["start"]
    assert ("", "/nodes", "no_launch") in found(none)
    two = minimal(a=END)
    two["nodes"]["again"] = dict(two["nodes"]["start"])
    assert found(two) == [("again", "/nodes/again/kind", "several_launches")]


def test_a_node_has_a_kind() -> None:
    assert found(minimal(a={"actions": []})) == [("a", "/nodes/a/kind", "missing_key")]
    assert found(minimal(a=[])) == [("a", "/nodes/a", "wrong_type")]
    assert "Did you mean ab_test?" in only(minimal(a={"kind": "abtest"})).detail


def test_the_id_of_a_node() -> None:
    assert found(minimal(**{"First Step": END})) == [("First Step", "/nodes/First Step", "invalid_id")]


def test_an_edge_leads_to_a_node() -> None:
    raw = minimal(remind=END)
    problem = only(put(put(raw, "/nodes/remind/next", "remnd"), "/nodes/remind/next", "remnd"))
    assert (problem.node, problem.pointer, problem.code) == ("remind", "/nodes/remind/next", "dangling_edge")
    assert "'remnd'. Did you mean remind?" in problem.detail


def test_a_circle_is_named() -> None:
    wait = {"kind": "wait", "for": "1d"}
    raw = minimal(a={**wait, "next": "b"}, b={**wait, "next": "c"}, c={**wait, "next": "a"})
    problem = only(raw)
    assert (problem.node, problem.pointer, problem.code) == ("c", "/nodes/c/next", "cycle")
    assert "a → b → c → a" in problem.detail


def test_a_node_that_leads_to_itself_or_back_to_the_launch_is_a_circle() -> None:
    assert found(minimal(a={**END, "next": "a"})) == [("a", "/nodes/a/next", "cycle")]
    assert found(minimal(a={**END, "next": "start"})) == [("a", "/nodes/a/next", "cycle")]


def test_branches_that_meet_again_are_no_circle() -> None:
    condition = {"kind": "condition", "when": "true", "then": "a", "else": "b"}
    assert problems(minimal(c=condition, a={**END, "next": "z"}, b={**END, "next": "z"}, z=END)) == ()


def test_a_node_that_nothing_leads_to_is_a_warning() -> None:
    checked = check(minimal(a=END, lost=END), DEFAULT)
    assert checked.flow is not None
    (warning,) = checked.warnings
    assert (warning.node, warning.pointer, warning.code) == ("lost", "/nodes/lost", "unreachable")


def test_reachability_is_not_checked_while_a_node_cannot_be_read() -> None:
    assert found(minimal(a={"kind": "stepp", "next": "b"}, b=END)) == [
        ("a", "/nodes/a/kind", "invalid_choice")
    ]


# Whatever it is given


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_no_document_makes_it_raise(raw: Any) -> None:
    checked = check(raw, DEFAULT)
    assert (checked.flow is None) == bool(checked.problems)
    _all_have_a_place(checked.problems, raw)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_change_to_a_valid_flow_makes_it_raise(data: st.DataObject) -> None:
    raw = whole()
    for _ in range(data.draw(st.integers(1, 3))):
        put(raw, data.draw(st.sampled_from(places(raw))), data.draw(json_values))
    checked = check(raw, DEFAULT)
    assert (checked.flow is None) == bool(checked.problems)
    _all_have_a_place(checked.problems, raw)


def _all_have_a_place(all_problems: tuple[Problem, ...], raw: object) -> None:
    for problem in all_problems:
        place = problem.pointer
        assert resolves(place, raw) or resolves(place.rpartition("/")[0], raw), place
        assert problem.detail.endswith((".", "?")), problem.detail
        assert problem.node == "" or problem.pointer.startswith("/nodes/")
        assert problem.code.replace("_", "").isalpha()


@given(st.sampled_from(places(whole())))
def test_a_key_that_is_taken_away_is_missed_or_was_not_needed(pointer: str) -> None:
    raw = whole()
    path, _, last = pointer.rpartition("/")
    inner: Any = raw
    for step_ in path.split("/")[1:]:
        inner = inner[int(step_)] if isinstance(inner, list) else inner[step_]
    del inner[int(last) if isinstance(inner, list) else last]
    checked = check(raw, DEFAULT)
    assert (checked.flow is None) == bool(checked.problems)


def test_a_problem_can_be_written_as_json() -> None:
    raw = step({"send": "\ud800", "message": {}}, **{"\ud801": 1})
    assert len(problems(raw)) == 2
    for problem in problems(raw):
        msgspec.json.encode(problem.detail)


def test_a_large_document_yields_a_bounded_list() -> None:
    raw = minimal(a=END)
    raw |= {f"key{n}": n for n in range(5000)}
    assert len(problems(raw)) == 1000


def test_checking_150_nodes_takes_tens_of_milliseconds_at_most() -> None:
    raw = many(150)
    for n in range(0, 140, 3):
        message = {"subject": f"Hello {n}", "html": "<p>Dear {{ customer.first_name }}, " + str(n) + "</p>"}
        raw["nodes"][f"n{n}"] = {
            "kind": "step",
            "actions": [{"send": "email", "message": message}],
            "next": f"n{n + 1}",
        }
    began = time.perf_counter()
    assert problems(raw) == ()
    assert time.perf_counter() - began < 0.5, "ten times what it should take"
