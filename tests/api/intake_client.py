"""An HTTP client that speaks just enough to see what the intake does, and an intake to speak to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from api.intake.http_listener import Intake
from api.listen import Address, bound, open_listeners
from tests.api.fakes import FakeEngine

LOOPBACK = Address(host="127.0.0.1", port=0)


class IntakeClient:
    """Speaks just enough HTTP to read one answer after the other."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def post(self, path: str, body: bytes, *headers: str) -> tuple[int, Any]:
        await self.send(request(path, body, *headers))
        status, _, answer = await self.answer()
        return status, answer

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        with trio.fail_after(5):
            while b"\r\n\r\n" not in self._buffer:
                await self._more()
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines)
            length = int(fields.get("Content-Length", "0"))
            while len(self._buffer) < length:
                await self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(first.split()[1]), fields, json.loads(body) if body else None

    async def rest(self) -> bytes:
        with trio.fail_after(5):
            async for data in self.stream:
                self._buffer += data
        return self._buffer

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        assert data, f"closed after {self._buffer!r}"
        self._buffer += data


def request(path: str, body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def track(name: str) -> bytes:
    return request("/v1/track", json.dumps({"userId": "ann", "event": name}).encode())


@asynccontextmanager
async def serving(
    engine: FakeEngine, address: Address = LOOPBACK, **options: Any
) -> AsyncIterator[tuple[Intake, Callable[[], Awaitable[IntakeClient]]]]:
    intake = Intake(engine.enqueue, **options)
    listeners = await open_listeners(address)
    where = bound(listeners[0])
    clients: list[IntakeClient] = []

    async def connect() -> IntakeClient:
        if where.is_unix:
            stream = await trio.open_unix_socket(where.path)
        else:
            stream = await trio.open_tcp_stream(where.host, where.port)
        clients.append(IntakeClient(stream))
        return clients[-1]

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: intake.serve(listeners, task_status=task_status))
        yield intake, connect
        nursery.cancel_scope.cancel()
    for client in clients:
        await client.stream.aclose()
