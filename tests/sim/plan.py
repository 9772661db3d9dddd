"""The plan of a life, drawn from its seed: flows, bounds, faults, clients. All else is drawn as the world goes on."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from engine import limits
from tests.reference import journeys

FAULTS = ("kill", "doom", "full", "broken", "silent", "jump", "tear", "restart")
"""kill: the process ends now. doom: in the middle of a commit. full: no disk space for a while. broken: an I/O error.
silent: channels refuse for a while. jump: the wall clock is set. tear: a client's line breaks. restart: a clean one."""

PAID: dict[str, Any] = {
    "id": "paid",
    "name": "Paid",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "Paid"}, "next": "thank"},
        "thank": {
            "kind": "step",
            "relevance": "none",
            "actions": [
                {"update_customer": {"increment": {"paid": 1}}},
                {"send": "webhook", "message": {"text": "Thank you for {{ event.properties.amount }}"}},
            ],
            "next": "later",
        },
        "later": {"kind": "wait", "for": "1h", "next": "ask"},
        "ask": {
            "kind": "step",
            "relevance": "none",
            "actions": [{"send": "sms", "message": {"text": "Well?"}}],
        },
    },
}
"""Each payment counts one, for ever; the rest of the flows is drawn."""

BOUNDS: dict[str, tuple[float, ...]] = {
    "BATCH_INPUTS_MAX": (1, 3, 16, 8_192),
    "INTAKE_QUEUE_BYTES_MAX": (500, 4_000, 1 << 25),
    "PIPELINE_INPUTS_MIN": (1, 1, 4, 512),
    "JOURNAL_TRIM_FRAMES_MAX": (1, 5, 512),
    "JOURNAL_READ_BYTES": (1, 2_000, 1 << 24),
    "CHECKPOINT_PIECE_BYTES": (100, 1_000, 1 << 19),
    "CHECKPOINT_GROUP_BYTES": (300, 4_000, 1 << 21),
    "CHECKPOINT_DELTAS_MAX": (1, 3, 16),
    "CHECKPOINT_PART_RECORDS_MAX": (1, 3, 256),
    "CHECKPOINT_RETRY_S": (1, 30),
    "DELIVERY_PAGE_EFFECTS": (1, 3, 64),
    "DELIVERY_RECEIPTS_MAX": (1, 5, 1_000),
    "OUTBOX_EFFECTS_MAX": (4, 10_000_000, 10_000_000),
}
"""Bounds of `engine.limits` and `engine.tuning`, drawn small so that a short life meets them."""

PATIENCE: dict[str, tuple[float, ...]] = {
    "DELIVERY_FAILURES_MAX": (1, 3, 10),
    "DELIVERY_ASIDE_MAX": (1, 4, 20_000),
    "DELIVERY_GIVE_UP_S": (3, 24 * 3600.0),
    "DELIVERY_ATTEMPTS_MIN": (2, 36),
}
"""Bounds of deliveries, drawn apart."""


KEYS = ("none", "none", "write", "management", "all")
"""none: this machine is served. write: `write_keys` are configured. management: keys were issued, none of them for
events. all: keys were issued for everything."""


class LifePlan(msgspec.Struct):
    """One life of an engine."""

    seed: int
    flows: list[dict[str, Any]]
    bounds: dict[str, float]
    faults: list[str]
    fault_count: int
    clients: int
    lines_per_client: int
    operations: int
    pace: int
    journal_bytes: int
    checkpoint_bytes: int
    checkpoint_every_bytes: int
    checkpoint_every_s: float
    pulled: bool
    in_flight_bytes_max: int
    paid_share: float
    """Share of the lines that are payments."""
    http_clients: int
    """Number of the clients that send over HTTP; the others send over streams."""
    managed: bool
    """Whether operations go through the management API instead of direct calls of the service."""
    keys: str
    """One of KEYS."""
    intrusions: int
    """Number of an intruder's attempts on each listener."""
    bodies_bytes_max: int
    remote: bool
    """Whether clients sit on other machines, which needs keys."""


def plan(seed: int) -> LifePlan:
    """Draw the plan of a seed, the same on every machine."""
    chance = Random(f"plan {seed}")
    flows = [journeys.flow(chance, f"f{number}") for number in range(chance.choice((0, 1, 1, 2)))]
    drawn = LifePlan(
        seed=seed,
        flows=[PAID, *flows],
        bounds={
            **{name: chance.choice(choices) for name, choices in BOUNDS.items() if chance.random() < 0.7},
            **{name: Random(f"{name} {seed}").choice(choices) for name, choices in PATIENCE.items()},
        },
        faults=chance.sample(FAULTS, chance.randint(1, len(FAULTS))),
        fault_count=chance.randint(1, 7),
        clients=chance.choice((1, 2, 2, 3)),
        lines_per_client=chance.choice((5, 15, 30, 60)),
        operations=chance.choice((0, 2, 6)),
        pace=chance.choice((1, 60, 3_600, 20_000)),
        journal_bytes=chance.choice((24_000, 64_000, 1 << 20)),
        checkpoint_bytes=chance.choice((48_000, 1 << 20)),
        checkpoint_every_bytes=chance.choice((300, 3_000, 100_000)),
        checkpoint_every_s=chance.choice((2, 20, 300)),
        pulled=chance.random() < 0.5,
        in_flight_bytes_max=chance.choice((200, 2_000, 1 << 22)),
        paid_share=chance.choice((0.1, 0.3, 0.9)),
        http_clients=0,
        managed=False,
        keys="none",
        intrusions=0,
        bodies_bytes_max=limits.INTAKE_BODIES_BYTES_MAX,
        remote=False,
    )
    if chance.random() < 0.6:
        drawn.http_clients = chance.randint(0, drawn.clients)
        drawn.managed = chance.random() < 0.5
        drawn.keys = chance.choice(KEYS)
        drawn.intrusions = chance.choice((0, 3, 10))
        drawn.bodies_bytes_max = chance.choice((6_000, limits.INTAKE_BODIES_BYTES_MAX))
        drawn.remote = chance.random() < 0.7
    return drawn
