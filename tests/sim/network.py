"""Connections without sockets: bytes in two directions, cut anywhere, late, or lost when the line breaks.

`Line` has a client's end and the engine's (`EngineEnd`, what `api.stream.Session` asks of a connection).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio

from api.connections import Gone

CAPACITY_BYTES = 4_096
"""What a line holds in one direction; whoever sends more waits."""


class Broken(Exception):
    """The line is gone, seen from the client's side."""


class Pipe:
    """One direction. After `end`, what is in it can still be read; `tear` loses a drawn part of that."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._held = bytearray()
        self._ended = self._torn = False
        self._change = trio.Event()

    def _ring(self) -> None:
        self._change.set()
        self._change = trio.Event()

    async def write(self, data: bytes) -> bool:
        """Whether all of it went in."""
        while data:
            while len(self._held) >= CAPACITY_BYTES and not (self._torn or self._ended):
                await self._change.wait()
            if self._torn or self._ended:
                return False
            room = CAPACITY_BYTES - len(self._held)
            self._held += data[:room]
            data = data[room:]
            self._ring()
        return True

    async def read(self, size: int) -> bytes | None:
        """Some of what is there; b"" after the end, None after a break."""
        while not self._held:
            if self._torn:
                return None
            if self._ended:
                return b""
            await self._change.wait()
        count = self._chance.randint(1, min(size, len(self._held)))
        if self._chance.random() < 0.7:
            count = min(size, len(self._held))
        data = bytes(self._held[:count])
        del self._held[:count]
        self._ring()
        return data

    def end(self) -> None:
        self._ended = True
        self._ring()

    def tear(self) -> None:
        if not self._torn:
            self._torn = True
            del self._held[self._chance.randint(0, len(self._held)) :]
            self._ring()


class Line:
    """A connection from a client to the engine."""

    def __init__(self, chance: Random) -> None:
        self.to_engine, self.to_client = Pipe(chance), Pipe(chance)
        self.taken = 0
        """Bytes that the engine has read."""

    async def send(self, data: bytes) -> None:
        if not await self.to_engine.write(data):
            raise Broken

    async def receive(self) -> bytes:
        """Some bytes; b"" when the engine has ended. Raises Broken."""
        data = await self.to_client.read(65_536)
        if data is None:
            raise Broken
        return data

    def end(self) -> None:
        """The client has no more to say."""
        self.to_engine.end()

    def tear(self) -> None:
        self.to_engine.tear()
        self.to_client.tear()


class EngineEnd:
    """The engine's end of a line. `alive`: whether its process still is."""

    local = True

    def __init__(self, line: Line, alive: Callable[[], bool]) -> None:
        self._line = line
        self._alive = alive
        self.stopping = False
        self.on_stop: Callable[[], None] = lambda: None

    def patience(self, seconds: float) -> None:
        """Deadlines are the listener's affair."""

    async def receive(self, size: int) -> bytes:
        data = await self._line.to_engine.read(size)
        if data is None or not self._alive():
            raise Gone
        self._line.taken += len(data)
        return data

    async def send(self, data: bytes) -> None:
        if not self._alive() or not await self._line.to_client.write(data):
            raise Gone
        await trio.lowlevel.checkpoint()
