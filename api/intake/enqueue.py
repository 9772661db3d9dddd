"""The port through which a way in queues inputs, and learns when they are durable.

`Service.enqueue` is one; tests have their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from engine.wire import Decoded


class Ticket(Protocol):
    """The promise that something queued becomes durable. Tickets come true in the order they were given."""

    @property
    def done(self) -> bool:
        """Whether `wait` would end at once."""

    async def wait(self) -> None:
        """Wait until the inputs are durable. Raises Unavailable when the engine stops before that."""


Enqueue = Callable[[Decoded], Awaitable[Ticket]]
"""Queues inputs, waiting while the queue is full; calls are served in order. Raises Unavailable."""
