"""A kernel on a bench: batches in, with a clock that the test sets, and the trace of all outcomes."""

from __future__ import annotations

from typing import Any

from engine.errors import Refused
from engine.kernel import Kernel
from engine.model import Batch, Control, Outcome
from engine.wire import decode_lines
from ext.wire import instant

DAY = 86_400_000
START = instant.parse("2026-08-01T00:00:00Z")


class Bench:
    """A kernel with a clock that the test sets, and the trace of all outcomes."""

    def __init__(self, **options: Any) -> None:
        self.kernel = Kernel(trace=True, **options)
        self.now_ms = START
        self.trace: list[Any] = []

    def apply(self, *inputs: Any) -> Outcome:
        outcome = self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, list(inputs)))
        self.trace += outcome.trace
        return outcome

    def control(self, op: str, **args: Any) -> dict[str, Any]:
        answer = self.apply(Control(op, args)).answers[0]
        if isinstance(answer, Refused):
            raise answer
        assert answer is not None
        return answer

    def line(self, text: str) -> Outcome:
        decoded = decode_lines(text.encode())
        assert not decoded.rejected
        return self.apply(*decoded.inputs)

    def track(self, contact: str, event: str, properties: str = "{}", **more: str) -> Outcome:
        rest = "".join(f',"{key}":"{value}"' for key, value in more.items())
        return self.line(
            f'{{"type":"track","userId":"{contact}","event":"{event}","properties":{properties}{rest}}}'
        )

    def whats(self) -> list[tuple[str, str, str]]:
        return [(record.contact, record.node, record.what) for record in self.trace]


def flow(nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "f", "name": "f", "nodes": nodes, **more}


def reached(next: str | None = None) -> dict[str, Any]:
    step: dict[str, Any] = {"kind": "step", "actions": [{"segment": {"add": ["reached"]}}]}
    return step if next is None else {**step, "next": next}


WAITING = flow(
    {
        "start": {
            "kind": "launch",
            "trigger": {"event": "Order Completed"},
            "where": "order.total >= 50.0",
            "next": "w",
        },
        "w": {"kind": "wait", "for": "3d", "next": "again"},
        "again": {
            "kind": "condition",
            "when": 'customer.count("Order Completed", duration("72h")) > 1',
            "then": "a",
        },
        "a": reached(),
    }
)

HELLO = flow(
    {
        "start": {"kind": "launch", "trigger": {"event": "X"}, "next": "send"},
        "send": {
            "kind": "step",
            "actions": [{"send": "webhook", "message": {"text": "Hello {{ customer.city }}"}}],
        },
    }
)
