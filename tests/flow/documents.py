"""Flow documents for the tests of this folder: a valid one with every kind of node, and arbitrary JSON."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from engine.errors import Problem
from engine.flow.schema import DEFAULT
from engine.flow.tables.pointer import steps
from engine.flow.validate import check

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=12)
    | st.sampled_from(["launch", "step", "wait", "start", "email", "1d", "08:00", "{{ x", "order.total > 1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6)
            | st.sampled_from(["id", "nodes", "kind", "trigger", "next", "actions", "send"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
"""Any JSON value, with a liking for the words of flows; strings may hold halves of surrogate pairs."""

_WHOLE: dict[str, Any] = {
    "id": "whole",
    "name": "One of each",
    "folder": "retention",
    "brand": "acme",
    "timezone": "Europe/London",
    "frequency": {"mode": "periodically", "every": "7d", "max": 10},
    "schedule": {"start": "2026-12-01T00:00:00Z", "end": "2027-01-01T00:00:00+01:00"},
    "when_paused": "hold",
    "nodes": {
        "start": {
            "kind": "launch",
            "trigger": {"event": ["Cart Viewed", "Order Completed"]},
            "where": "order.total >= 50.0",
            "next": "nudge",
        },
        "nudge": {
            "kind": "step",
            "title": "First nudge",
            "relevance": "none",
            "actions": [
                {
                    "send": "mobile_push",
                    "message": {"title": "Hello {{ customer.first_name }}", "transactional": True},
                },
                {"issue_promo_code": {"pool": "spring", "as": "code"}},
                {"send": "email", "message": {"subject": "A gift", "html": "<p>{{ codes.code }}</p>"}},
                {"points": {"add": -100}},
                {"points": {"add": "{{ order.total | times: 2 }}"}},
                {
                    "update_customer": {
                        "set": {"city": "York", "tags": ["{{ event.name }}"]},
                        "unset": ["old"],
                        "increment": {"visits": 1},
                    }
                },
                {"segment": {"add": ["active"], "remove": ["idle"]}},
                {"emit": {"event": "Nudged", "properties": {"total": "{{ order.total }}"}}},
            ],
            "next": "wait",
        },
        "wait": {
            "kind": "wait",
            "for": "3d",
            "window": {"days": ["mon", "tue"], "from": "08:00", "to": "20:00"},
            "next": "date",
        },
        "date": {
            "kind": "wait",
            "until": {"date": "customer.renewal", "offset": "-2d", "at": "10:00"},
            "window": [{"from": "08:00", "to": "10:00"}, {"from": "22:00", "to": "02:00"}],
            "missing": "bought",
            "next": "bought",
        },
        "bought": {
            "kind": "condition",
            "when": 'customer.count("Order Completed", duration("72h")) > 0',
            "then": "limit",
            "else": "split",
        },
        "split": {
            "kind": "split",
            "branches": [{"name": "a", "share": 33.33, "next": "test"}, {"name": "b", "share": 66.67}],
        },
        "test": {
            "kind": "ab_test",
            "variants": [
                {"name": "control", "share": 50, "control": True},
                {"name": "gift", "share": 50, "next": "end"},
            ],
            "goal": {"event": "Order Completed", "within": "7d", "revenue": "order.total"},
            "metric": "revenue_per_contact",
            "confidence": 0.9,
        },
        "limit": {"kind": "limit", "max": 1000, "per": "7d", "next": "end", "over": None},
        "end": {"kind": "step", "actions": [{"segment": {"add": ["done"]}}]},
    },
}


def whole() -> dict[str, Any]:
    """Return a valid flow that uses every key of the language; the caller may change it."""
    return deepcopy(_WHOLE)


def minimal(**nodes: Any) -> dict[str, Any]:
    """Return a flow of a launch that leads to `next`, and the given nodes."""
    start = {"kind": "launch", "trigger": {"event": "Session Ended"}, "next": next(iter(nodes), None)}
    return {"id": "f", "name": "f", "nodes": {"start": start, **deepcopy(nodes)}}


def resolves(pointer: str, document: Any) -> bool:
    """Whether a JSON Pointer leads to a place in the document."""
    for step in steps(pointer):
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return False
    return True


def put(document: Any, pointer: str, value: Any) -> Any:
    """Return the document, changed at one place."""
    *path, last = steps(pointer)
    inner = document
    for step in path:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    if isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value
    return document


def places(document: Any, pointer: str = "") -> list[str]:
    """Yield every pointer of a document but that of the document itself."""
    found = []
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        place = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
        found += [place, *places(value, place)]
    return found


END: dict[str, Any] = {"kind": "step", "actions": [{"segment": {"add": ["done"]}}]}


def problems(raw: object) -> tuple[Problem, ...]:
    """Return all problems of a document, by the built-in schema."""
    return check(raw, DEFAULT).problems


def found(raw: object) -> list[tuple[str, str, str]]:
    """Return node, pointer and code of each problem."""
    return [(problem.node, problem.pointer, problem.code) for problem in problems(raw)]


def only(raw: object) -> Problem:
    """Return the only problem of a document."""
    (problem,) = problems(raw)
    return problem


def step(*actions: object, **keys: object) -> dict[str, Any]:
    """Return a flow of one step with these actions."""
    return minimal(a={"kind": "step", "actions": list(actions), **keys})
