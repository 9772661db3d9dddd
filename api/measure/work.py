"""What is measured with: the reference flow, its contacts and events, all as a pure function of a number.

The flow launches where `order.total >= 50 && customer.city in ["London", "Paris"] && customer.orders_count > 2`:
half of the orders, half of the contacts, half of those: one event in eight. Lines have about 300 bytes, contacts ten
traits. Events come from contacts in no order (a multiplication by a prime), so that nothing is in the cache by luck.
"""

from __future__ import annotations

from typing import Any

import msgspec

ORDER, VIEW = "Order Completed", "Page Viewed"
"""The event the flows are launched by, and one that nobody asks for."""

CITIES = ("London", "Paris", "Berlin", "Rome")
TRAITS = ("first_name", "last_name", "language", "plan", "source", "score", "vip")
PRIME = 7_919

WHERE = 'order.total >= 50 && customer.city in ["London", "Paris"] && customer.orders_count > 2'

LINE = (
    b'{"type":"track","userId":"c%d","event":"%s","messageId":"%s%d","properties":{"order_id":"o%d","total":%d.5,'
    b'"currency":"EUR","products":[{"product_id":"cd-%d","quantity":1,"price":9.99}],"coupon":"none",'
    b'"note":"left at the door, as always, with the neighbour on the second floor"}}\n'
)


def flow(*, id: str = "reference", event: str = ORDER, where: str | None = WHERE) -> dict[str, Any]:
    """The reference flow: a step, a wait of three days, a condition, a second step. `where=None`: every event."""
    start: dict[str, Any] = {"kind": "launch", "trigger": {"event": event}, "next": "first"}
    if where is not None:
        start["where"] = where
    return {
        "id": id,
        "name": id,
        "nodes": {
            "start": start,
            "first": {"kind": "step", "actions": [{"segment": {"add": ["reached"]}}], "next": "wait"},
            "wait": {"kind": "wait", "for": "3d", "next": "again"},
            "again": {"kind": "condition", "when": "customer.orders_count > 3", "then": "second"},
            "second": {"kind": "step", "actions": [{"points": {"add": 1}}]},
        },
    }


def contact(n: int) -> dict[str, Any]:
    """The traits of contact `c<n>`."""
    traits: dict[str, Any] = {
        "city": CITIES[n % 4],
        "orders_count": n // 4 % 6,
        "email": f"c{n}@example.com",
    }
    return traits | {name: f"{name}-{n % 97}" for name in TRAITS}


def contacts(count: int, first: int = 0) -> bytes:
    """Lines that make the contacts known."""
    encode = msgspec.json.Encoder().encode
    return b"".join(
        encode({"type": "identify", "userId": f"c{n}", "messageId": f"i{n}", "traits": contact(n)}) + b"\n"
        for n in range(first, first + count)
    )


def events(count: int, *, contacts: int, first: int = 0, name: str = ORDER, run: str = "") -> bytes:
    """Lines of events number `first` and on. `run` tells the message ids of two measurements apart.

    Totals go from 0.5 to 99.5 in steps that the contacts' numbers do not share.
    """
    event, mark = name.encode(), run.encode()
    return b"".join(
        LINE % (n * PRIME % contacts, event, mark, n, n, n // 7 % 100, n % 1_000)
        for n in range(first, first + count)
    )
