"""A flow of 150 nodes of which every event walks 40: conditions, splits, limits and steps that update the contact.

    start ─▶ condition ×4 ─▶ split ×4 ─▶ limit ×4 ─▶ update ×4 ─▶ condition ×4 ─▶ …   39 levels below the launch

Nodes of a level are of one kind, and each leads to nodes of the next level: a run goes through exactly one node of
every level, whatever its conditions and splits decide.
"""

from __future__ import annotations

from typing import Any

NODES, LEVELS = 150, 39
KINDS = ("condition", "split", "limit", "step")
TEMPLATE = "template"
"""A step whose update is a template: what it sets depends on the event. The steps of KINDS set a literal number."""
WALKED = LEVELS + 1
"""Nodes an event walks: one of each level, and the launch."""


def lattice(event: str, *, id: str = "lattice", kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    """Return the flow, launched by every event of that name; its levels take these kinds in turn."""
    widths = [4 if level < NODES - 1 - 3 * LEVELS else 3 for level in range(LEVELS)]
    nodes: dict[str, Any] = {
        "start": {"kind": "launch", "trigger": {"event": event}, "next": _name(0, 0)},
    }
    names = [[_name(level, place) for place in range(width)] for level, width in enumerate(widths)]
    for level, row in enumerate(names):
        following = names[level + 1] if level + 1 < LEVELS else []
        for place, name in enumerate(row):
            ways = [following[(place + way) % len(following)] for way in range(2)] if following else []
            nodes[name] = _node(kinds[level % len(kinds)], level, ways)
    return {"id": id, "name": id, "nodes": nodes}


def _name(level: int, place: int) -> str:
    return f"n{level}-{place}"


def _node(kind: str, level: int, ways: list[str]) -> dict[str, Any]:
    one, other = ({"next": way} for way in ways) if ways else ({}, {})
    if kind == "condition":
        when = ('customer.city == "London"', "customer.orders_count > 2", "event.properties.total >= 50")[
            level % 3
        ]
        return {
            "kind": kind,
            "when": when,
            **dict(zip(("then", "else"), ways, strict=False)),
        }
    if kind == "split":
        halves = [{"name": "a", "share": 50, **one}, {"name": "b", "share": 50, **other}]
        return {"kind": kind, "branches": halves}
    if kind == "limit":
        return {"kind": kind, "max": 1_000_000, "per": "1h", **one, **({"over": ways[1]} if ways else {})}
    value = f"{{{{ event.properties.total }}}} at {level}" if kind == TEMPLATE else level
    return {"kind": "step", "actions": [{"update_customer": {"set": {"reached": value}}}], **one}
