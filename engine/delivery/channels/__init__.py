"""Channels: where effects go. A channel is small: it is given one effect and says what became of it.

`deliver` says what became of it, or raises; the delivery decides about further attempts, always with the same effect
id (`Channel`). SMTP, webhooks (`engine.delivery.channels.webhook`) and the like fit behind the same method. `Outbox`
is not a channel but the decision to have none: its effects stay in the kernel's outbox until the application pulls
them and sends receipts.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from engine.delivery.channels.log import Log
from engine.delivery.channels.outbox import Outbox
from engine.delivery.channels.trouble import TryLater
from engine.model import CHANNELS, Effect, Receipt


class Channel(Protocol):
    """Hands effects over. At most `workers` calls of `deliver` are under way at once (1: in order, save those that have
    to be tried again).

    `deliver` returns a Receipt with the effect's id:

    - `delivered` or `bounced`: the place the effect went to has answered, and is up;
    - `failed`: this effect will never be taken. It says nothing of the place, which need not have been asked.

    It raises what may be otherwise later, and counts against the place, which is paused after several in a row:

    - `TryLater` (after `after_s` seconds, if that is known) or OSError: the same effect is tried again;
    - any other exception, also a group of exceptions, is a mistake of the channel: the effect has failed.
    """

    workers: int

    async def deliver(self, effect: Effect) -> Receipt: ...


@runtime_checkable
class Holding(Protocol):
    """A channel that holds something (connections) which it gives back when delivery has ended."""

    async def aclose(self) -> None: ...


@runtime_checkable
class Forked(Protocol):
    """A channel whose effects go to several places, of which one may be down and others not."""

    def destination(self, effect: Effect) -> str: ...


DEFAULT_NAMES = tuple(sorted(CHANNELS))
"""The channels every engine has; each is `log` unless configured."""

__all__ = ["DEFAULT_NAMES", "Channel", "Forked", "Holding", "Log", "Outbox", "TryLater"]
