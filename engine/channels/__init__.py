"""Channels: where effects go. A channel is small: it is given one effect and says what became of it.

`deliver` returns a Receipt (`delivered`, `bounced`, `failed`), or raises `TryLater` (or OSError) when the
world is not ready; the delivery decides about further attempts, always with the same effect id. SMTP,
webhooks and the like fit behind the same method. `Outbox` is not a channel but the decision to have none:
its effects stay in the kernel's outbox until the application pulls them and sends receipts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.channels.log import Log
from engine.channels.outbox import Outbox
from engine.model import Effect, Receipt


class TryLater(Exception):
    """The effect could not be handed over now; `after_s`: when to try again, if the other side said so."""

    def __init__(self, detail: str, *, after_s: float | None = None) -> None:
        super().__init__(detail)
        self.after_s = after_s


class Channel(Protocol):
    """Hands effects over. At most `workers` calls of `deliver` are under way at once (1: in order)."""

    workers: int

    async def deliver(self, effect: Effect) -> Receipt: ...


KINDS: dict[str, Callable[[], Channel | Outbox]] = {"log": Log, "outbox": Outbox}
"""Channels that need no settings, by the name a configuration gives them."""

DEFAULT_NAMES = ("email", "mobile_push", "sms", "web_push", "webhook")
"""The channels every engine has; each is `log` unless configured."""

__all__ = ["DEFAULT_NAMES", "KINDS", "Channel", "Log", "Outbox", "TryLater"]
