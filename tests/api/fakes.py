"""A fake engine that stores submissions and decides when they are durable."""

from __future__ import annotations

import trio

from engine.errors import Unavailable
from engine.wire import Decoded, Event


class FakeTicket:
    """Resolved by its engine's `settle`, in order."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self.error: Unavailable | None = None

    @property
    def done(self) -> bool:
        return self._done.is_set()

    async def wait(self) -> None:
        await self._done.wait()
        if self.error is not None:
            raise self.error

    def resolve(self, error: Unavailable | None = None) -> None:
        self.error = error
        self._done.set()


class FakeEngine:
    """An engine whose inputs are durable immediately, or with `held` only after `settle`.

    Takes no more than `room` submissions that are not durable; `refusals` are raised before any is taken.
    """

    def __init__(self, *, held: bool = False, room: int = 1_000_000) -> None:
        self.held = held
        self.room = room
        self.taken: list[Decoded] = []
        self.waiting: list[FakeTicket] = []
        self.refusals: list[Unavailable] = []
        self._changed = trio.Event()

    async def enqueue(self, decoded: Decoded) -> FakeTicket:
        while len(self.waiting) >= self.room:
            await self._changed.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        ticket = FakeTicket()
        self.taken.append(decoded)
        if self.held:
            self.waiting.append(ticket)
        else:
            ticket.resolve()
        self._ring()
        return ticket

    def settle(self, count: int | None = None) -> None:
        """Make the `count` oldest submissions (by default all) durable."""
        settled, self.waiting = self.waiting[:count], self.waiting[len(self.waiting[:count]) :]
        for ticket in settled:
            ticket.resolve()
        self._ring()

    def fail(self) -> None:
        """Stop the engine before the waiting submissions are durable."""
        waiting, self.waiting = self.waiting, []
        for ticket in waiting:
            ticket.resolve(Unavailable("stopped", "The engine has stopped.", retry_after_s=5))
        self._ring()

    async def takes(self, count: int) -> None:
        """Wait until `count` submissions were taken."""
        with trio.fail_after(5):
            while len(self.taken) < count:
                await self._changed.wait()

    @property
    def events(self) -> list[str]:
        """The names of all events taken, in order."""
        return [one.name for part in self.taken for one in part.inputs if isinstance(one, Event)]

    @property
    def contacts(self) -> list[str]:
        return [one.contact for part in self.taken for one in part.inputs if isinstance(one, Event)]

    def _ring(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
