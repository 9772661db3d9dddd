"""Checking a flow document: what is allowed, and every problem with its node, place, code and remedy."""

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
from ext.instant import parse
from tests.flow.documents import json_values, minimal, places, put, resolves, whole

HOUR, DAY = 3_600_000, 86_400_000
END = {"kind": "step", "actions": [{"segment": {"add": ["done"]}}]}


def problems(raw: object) -> tuple[Problem, ...]:
    return check(raw, DEFAULT).problems


def found(raw: object) -> list[tuple[str, str, str]]:
    """Node, pointer and code of each problem."""
    return [(problem.node, problem.pointer, problem.code) for problem in problems(raw)]


def flow(raw: object) -> Flow:
    checked = check(raw, DEFAULT)
    assert checked.problems == ()
    assert checked.flow is not None
    return checked.flow


def only(raw: object) -> Problem:
    (problem,) = problems(raw)
    return problem


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


def test_what_is_left_out_has_its_default() -> None:
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


def test_an_unknown_key_is_named_with_its_place_and_what_may_be_meant() -> None:
    raw = put(minimal(a=END), "/nodes/a/relevanse", "1d")
    problem = only(put(raw, "/nodes/a/relevanse", "1d"))
    assert (problem.node, problem.pointer, problem.code) == ("a", "/nodes/a/relevanse", "unknown_key")
    assert "'relevanse'. Did you mean relevance?" in problem.detail


def test_an_unknown_key_like_no_other_is_told_which_are_known() -> None:
    assert "Known here: id, name, folder" in only(put(minimal(a=END), "/xyz", 1)).detail


def test_a_key_is_escaped_in_the_pointer() -> None:
    assert only(put(minimal(a=END), "/a~1b", 1)).pointer == "/a~1b"


def test_all_problems_are_told_at_once_and_in_the_order_of_the_nodes() -> None:
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


def test_nothing_is_said_about_what_is_reached_while_a_node_cannot_be_read() -> None:
    assert found(minimal(a={"kind": "stepp", "next": "b"}, b=END)) == [
        ("a", "/nodes/a/kind", "invalid_choice")
    ]


# The launch

TRIGGER = "/nodes/start/trigger"


@pytest.mark.parametrize(
    ("trigger", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ({"event": "A", "schedule": {"every": "day", "at": "09:00"}}, "", "exclusive"),
        ("A", "", "wrong_type"),
        ({"event": ""}, "/event", "empty"),
        ({"event": []}, "/event", "out_of_range"),
        ({"event": ["A", "A"]}, "/event/1", "duplicate"),
        ({"event": ["A", 5]}, "/event/1", "wrong_type"),
        ({"event": [f"E{n}" for n in range(33)]}, "/event", "out_of_range"),
        ({"schedule": {"every": "hour", "at": "09:00"}}, "/schedule/every", "invalid_choice"),
        ({"schedule": {"every": "day"}}, "/schedule/at", "missing_key"),
        ({"schedule": {"every": "day", "at": "9:00"}}, "/schedule/at", "invalid_time"),
        ({"schedule": {"every": "day", "at": 540}}, "/schedule/at", "wrong_type"),
        ({"schedule": {"every": "day", "days": ["mon"], "at": "09:00"}}, "/schedule/days", "exclusive"),
        ({"schedule": {"every": "week", "at": "09:00"}}, "/schedule/days", "missing_key"),
        ({"schedule": {"every": "week", "days": [], "at": "09:00"}}, "/schedule/days", "out_of_range"),
        (
            {"schedule": {"every": "week", "days": ["monday"], "at": "09:00"}},
            "/schedule/days/0",
            "invalid_choice",
        ),
        ({"schedule": {"every": "week", "days": [1], "at": "09:00"}}, "/schedule/days/0", "invalid_choice"),
        (
            {"schedule": {"every": "month", "days": [1, "mon"], "at": "09:00"}},
            "/schedule/days/1",
            "invalid_choice",
        ),
        ({"schedule": {"every": "month", "days": [32], "at": "09:00"}}, "/schedule/days/0", "invalid_choice"),
        (
            {"schedule": {"every": "month", "days": [True], "at": "09:00"}},
            "/schedule/days/0",
            "invalid_choice",
        ),
        ({"schedule": {"every": "month", "days": [3, 3], "at": "09:00"}}, "/schedule/days/1", "duplicate"),
    ],
)
def test_triggers(trigger: object, pointer: str, code: str) -> None:
    assert found(put(minimal(a=END), TRIGGER, trigger)) == [("start", TRIGGER + pointer, code)]


# Steps and actions


def step(*actions: object, **keys: object) -> dict[str, Any]:
    return minimal(a={"kind": "step", "actions": list(actions), **keys})


@pytest.mark.parametrize("count", [0, 21])
def test_a_step_has_1_to_20_actions(count: int) -> None:
    raw = step(*[{"points": {"add": 1}}] * count)
    assert found(raw) == [("a", "/nodes/a/actions", "out_of_range")]
    assert problems(step(*[{"points": {"add": 1}}] * 20)) == ()


@pytest.mark.parametrize("relevance", [24, "tomorrow", "1h1d", True, "None"])
def test_relevance_is_a_duration_or_none(relevance: object) -> None:
    assert [place for _, place, _ in found(step({"points": {"add": 1}}, relevance=relevance))] == [
        "/nodes/a/relevance"
    ]


@pytest.mark.parametrize(
    ("action", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ("email", "", "wrong_type"),
        ({"sent": "email"}, "", "missing_key"),
        ({"send": "email", "message": {}, "points": {"add": 1}}, "", "exclusive"),
        ({"send": "email"}, "/message", "missing_key"),
        ({"send": "e mail", "message": {}}, "/send", "invalid_id"),
        ({"send": "email", "message": "Hi"}, "/message", "wrong_type"),
        ({"send": "email", "message": {}, "to": "x"}, "/to", "unknown_key"),
        ({"send": "email", "message": {"a": float("nan")}}, "/message/a", "out_of_range"),
        ({"send": "email", "message": {"a": 2**63}}, "/message/a", "out_of_range"),
        ({"send": "email", "message": {"a": ["\ud800"]}}, "/message/a/0", "invalid_text"),
        ({"send": "email", "message": {"transactional": "yes"}}, "/message/transactional", "wrong_type"),
        (
            {"send": "email", "message": {"transactional": True}, "transactional": False},
            "/message/transactional",
            "exclusive",
        ),
        ({"issue_promo_code": {"pool": "spring"}}, "/issue_promo_code/as", "missing_key"),
        ({"issue_promo_code": {"pool": "Spring", "as": "code"}}, "/issue_promo_code/pool", "invalid_id"),
        ({"issue_promo_code": {"pool": "spring", "as": "my code"}}, "/issue_promo_code/as", "invalid_name"),
        ({"points": {"add": 1.5}}, "/points/add", "wrong_type"),
        ({"points": {"add": True}}, "/points/add", "wrong_type"),
        ({"points": {"add": " "}}, "/points/add", "empty"),
        ({"points": 5}, "/points", "wrong_type"),
        ({"update_customer": {}}, "/update_customer", "empty"),
        ({"update_customer": {"set": {"points": 5}}}, "/update_customer/set/points", "reserved"),
        ({"update_customer": {"unset": ["segments"]}}, "/update_customer/unset/0", "reserved"),
        ({"update_customer": {"increment": {"a": None}}}, "/update_customer/increment/a", "wrong_type"),
        ({"update_customer": {"set": {"a": 1}, "unset": ["a"]}}, "/update_customer/unset", "duplicate"),
        ({"segment": {}}, "/segment", "empty"),
        ({"segment": {"add": []}}, "/segment/add", "out_of_range"),
        ({"segment": {"add": ["A B"]}}, "/segment/add/0", "invalid_id"),
        ({"segment": {"add": ["a", "a"]}}, "/segment/add/1", "duplicate"),
        ({"segment": {"add": ["a"], "remove": ["a"]}}, "/segment", "exclusive"),
        ({"emit": {"properties": {}}}, "/emit/event", "missing_key"),
        ({"emit": {"event": "{{ customer.x }}"}}, "/emit/event", "invalid_name"),
        ({"emit": {"event": "A", "properties": []}}, "/emit/properties", "wrong_type"),
    ],
)
def test_actions(action: object, pointer: str, code: str) -> None:
    assert found(step(action)) == [("a", f"/nodes/a/actions/0{pointer}", code)]


def test_an_action_with_two_verbs_is_told_both() -> None:
    detail = only(step({"points": {"add": 1}, "emit": {"event": "A"}})).detail
    assert "points and emit" in detail


def test_values_nest_only_so_deep() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert [code for _, _, code in found(step({"send": "email", "message": {"a": deep}}))] == ["too_deep"]


# Waits


@pytest.mark.parametrize(
    ("keys", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ({"for": "1d", "until": {"date": "customer.day"}}, "/until", "exclusive"),
        ({"for": "1d", "missing": None}, None, None),
        ({"for": "1d", "missing": "end"}, "/missing", "exclusive"),
        ({"for": "11w400w"}, "/for", "invalid_duration"),
        ({"for": "-1d"}, "/for", "invalid_duration"),
        ({"until": {}}, "/until/date", "missing_key"),
        ({"until": {"date": ""}}, "/until/date", "empty"),
        ({"until": {"date": 5}}, "/until/date", "wrong_type"),
        ({"until": {"date": "customer.day", "at": "25:00"}}, "/until/at", "invalid_time"),
        ({"window": {}}, "/window", "empty"),
        ({"window": []}, "/window", "out_of_range"),
        ({"window": [{"from": "08:00"}] * 17}, "/window", "out_of_range"),
        ({"window": {"from": 1200, "to": "20:00"}}, "/window/from", "wrong_type"),
        ({"window": {"days": []}}, "/window/days", "out_of_range"),
        ({"window": {"days": ["mon", "mon"]}}, "/window/days/1", "duplicate"),
        ({"window": [{"days": ["mo"]}]}, "/window/0/days/0", "invalid_choice"),
    ],
)
def test_waits(keys: dict[str, Any], pointer: str | None, code: str | None) -> None:
    raw = minimal(a={"kind": "wait", "next": "end", **keys}, end=END)
    assert found(raw) == ([] if pointer is None else [("a", f"/nodes/a{pointer}", code)])


# Splits, A/B tests, limits


def split(*shares: object) -> dict[str, Any]:
    branches = [{"name": f"b{n}", "share": share} for n, share in enumerate(shares)]
    return minimal(a={"kind": "split", "branches": branches})


@pytest.mark.parametrize(
    "shares",
    [
        (50, 50),
        (33.33, 33.33, 33.34),
        (0, 100),
        (0.01, 99.99),
        (20, 20, 20, 20, 20),
        (12.5, 87.5),
        (1e1, 90.0),
    ],
)
def test_shares_that_add_up(shares: tuple[float, ...]) -> None:
    assert problems(split(*shares)) == ()


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        ((50, 49.99), "shares"),
        ((33.33, 33.33, 33.33), "shares"),
        ((100,), "out_of_range"),
        ((10,) * 10, "out_of_range"),
        ((33.333, 66.667), "too_precise"),
        ((-1, 101), "out_of_range"),
        ((float("nan"), 100), "out_of_range"),
        ((float("inf"), 100), "out_of_range"),
        (("50", 50), "wrong_type"),
        ((True, 99), "wrong_type"),
    ],
)
def test_shares_that_do_not(shares: tuple[object, ...], code: str) -> None:
    assert code in {code for _, _, code in found(split(*shares))}


def test_the_sum_of_the_shares_is_told() -> None:
    assert "99.99" in only(split(33.33, 33.33, 33.33)).detail


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=5))
def test_shares_are_added_exactly(hundredths: list[int]) -> None:
    raw = split(*(share / 100 for share in hundredths))
    assert (problems(raw) == ()) == (sum(hundredths) == 10_000)


def ab_test(**keys: object) -> dict[str, Any]:
    node = {
        "kind": "ab_test",
        "variants": [{"name": "a", "share": 50, "control": True}, {"name": "b", "share": 50}],
        "goal": {"event": "Order Completed", "within": "7d"},
        **keys,
    }
    return minimal(a=node)


@pytest.mark.parametrize(
    ("keys", "pointer", "code"),
    [
        ({"goal": None}, "/goal", "wrong_type"),
        ({"goal": {"event": "A"}}, "/goal/within", "missing_key"),
        ({"metric": "clicks"}, "/metric", "invalid_choice"),
        ({"metric": "average_order_value"}, "/goal/revenue", "missing_key"),
        ({"confidence": 95}, "/confidence", "out_of_range"),
        ({"confidence": "0.95"}, "/confidence", "wrong_type"),
        ({"variants": [{"name": "a", "share": 50}, {"name": "b", "share": 50}]}, "/variants", "control"),
        (
            {
                "variants": [
                    {"name": "a", "share": 50, "control": True},
                    {"name": "b", "share": 50, "control": True},
                ]
            },
            "/variants",
            "control",
        ),
        (
            {"variants": [{"name": "a", "share": 50, "control": True}, {"name": "a", "share": 50}]},
            "/variants/1/name",
            "duplicate",
        ),
    ],
)
def test_ab_tests(keys: dict[str, object], pointer: str, code: str) -> None:
    assert found(ab_test(**keys)) == [("a", f"/nodes/a{pointer}", code)]


@pytest.mark.parametrize(
    ("keys", "pointer", "code"),
    [
        ({}, "/max", "missing_key"),
        ({"max": 0}, "/max", "out_of_range"),
        ({"max": "2"}, "/max", "wrong_type"),
        ({"max": 1, "per": "0s"}, "/per", "invalid_duration"),
        ({"max": 1, "by": "1d"}, "/by", "unknown_key"),
    ],
)
def test_limits(keys: dict[str, object], pointer: str, code: str) -> None:
    assert found(minimal(a={"kind": "limit", **keys})) == [("a", f"/nodes/a{pointer}", code)]


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
