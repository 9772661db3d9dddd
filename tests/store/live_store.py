"""A service with the real kernel, its inputs, and the ways in which it ends: at rest, by a crash, by a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.clock import VirtualClock
from engine.delivery.channels import DEFAULT_NAMES, Channel, Outbox
from engine.kernel import Kernel
from engine.service import Service, ServiceConfig
from engine.store.checkpoint import Checkpoints
from engine.store.journal import Journal
from engine.store.recover import recover
from engine.wire import decode_lines
from tests.store.helpers import line, until

START = 1_780_000_000_000
DAY = 24 * 3600 * 1000
FLOW: dict[str, Any] = {
    "id": "second-order",
    "name": "Second order",
    "folder": "main",
    "frequency": {"mode": "once"},
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "Order Completed"}, "next": "large"},
        "large": {"kind": "condition", "when": "order.total >= 50.0", "then": "wait", "else": "note"},
        "wait": {"kind": "wait", "for": "30d", "next": "thank"},
        "thank": {
            "kind": "step",
            "relevance": "none",
            "actions": [
                {"issue_promo_code": {"pool": "spring", "as": "code"}},
                {"send": "webhook", "message": {"text": "Again? {{ codes.code }}"}},
                {"points": {"add": 5}},
            ],
        },
        "note": {"kind": "step", "actions": [{"segment": {"add": ["small"]}}]},
    },
}


def orders(first: int, count: int, contacts: int = 50) -> bytes:
    return b"".join(
        line(f"c{n % contacts}", "Order Completed", f"m{n}", total=float(n * 7 % 100))
        for n in range(first, first + count)
    )


def settings(data: Path, clock: VirtualClock, channel: Channel | Outbox | None = None) -> ServiceConfig:
    channels = dict.fromkeys(DEFAULT_NAMES, channel or Outbox())
    return ServiceConfig(data=data, clock=clock, channels=channels)


async def prepare(service: Service) -> None:
    await service.control("launch", flow=FLOW)
    await service.control("add_codes", pool="spring", codes=[f"S{n}" for n in range(20)])


@contextmanager
def recovered(data: Path) -> Iterator[Kernel]:
    """Yield the kernel that the next start would recover."""
    journal, checkpoints = Journal(data / "journal"), Checkpoints(data / "checkpoints")
    kernel = Kernel(key=journal.key)
    recover(kernel, journal, checkpoints)
    yield kernel
    journal.close()
    checkpoints.close()


class Crash(Exception):
    """A fault that ends a service without further writes."""


@contextmanager
def crashing() -> Iterator[None]:
    """Expect the exception group of a crashed service."""
    with pytest.raises(ExceptionGroup) as ended:
        yield
    assert ended.group_contains(Crash)


async def crash(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next batch fail inside."""

    def fail() -> None:
        raise Crash

    monkeypatch.setattr(service._ingest, "_apply_next", fail)
    await service.submit(decode_lines(orders(0, 1)))


async def at_rest(service: Service) -> None:
    """Wait until nothing is due and everything applied is durable."""

    def rests() -> bool:
        due = service.kernel.next_due_ms()
        late = due is not None and due <= service.clock.now_ms()
        return not late and service.durable_seq == service.kernel.seq

    await until(rests)
