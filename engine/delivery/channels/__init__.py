"""Channels: ways out for effects. A channel has one method, `deliver`, which takes an effect and returns its receipt.

`deliver` may raise instead. The delivery decides about further attempts, always with the same effect id (`Channel`).
SMTP, webhooks (`webhook.py`) and the like fit behind the same method. `Outbox` is no channel but the decision to have
none: its effects stay in the kernel's outbox until the application pulls them and sends receipts.
Imports `engine.model` and what every floor shares. Begin with `Channel` below, then `log.py`, the smallest channel.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from engine.delivery.channels.log import Log
from engine.delivery.channels.outbox import Outbox
from engine.delivery.channels.trouble import TryLater
from engine.model import CHANNELS, Effect, Receipt


class Channel(Protocol):
    """Way out for effects. At most `workers` calls of `deliver` are in flight.

    With one worker, effects leave in order, except for those that are retried.

    `deliver` returns a Receipt with the effect's id:

    - `delivered` or `bounced`: the destination has answered, so it is up;
    - `failed`: no attempt can succeed. This tells nothing about the destination, which may not have been asked.

    It raises when an attempt failed. Exceptions count against the destination; several in a row pause it:

    - `TryLater` (after `after_s` seconds, if known) or OSError: the same effect is retried;
    - any other exception, also a group of exceptions, is a mistake of the channel: the effect has failed.
    """

    workers: int

    async def deliver(self, effect: Effect) -> Receipt: ...


@runtime_checkable
class Holding(Protocol):
    """Channel that holds resources, such as connections, and frees them when delivery has ended."""

    async def aclose(self) -> None: ...


@runtime_checkable
class Forked(Protocol):
    """Channel with several destinations, of which one may be down while others are up."""

    def destination(self, effect: Effect) -> str: ...


DEFAULT_NAMES = tuple(sorted(CHANNELS))
"""Channels that every engine has; each is `log` unless configured."""

__all__ = ["DEFAULT_NAMES", "Channel", "Forked", "Holding", "Log", "Outbox", "TryLater"]
