"""Connections without sockets: bytes in two directions, cut anywhere, late, or lost when the line breaks.

A `SimulatedConnection` has a client's end and the engine's: a `Socket`, which does what the listeners of `api` ask of
a non-blocking socket. `Net` is the machine of the engine: its listeners, descriptors, and the wait for them.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from select import EPOLLIN
from typing import Any

import trio

from api.config import Address

CAPACITY_BYTES = 4_096
"""Bytes that a connection holds in one direction; a sender of more waits."""


class Broken(Exception):
    """The connection is broken, seen from the client's side."""


class Pipe:
    """One direction of a connection. After `end` its bytes can still be read; `tear` loses a random part of them."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._held = bytearray()
        self._ended = self._torn = False
        self._change = trio.Event()
        self.on_change: Callable[[], None] = lambda: None
        """A callback at every change."""

    def _ring(self) -> None:
        self._change.set()
        self._change = trio.Event()
        self.on_change()

    @property
    def readable(self) -> bool:
        return bool(self._held) or self._ended or self._torn

    @property
    def writable(self) -> bool:
        return len(self._held) < CAPACITY_BYTES or self._ended or self._torn

    async def write(self, data: bytes) -> bool:
        """Whether all bytes went in."""
        while data:
            while not self.writable:
                await self._change.wait()
            if self._torn or self._ended:
                return False
            data = data[self.put(data) :]
        return True

    def put(self, data: bytes | memoryview) -> int:
        """Put bytes in and return how many; raise the errors of a socket."""
        if self._torn or self._ended:
            raise BrokenPipeError
        if not self.writable:
            raise BlockingIOError
        part = bytes(data[: CAPACITY_BYTES - len(self._held)])
        self._held += part
        self._ring()
        return len(part)

    async def read(self, size: int) -> bytes | None:
        """Take some of the available bytes; b"" after the end, None after a break."""
        while not self.readable:
            await self._change.wait()
        try:
            return self.take(size)
        except ConnectionResetError:
            return None

    def take(self, size: int) -> bytes:
        """Take some of the available bytes; b"" after the end. Raise the errors of a socket."""
        if not self.readable:
            raise BlockingIOError
        if not self._held:
            if self._torn:
                raise ConnectionResetError
            return b""
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


class SimulatedConnection:
    """A connection from a client to the engine."""

    def __init__(self, chance: Random) -> None:
        self.to_engine, self.to_client = Pipe(chance), Pipe(chance)
        self.taken = 0
        """Bytes that the engine has read."""

    async def send(self, data: bytes) -> None:
        if not await self.to_engine.write(data):
            raise Broken

    async def receive(self) -> bytes:
        """Read some bytes; b"" when the engine has ended. Raise Broken."""
        data = await self.to_client.read(65_536)
        if data is None:
            raise Broken
        return data

    def end(self) -> None:
        """End the client's side of the connection."""
        self.to_engine.end()

    def tear(self) -> None:
        self.to_engine.tear()
        self.to_client.tear()


class Socket:
    """The engine's end of a connection, in the form that `trio.SocketListener` would accept."""

    family = socket.AF_INET

    def __init__(self, net: Net, line: SimulatedConnection, peer: str) -> None:
        self._net, self._line, self._peer = net, line, peer
        self._number = net.register(self)
        line.to_engine.on_change = line.to_client.on_change = self._ring
        self.socket = self
        self.on_change: Callable[[], None] = lambda: None
        self.change = trio.Event()

    def _ring(self) -> None:
        self.change.set()
        self.change = trio.Event()
        self.on_change()

    @property
    def readable(self) -> bool:
        return self._line.to_engine.readable

    @property
    def writable(self) -> bool:
        return self._line.to_client.writable

    def fileno(self) -> int:
        return self._number

    detach = fileno

    def getpeername(self) -> tuple[str, int]:
        return self._peer, 40_000 + self._number

    def setblocking(self, blocking: bool) -> None:
        assert not blocking, "a listener never blocks the loop"

    def setsockopt(self, *option: int) -> None:
        """Ignore options of sockets."""

    def recv(self, size: int) -> bytes:
        self._net.require()
        data = self._line.to_engine.take(size)
        self._line.taken += len(data)
        return data

    def send(self, data: bytes | memoryview) -> int:
        self._net.require()
        return self._line.to_client.put(data)

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self._line.to_client.end()

    def close(self) -> None:
        """Close this end: sent bytes can still be read, and the peer's further sends fail."""
        self._line.to_client.end()
        self._line.to_engine.tear()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Epoll:
    """A substitute of `select.epoll` over such sockets: level-triggered, and itself a thing to wait for."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._watched: dict[int, Socket] = {}
        self._number = net.register(self)
        self.change = trio.Event()

    def _ring(self) -> None:
        self.change.set()
        self.change = trio.Event()

    @property
    def readable(self) -> bool:
        return any(one.readable for one in self._watched.values())

    def fileno(self) -> int:
        return self._number

    def register(self, number: int, events: int) -> None:
        assert events == EPOLLIN
        one = self._net.sockets[number]
        assert isinstance(one, Socket)
        self._watched[number] = one
        one.on_change = self._ring
        self._ring()

    def unregister(self, number: int) -> None:
        self._watched.pop(number).on_change = lambda: None

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        assert timeout == 0
        return [(number, EPOLLIN) for number, one in self._watched.items() if one.readable][:most]

    def close(self) -> None:
        self._watched.clear()


class Listener(trio.abc.Listener[Any]):
    """A listener that yields connections as they arrive."""

    def __init__(self, accepted: trio.MemoryReceiveChannel[Socket]) -> None:
        self._accepted = accepted

    async def accept(self) -> Any:
        return await self._accepted.receive()

    async def aclose(self) -> None:
        self._accepted.close()
        await trio.lowlevel.checkpoint()


class Net:
    """The network as the engine's machine sees it. `require` raises in a process that has ended."""

    def __init__(self, chance: Random, require: Callable[[], None]) -> None:
        self._chance = chance
        self.require = require
        self.sockets: dict[int, Socket | Epoll] = {}
        self._lines: list[SimulatedConnection] = []
        self._doors: dict[int, trio.MemorySendChannel[Socket]] = {}
        self._numbers = 0

    def register(self, one: Socket | Epoll) -> int:
        self._numbers += 1
        self.sockets[self._numbers] = one
        return self._numbers

    def connect(self, port: int, peer: str) -> SimulatedConnection | None:
        """Open a connection; None where no listener is bound."""
        door = self._doors.get(port)
        if door is None:
            return None
        line = SimulatedConnection(self._chance)
        try:
            door.send_nowait(Socket(self, line, peer))
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):
            return None
        self._lines.append(line)
        return line

    def hang_up(self) -> None:
        """Break all connections, because the process has ended."""
        for line in self._lines:
            line.tear()
        self._lines.clear()
        self._doors.clear()
        self.sockets.clear()

    # What takes the place of what the engine knows

    @asynccontextmanager
    async def listening(self, address: Address) -> AsyncIterator[list[Listener]]:
        send, receive = trio.open_memory_channel[Socket](100)
        self._doors[address.port] = send
        try:
            yield [Listener(receive)]
        finally:
            receive.close()

    def socket(self, fileno: int) -> Socket:
        found = self.sockets[fileno]
        assert isinstance(found, Socket)
        return found

    def epoll(self) -> Epoll:
        return Epoll(self)

    async def wait_readable(self, one: Any) -> None:
        await trio.lowlevel.checkpoint()
        waited = self.sockets[one if isinstance(one, int) else one.fileno()]
        while not waited.readable:
            await waited.change.wait()

    async def wait_writable(self, one: Socket) -> None:
        await trio.lowlevel.checkpoint()
        while not one.writable:
            await one.change.wait()
