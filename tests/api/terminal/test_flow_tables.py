"""Tables for people: nodes in a few words, figures per node, and one customer's story."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from api.demo.shop import Customer, Deed
from api.demo.story import Storyteller, Traces
from api.terminal.flow_tables import flow_table, phrase
from engine.model import TraceRecord

MORNING_MS = 1_786_345_200_000  # 2026-08-10T07:00:00Z


def text_of(renderable: object) -> str:
    console = Console(width=160, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"kind": "launch", "trigger": {"event": "Signed Up"}}, "on Signed Up"),
        ({"kind": "launch", "trigger": {"event": ["A", "B"]}, "where": "x > 1"}, "on A or B if x > 1"),
        (
            {
                "kind": "launch",
                "trigger": {"schedule": {"every": "week", "days": ["mon", "thu"], "at": "09:00"}},
            },
            "every week mon thu at 09:00",
        ),
        ({"kind": "step", "actions": [{"send": "mobile_push", "message": {}}]}, "send mobile push"),
        (
            {"kind": "step", "title": "Gift", "actions": [{"points": {"add": 5}}, {"emit": {"event": "E"}}]},
            "Gift: points 5, emit E",
        ),
        (
            {"kind": "step", "actions": [{"segment": {"add": ["a"], "remove": ["b"]}}]},
            "segment a, out of segment b",
        ),
        ({"kind": "wait", "for": "3d"}, "wait 3d"),
        ({"kind": "wait", "until_event": {"event": "A"}, "for": "3d"}, "wait for A, at most 3d"),
        ({"kind": "wait", "until": {"date": "d", "offset": "-2d", "at": "10:00"}}, "wait until d -2d 10:00"),
        (
            {
                "kind": "wait",
                "window": {"days": ["mon", "tue", "wed", "thu"], "from": "08:00", "to": "20:00"},
            },
            "wait for mon–thu 08:00–20:00",
        ),
        ({"kind": "condition", "when": "a == b"}, "is a == b?"),
        (
            {"kind": "split", "branches": [{"name": "a", "share": 30}, {"name": "b", "share": 70}]},
            "split: a 30 %, b 70 %",
        ),
        ({"kind": "limit", "max": 3, "per": "1h"}, "at most 3 per 1h"),
    ],
)
def test_a_node_is_told_in_a_few_words(node: dict[str, Any], words: str) -> None:
    assert phrase(node) == words


def test_long_words_are_cut() -> None:
    assert phrase({"kind": "condition", "when": "x" * 100}).endswith("x…")


def test_a_table_has_a_row_per_node_with_what_happened_and_markup_is_text() -> None:
    document = {
        "name": "[red]",
        "nodes": {"start": {"kind": "launch", "trigger": {"event": "[bold]"}}, "wait": {}},
    }
    stats = {
        "flow": "f",
        "version": 2,
        "nodes": {
            "start": {"arrived": 1_234, "waiting": 0, "entered": 1_234, "refused": 5, "left": 0},
            "wait": {"arrived": 10, "waiting": 3, "branches": {"a": 4}, "completed": 7, "left": 7},
            "gone": {"arrived": 2, "waiting": 0, "removed": 2, "left": 2},
        },
    }
    lines = [line.rstrip() for line in text_of(flow_table(stats, document)).splitlines()]
    assert lines[0] == "f, version 2: [red]"
    assert lines[2].split("  ")[0] == "start"
    assert lines[2].endswith("entered 1,234, refused 5")
    assert "on [bold]" in lines[2]
    assert lines[3].endswith("a 4, completed 7")
    assert "in an earlier version" in lines[4]


def record(what: str, node: str, hours: int = 0, **detail: object) -> TraceRecord:
    return TraceRecord(MORNING_MS + hours * 3_600_000, "f", 1, 7, "customer-00001", node, what, detail)


def test_a_story_is_told_in_order_and_in_the_customers_own_time() -> None:
    customer = Customer(1, "Ann", "Europe/Athens", 1.0, 1.0, 1.0, 1.0, subscriber=False)
    documents = {"f": {"nodes": {"gift": {"actions": [{"send": "email"}, {"points": {"add": 5}}]}}}}
    outcomes = [
        {"action": "send", "channel": "email", "outcome": "executed"},
        {"action": "points", "outcome": "failed", "error": "Too few."},
    ]
    records = [
        record("entered", "start", event="Cart Viewed"),
        record("waiting", "wait", until=MORNING_MS + 3_600_000),
        record("condition", "bought", 1, result=False),
        record("executed", "gift", 1, actions=outcomes),
        record("left", "gift", 1, reason="completed"),
    ]
    teller = Storyteller(customer, documents, {(7, "gift", "email"): "Hello"})
    told = text_of(teller.tell([Deed(MORNING_MS, "Cart Viewed", "Cart Viewed (8.00)")], records))
    assert [" ".join(line.split()) for line in told.splitlines()] == [
        "Mon 10 Aug 10:00 Ann Cart Viewed (8.00)",
        "f enters on Cart Viewed",
        "f wait: waits until Mon 10 Aug 11:00",
        "Mon 10 Aug 11:00 f bought: no",
        "f gift: send email “Hello”, points 5 (Too few.)",
        "f reaches the end",
    ]


def test_the_story_that_shows_most_is_chosen() -> None:
    traces = Traces()
    traces.keep(record("entered", "start") for _ in range(12))
    other = [record("entered", "start"), *(record("executed", "gift") for _ in range(11))]
    for one in other:
        one.contact = "customer-00002"
    traces.keep(other)
    assert traces.most_telling({}) == "customer-00002"
    assert Traces().most_telling({}) is None
