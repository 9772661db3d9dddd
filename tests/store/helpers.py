"""Helpers of the store's tests: running trio, lines, and a service on the fake kernel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
import trio

from engine.delivery.channels import DEFAULT_NAMES, Channel, Outbox
from engine.model import Effect, Receipt
from engine.service import Service, ServiceConfig
from engine.store.recover import Recovered
from engine.wire import Decoded, decode_lines
from tests.store.fake_kernel import FakeKernel

LIMIT_S = 20
T = TypeVar("T")


def run(test: Callable[[], Awaitable[T]]) -> T:
    """Run a test's coroutine; one that hangs fails."""

    async def limited() -> T:
        with trio.fail_after(LIMIT_S):
            return await test()

    return trio.run(limited)


async def until(true: Callable[[], bool]) -> None:
    """Poll until a condition holds."""
    while not true():  # noqa: ASYNC110
        await trio.sleep(0.002)


def line(contact: str, event: str = "seen", message: str | None = None, **properties: Any) -> bytes:
    """Return one track line."""
    raw = {"type": "track", "userId": contact, "event": event, "messageId": message, "properties": properties}
    return msgspec.json.encode(raw) + b"\n"


def events(count: int, *, first: int = 0, contacts: int = 10, padding: int = 0) -> Decoded:
    """Return `count` events with the message ids m<first>… of c0…c9.

    `padding` bytes of each cannot be compressed to less than half.
    """
    return decode_lines(
        b"".join(
            line(f"c{n % contacts}", message=f"m{n}", padding=Random(n).randbytes(padding // 2).hex())
            for n in range(first, first + count)
        )
    )


class Collector:
    """A channel that stores the effects it receives."""

    workers = 2

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    async def deliver(self, effect: Effect) -> Receipt:
        self.effects.append(effect)
        return Receipt(effect.id, "delivered")


def config(data: Path, *, channel: Channel | Outbox | None = None, **settings: Any) -> ServiceConfig:
    """Return the configuration of a service on the fake kernel; all channels are `channel`, by default the outbox."""
    channels = dict.fromkeys(DEFAULT_NAMES, channel or Outbox())
    return ServiceConfig(data=data, kernel=FakeKernel, channels=channels, **settings)  # type: ignore[arg-type]


def recovery_of(service: Service) -> Recovered:
    """Return what the start of a service found in its store."""
    assert service.recovered is not None
    return service.recovered
