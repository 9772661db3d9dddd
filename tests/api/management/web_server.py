"""The management server on free ports, and raw requests to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from api.config import Address, parse_address
from api.management import server
from engine.service import Service

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def serving(service: Service, *addresses: str) -> AsyncIterator[list[Address]]:
    """Run the server as a child of a nursery, which is cancelled at the end."""
    wanted = [parse_address(address) for address in addresses or ("127.0.0.1:0",)]
    async with trio.open_nursery() as nursery:
        yield await nursery.start(server.serve, service, wanted)
        nursery.cancel_scope.cancel()


async def connect(address: Address) -> trio.SocketStream:
    if address.is_unix:
        return await trio.open_unix_socket(address.path)
    return await trio.open_tcp_stream(address.host, address.port)


async def ask(address: Address, request: bytes) -> bytes:
    """Send a request. Return all bytes until the server closes, or one whole answer."""
    stream = await connect(address)
    async with stream:
        await stream.send_all(request)
        return await answer_on(stream)


async def answer_on(stream: trio.SocketStream) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        more = await stream.receive_some()
        if not more:
            return got
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line
    ]
    while len(body) < length:
        body += await stream.receive_some()
    return head + b"\r\n\r\n" + body
