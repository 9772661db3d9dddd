"""Expressions and templates of a flow: every name exists, or a problem states where and why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Problem
from engine.flow.schema import DEFAULT, Schema
from engine.flow.validate import check
from tests.flow.documents import minimal

BY_SCHEDULE = {"schedule": {"every": "day", "at": "09:00"}}
DECLARED = Schema({"city": "string"}, {"session": {"pages": "int"}})


def launched(trigger: dict[str, Any], where: str | None = None, **nodes: Any) -> dict[str, Any]:
    raw = minimal(**nodes)
    raw["nodes"]["start"]["trigger"] = trigger
    if where is not None:
        raw["nodes"]["start"]["where"] = where
    return raw


def on(*events: str, where: str) -> dict[str, Any]:
    return launched({"event": list(events)}, where)


def condition(when: object) -> dict[str, Any]:
    return minimal(c={"kind": "condition", "when": when})


def message(text: str, *more: dict[str, Any], trigger: dict[str, Any] | None = None) -> dict[str, Any]:
    sending = {"kind": "step", "actions": [*more, {"send": "email", "message": {"html": text}}]}
    return launched(trigger or {"event": "Session Ended"}, None, a=sending)


def problems(raw: object, schema: Schema = DEFAULT) -> tuple[Problem, ...]:
    return check(raw, schema).problems


def only(raw: object, schema: Schema = DEFAULT) -> Problem:
    (problem,) = problems(raw, schema)
    return problem


@pytest.mark.parametrize(
    "raw",
    [
        on("Order Completed", where="order.total >= 50.0"),
        on("Order Completed", "Cart Viewed", where="order.total >= 50.0"),
        on("Session Ended", where="session.pages > 3 && event.properties.pages > 3"),
        on("Signed Up", where='event.name == "Signed Up" && event.timestamp < now'),
        launched(BY_SCHEDULE, 'customer.in_segment("vip") && customer.points > 100'),
        condition('customer.count("Order Completed", duration("72h")) > 0'),
        condition('promo.available("spring") > 10'),
        condition(True),
        condition("true"),
        minimal(w={"kind": "wait", "until": {"date": "customer.birthday"}}),
        minimal(w={"kind": "wait", "until": {"date": 'customer.last("Order Completed")'}}),
    ],
)
def test_existing_names_can_be_used(raw: object) -> None:
    assert problems(raw) == ()


def test_a_problem_has_its_place_inside_the_expression() -> None:
    problem = only(condition("customer.points > 5 &&\n  customer.points >"))
    assert (problem.node, problem.pointer) == ("c", "/nodes/c/when")
    assert problem.code == "expression_syntax"
    assert problem.line == 2


@pytest.mark.parametrize("text", ["1 + 1", 'customer.count("A")', '"text"', "now"])
def test_a_condition_gives_true_or_false(text: str) -> None:
    assert only(condition(text)).code == "expression_not_bool"


def test_the_date_of_a_wait_is_a_date() -> None:
    assert only(minimal(w={"kind": "wait", "until": {"date": "1 + 1"}})).code == "expression_not_date"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (on("Order Completed", "Session Ended", where="order.total > 5.0"), "'Session Ended' does not"),
        (on("Signed Up", where="product.price > 5.0"), "'Signed Up' does not"),
        (launched(BY_SCHEDULE, "order.total > 5.0"), "launched by a schedule has no order"),
    ],
)
def test_an_entity_is_there_only_where_every_launching_event_carries_it(raw: object, sentence: str) -> None:
    problem = only(raw)
    assert (problem.pointer, problem.code) == ("/nodes/start/where", "expression_undefined")
    assert sentence in problem.detail


def test_a_schedule_has_no_event() -> None:
    assert only(launched(BY_SCHEDULE, 'event.name == "A"')).code == "expression_undefined"


def test_an_unknown_launch_hides_nothing_but_syntax_is_still_looked_at() -> None:
    raw = launched({"event": ""}, "order.total > 5.0", c={"kind": "condition", "when": "session.pages >"})
    assert [problem.code for problem in problems(raw)] == ["empty", "expression_syntax"]


def test_a_declared_trait_that_is_misspelt_is_a_problem() -> None:
    problem = only(condition('customer.ctiy == "York"'), DECLARED)
    assert problem.code == "expression_undefined"
    assert "Did you mean city?" in problem.detail
    assert problems(condition('customer.ctiy == "York"')) == ()


def test_revenue_is_read_from_the_goal_event() -> None:
    def goal(event: str) -> dict[str, Any]:
        variants = [{"name": "a", "share": 50, "control": True}, {"name": "b", "share": 50}]
        goal = {"event": event, "within": "7d", "revenue": "order.total"}
        return minimal(a={"kind": "ab_test", "variants": variants, "goal": goal})

    assert problems(goal("Order Completed")) == ()
    problem = only(goal("Signed Up"))
    assert problem.pointer == "/nodes/a/goal/revenue"
    assert "'Signed Up' does not carry `order`" in problem.detail


# Templates


@pytest.mark.parametrize(
    "raw",
    [
        message("Hi {{ customer.first_name }}, {{ event.properties.pages }} {{ session.pages }} {{ now }}"),
        message("{% for item in session.items %}{{ forloop.index }} {{ item.name }}{% endfor %}"),
        message("{% assign a = customer.city %}{{ a }}{% capture b %}x{% endcapture %}{{ b }}"),
        message("{{ codes.code }}", {"issue_promo_code": {"pool": "spring", "as": "code"}}),
        message("{{ customer.email }}", trigger=BY_SCHEDULE),
        message("{{ customer.segments | size }}{{ customer['first name'] }}{{ customer.tags.first }}"),
    ],
)
def test_templates_may_use_existing_names(raw: object) -> None:
    assert problems(raw) == ()


@pytest.mark.parametrize(
    ("raw", "code", "place", "sentence"),
    [
        (message("Hi\n {{ custmer.name }}"), "template_unknown_name", (2, 5), "Did you mean customer?"),
        (message("{{ first_name }}"), "template_unknown_name", (1, 4), "Known are customer, event, session"),
        (message("{{ order.total }}"), "template_unknown_name", (1, 4), "'Session Ended' does not"),
        (message("{{ event.name }}", trigger=BY_SCHEDULE), "template_unknown_name", (1, 4), "no 'event'"),
        (message("{{ event.total }}"), "template_unknown_name", (1, 4), "'event' has no 'total'"),
        (message("{{ codes.code }}"), "template_unknown_name", (1, 4), "issue_promo_code"),
        (message("{{ customer.name | upcas }}"), "template_unknown_filter", (1, 20), "Did you mean upcase?"),
        (message("Hi\n{% if customer.name %}"), "template_syntax", (1, 1), "endif"),
        (message("a {{ b"), "template_syntax", (1, 3), "'}}'"),
        (message("{% include 'x' %}"), "template_syntax", (1, 4), "include"),
    ],
)
def test_templates_that_do_not(raw: object, code: str, place: tuple[int, int], sentence: str) -> None:
    problem = only(raw)
    assert (problem.node, problem.pointer) == ("a", "/nodes/a/actions/0/message/html")
    assert (problem.code, problem.line, problem.column) == (code, *place)
    assert sentence in problem.detail


def test_declared_fields_are_known_to_templates() -> None:
    assert problems(message("{{ customer.city }}{{ customer.email }}{{ session.pages }}"), DECLARED) == ()
    assert "Did you mean city?" in only(message("{{ customer.ctiy }}"), DECLARED).detail
    assert "Did you mean pages?" in only(message("{{ session.page }}"), DECLARED).detail


def test_every_string_inside_an_action_is_a_template() -> None:
    actions = [
        {"send": "webhook", "message": {"body": {"list": ["{{ x"]}}},
        {"points": {"add": "{{ x"}},
        {"update_customer": {"set": {"a": {"b": "{{ x"}}, "increment": {"c": "{{ x"}}},
        {"emit": {"event": "A", "properties": {"a": "{{ x"}}},
    ]
    found = problems(minimal(a={"kind": "step", "actions": actions}))
    assert [problem.pointer.removeprefix("/nodes/a/actions") for problem in found] == [
        "/0/message/body/list/0",
        "/1/points/add",
        "/2/update_customer/set/a/b",
        "/2/update_customer/increment/c",
        "/3/emit/properties/a",
    ]
    assert {problem.code for problem in found} == {"template_syntax"}


WORDS = st.sampled_from(
    [
        *("customer", "order", "event", "now", "points", ".", "(", ")", "[", "]", "{", "}", "?", ":"),
        *("&&", "||", "!", "==", "<", "in", "has", "1", "1.5", '"', "'", "\n", " ", "\\", "\ud800", "é"),
        *("{{", "}}", "{%", "%}", "|", "if", "for", "endif", "(1..9)", "assign", "a", "="),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=12).map("".join))
def test_no_text_makes_it_raise(text: str) -> None:
    raw = message(text)
    raw["nodes"]["start"]["where"] = text
    for problem in problems(raw):
        assert problem.pointer in ("/nodes/start/where", "/nodes/a/actions/0/message/html")
        assert problem.detail.endswith((".", "?"))
