"""The other end of a stream, and a stream listener to be at the other end of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from api.intake.stream_listener import Stream
from api.listen import Address, bound, open_listeners
from tests.api.fakes import FakeEngine

LOOPBACK = Address(host="127.0.0.1", port=0)


def event(name: object) -> bytes:
    return json.dumps({"type": "track", "userId": "ann", "event": str(name)}).encode() + b"\n"


class Peer:
    """The other end: sends bytes, reads answers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self) -> Any:
        with trio.fail_after(20):
            while b"\n" not in self._buffer:
                data = await self.stream.receive_some()
                assert data, "closed"
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def rest(self) -> list[Any]:
        with trio.fail_after(5):
            async for data in self.stream:
                self._buffer += data
        return [json.loads(line) for line in self._buffer.splitlines()]

    async def acked(self, lines: int) -> None:
        while (answer := await self.answer()) != {"ack": lines}:
            assert answer["ack"] < lines


Connect = Callable[[], Awaitable[Peer]]


@asynccontextmanager
async def serving(
    engine: FakeEngine, address: Address = LOOPBACK, **options: Any
) -> AsyncIterator[tuple[Stream, Connect, Address]]:
    stream = Stream(engine.enqueue, **options)
    listeners = await open_listeners(address)
    where = bound(listeners[0])
    peers: list[Peer] = []

    async def connect() -> Peer:
        if where.is_unix:
            peers.append(Peer(await trio.open_unix_socket(where.path)))
        else:
            peers.append(Peer(await trio.open_tcp_stream(where.host, where.port)))
        return peers[-1]

    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: stream.serve(listeners, task_status=task_status))
            yield stream, connect, where
            nursery.cancel_scope.cancel()
    finally:
        for peer in peers:
            await peer.stream.aclose()
