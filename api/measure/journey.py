"""What a soak is made with: a flow whose runs end, and what the events sent must have come to, counted exactly.

The events are those of `work`: whether one starts a run, and how far the run gets, is a function of its number alone,
and comes again with a period of some hundred thousand numbers. So many events are counted by their last digits.
"""

from __future__ import annotations

from math import lcm
from typing import Any

import msgspec

from api.measure import work

FLOW = "soak"
SECOND_FROM, MAILED_FROM, LOGGED_FROM = 75.0, 99.0, 98.0
"""Totals of the orders whose runs get to the second step; to a message that is pulled; to one that is logged."""
TOTALS = 100
TOTAL_EVERY = 7
"""`work.events` has so many totals, each for so many events in a row."""
SETTINGS = '[channels.email]\nkind = "outbox"\n'
"""Of the engine: `email` is pulled and receipted from outside; everything else is logged."""


def flow(wait_s: int) -> dict[str, Any]:
    """A step, a wait, a condition that asks the history, a second step; one run in 25 sends a message in the end."""
    message = {"subject": "{{ event.properties.order_id }}", "text": "{{ event.timestamp }}"}
    return {
        "id": FLOW,
        "name": "Soak",
        "nodes": {
            "start": {
                "kind": "launch",
                "trigger": {"event": work.ORDER},
                "where": work.WHERE,
                "next": "first",
            },
            "first": {
                "kind": "step",
                "actions": [
                    {"segment": {"add": ["reached"]}},
                    {"update_customer": {"increment": {"runs": 1}}},
                ],
                "next": "wait",
            },
            "wait": {"kind": "wait", "for": f"{wait_s}s", "next": "again"},
            "again": {
                "kind": "condition",
                "when": f'customer.count("{work.ORDER}", duration("1h")) > 0 && order.total >= {SECOND_FROM}',
                "then": "second",
            },
            "second": {"kind": "step", "actions": [{"points": {"add": 1}}], "next": "much"},
            "much": {
                "kind": "condition",
                "when": f"order.total >= {MAILED_FROM}",
                "then": "mail",
                "else": "less",
            },
            "less": {"kind": "condition", "when": f"order.total >= {LOGGED_FROM}", "then": "call"},
            "mail": {"kind": "step", "actions": [{"send": "email", "message": message}]},
            "call": {"kind": "step", "actions": [{"send": "webhook", "message": message}]},
        },
    }


class Counts(msgspec.Struct, frozen=True):
    """How many runs began, ran the second step, sent a message to be pulled and one to be logged; `orders`: the numbers
    of the orders whose messages are pulled, added up, which tells which they were."""

    entered: int = 0
    second: int = 0
    mailed: int = 0
    logged: int = 0
    orders: int = 0


def expected(first: int, end: int, *, contacts: int) -> Counts:
    """Of the events with numbers from `first` up to `end`."""
    return _minus(_up_to(end, contacts), _up_to(first, contacts))


def _up_to(end: int, contacts: int) -> Counts:
    period = lcm(TOTALS * TOTAL_EVERY, contacts)
    times, rest = divmod(end, period)
    whole = _counted(period, contacts) if times else Counts()
    part = _counted(rest, contacts)
    # Of an order that comes again every `period` numbers: its number, and so often some periods more.
    orders = times * whole.orders + period * whole.mailed * (times * (times - 1) // 2)
    orders += part.orders + times * period * part.mailed
    return Counts(
        entered=times * whole.entered + part.entered,
        second=times * whole.second + part.second,
        mailed=times * whole.mailed + part.mailed,
        logged=times * whole.logged + part.logged,
        orders=orders,
    )


def _counted(end: int, contacts: int) -> Counts:
    """One by one."""
    enters = [_may_enter(work.contact(n)) for n in range(contacts)]
    entered = second = mailed = logged = orders = 0
    for n in range(end):
        total = n // TOTAL_EVERY % TOTALS + 0.5
        if total < 50 or not enters[n * work.PRIME % contacts]:
            continue
        entered += 1
        second += total >= SECOND_FROM
        if total >= MAILED_FROM:
            mailed += 1
            orders += n
        else:
            logged += total >= LOGGED_FROM
    return Counts(entered, second, mailed, logged, orders)


def _may_enter(traits: dict[str, Any]) -> bool:
    """The part of `work.WHERE` that is about the contact."""
    return traits["city"] in ("London", "Paris") and traits["orders_count"] > 2


def _minus(one: Counts, other: Counts) -> Counts:
    return Counts(*(getattr(one, name) - getattr(other, name) for name in Counts.__struct_fields__))
