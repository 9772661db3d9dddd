"""The time of the kernel for an event, and for a wait that is due.

One kernel with 100,000 known contacts. A round is one batch of 1,000 decoded events of contacts in random order, each
with a message id of its own. The figures exclude the journal and the decoding. Traces are off, as in an engine that
serves.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from bench.conftest import Measure
from engine.kernel import Kernel
from engine.limits import TIMERS_PER_BATCH_MAX
from engine.model import Batch, Control, Input
from engine.wire import decode_lines

START_MS = 1_786_320_000_000
DAY_MS = 86_400_000
CONTACTS = 100_000
BATCH = 1_000
ROUNDS, WARMUP = 50, 2

LITERAL = {"body": "Your cart is waiting."}
NUDGE = {"send": "webhook", "message": LITERAL}
TEMPLATE = {"body": "Still thinking, {{ customer.first_name }}? {{ event.properties.total }} is not much."}


def nodes(action: dict[str, Any] | None, where: str | None = None) -> dict[str, Any]:
    """Return a launch on `Cart Viewed`, a step of this action (None: no step) and a wait of three days."""
    start: dict[str, Any] = {"kind": "launch", "trigger": {"event": "Cart Viewed"}, "next": "wait"}
    graph = {"start": start, "wait": {"kind": "wait", "for": "3d"}}
    if where:
        start["where"] = where
    if action:
        start["next"] = "nudge"
        graph["nudge"] = {"kind": "step", "actions": [action], "next": "wait"}
    return graph


class KernelLoad:
    """A kernel, its clock, and a source of batches."""

    def __init__(self, graph: dict[str, Any] | None) -> None:
        self.kernel = Kernel(key=bytes(range(16)))
        self.now_ms = START_MS
        self.random = random.Random(1)
        self.number = 0
        for first in range(0, CONTACTS, BATCH):
            lines = [
                f'{{"type":"identify","userId":"contact-{n}","traits":{{"first_name":"N{n}","city":"Oslo"}}}}'
                for n in range(first, first + BATCH)
            ]
            self.apply(decode_lines("\n".join(lines).encode()).inputs)
        if graph is not None:
            self.control("channels", channels=["webhook"])
            flow = {"id": "cart", "name": "Cart", "folder": "main", "nodes": graph}
            self.control("launch", flow=flow)

    def control(self, op: str, **args: Any) -> None:
        (answer,) = self.apply([Control(op, args)])
        assert isinstance(answer, dict), answer

    def apply(self, inputs: list[Input], pass_ms: int = 1) -> list[Any]:
        self.now_ms += pass_ms
        return self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, inputs)).answers

    def events(self, name: str) -> tuple[list[Input]]:
        """Return a batch of events, decoded."""
        lines = [
            self.line(name, self.random.randrange(CONTACTS), self.random.randrange(90)) for _ in range(BATCH)
        ]
        return (decode_lines("\n".join(lines).encode()).inputs,)

    def line(self, name: str, contact: int, total: int) -> str:
        self.number += 1
        return (
            f'{{"type":"track","userId":"contact-{contact}","event":"{name}",'
            f'"messageId":"message-{self.number}","properties":{{"total":{total}.5,"items":3}}}}'
        )

    @property
    def waiting(self) -> int:
        return int(self.kernel.counts()["waiting"])


def test_an_event_no_flow_asks_for(measure: Measure) -> None:
    engine = KernelLoad(nodes(NUDGE))
    measure(
        "an event no flow asks for",
        engine.apply,
        each=BATCH,
        setup=lambda: engine.events("Page Viewed"),
        rounds=ROUNDS,
    )
    assert engine.waiting == 0


def test_an_event_seen_before(measure: Measure) -> None:
    engine = KernelLoad(nodes(NUDGE))
    (inputs,) = engine.events("Cart Viewed")
    engine.apply(inputs)
    waiting = engine.waiting
    measure("an event seen before", lambda: engine.apply(inputs), each=BATCH, rounds=ROUNDS)
    assert engine.waiting == waiting == BATCH


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("order.total > 1000.0", "a comparison"),
        (
            'customer.city == "Oslo" && customer.count("Cart Viewed", duration("72h")) > 20',
            "a trait and a count",
        ),
    ],
    ids=["comparison", "trait and count"],
)
def test_an_event_whose_condition_is_false(where: str, what: str, measure: Measure) -> None:
    engine = KernelLoad(nodes(NUDGE, where))
    measure(
        f"an event whose launch condition ({what}) is false",
        engine.apply,
        each=BATCH,
        setup=lambda: engine.events("Cart Viewed"),
        rounds=ROUNDS,
    )
    assert engine.waiting == 0
    for _ in range(21):
        engine.apply(decode_lines(engine.line("Cart Viewed", 5, 2_000).encode()).inputs)
    assert engine.waiting > 0, "it was false, not in error"


@pytest.mark.parametrize(
    ("action", "what"),
    [
        (None, "no step"),
        ({"send": "webhook", "message": LITERAL}, "a message without a template"),
        ({"send": "webhook", "message": TEMPLATE}, "a message with a template"),
        ({"segment": {"add": ["seen"]}}, "a segment"),
        ({"points": {"add": 5}}, "points"),
        ({"update_customer": {"set": {"city": "York"}, "increment": {"carts": 1}}}, "two traits"),
    ],
    ids=["no step", "literal", "template", "segment", "points", "traits"],
)
def test_an_event_that_starts_a_run(action: dict[str, Any] | None, what: str, measure: Measure) -> None:
    engine = KernelLoad(nodes(action))
    measure(
        f"an event that starts a run ({what}) and waits",
        engine.apply,
        each=BATCH,
        setup=lambda: engine.events("Cart Viewed"),
        rounds=ROUNDS,
        warmup=WARMUP,
    )
    assert engine.waiting == (ROUNDS + WARMUP) * BATCH


@pytest.mark.parametrize("message", [None, LITERAL], ids=["the run ends", "a step follows"])
def test_a_wait_that_is_due(message: dict[str, str] | None, measure: Measure) -> None:
    """Runs began in batches a second apart; each round is the pulse at which a thousand of them are due."""
    graph = nodes(None)
    if message:
        graph["wait"]["next"] = "after"
        graph["after"] = {"kind": "step", "actions": [{"send": "webhook", "message": message}]}
    engine = KernelLoad(graph)
    batches = ROUNDS + WARMUP + 3
    for _ in range(batches):
        engine.apply(*engine.events("Cart Viewed"), pass_ms=1_000)
    assert engine.waiting == batches * BATCH
    engine.now_ms += 3 * DAY_MS - batches * 1_000

    def pulse() -> None:
        engine.apply([], pass_ms=1_000)

    after = "a message follows" if message else "the run ends"
    measure(f"a wait that is due, {after}", pulse, each=BATCH, rounds=ROUNDS, warmup=WARMUP)
    assert engine.waiting == 3 * BATCH


def test_a_crowd_of_waits_due_at_one_instant(measure: Measure) -> None:
    """All 100,000 contacts wait for the same instant; a round is a batch of as many of them as one takes."""
    graph = nodes(NUDGE)
    graph["wait"] |= {"next": "city"}
    graph["city"] = {"kind": "condition", "when": 'customer.city == "Oslo"', "then": "after"}
    graph["after"] = {"kind": "step", "actions": [NUDGE]}
    engine = KernelLoad(graph)
    for _ in range(CONTACTS // BATCH):
        engine.apply(*engine.events("Cart Viewed"), pass_ms=0)
    engine.now_ms += 3 * DAY_MS
    rounds = CONTACTS // TIMERS_PER_BATCH_MAX
    measure(
        "one of 100,000 waits due at the same instant, a condition and a message follow",
        lambda: engine.apply([]),
        each=TIMERS_PER_BATCH_MAX,
        rounds=rounds,
        warmup=0,
    )
    assert engine.waiting == 0
