"""What a way in needs of the engine: to queue inputs, and to be told when they are durable.

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
        """Until durable. Raises Unavailable when the engine stops before that."""


Enqueue = Callable[[Decoded], Awaitable[Ticket]]
"""Queues inputs, waiting while the queue is full; calls are served in order. Raises Unavailable."""
