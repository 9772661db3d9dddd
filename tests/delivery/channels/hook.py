"""A server that takes webhooks on 127.0.0.1, and a network in which every name leads to it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpcore
import msgspec
import trio

from engine.delivery.channels.webhook import Webhook
from engine.model import Effect

SECRET = b"a secret of thirty-two bytes, yes"
PUBLIC = "93.184.216.34"
NOW = 1_786_456_800.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Posted(msgspec.Struct):
    """One request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


Answer = bytes | Callable[[trio.abc.Stream], Any]


class Hook:
    """A server of webhooks, and the network around it.

    It gives `answers` in turn, the last one for ever; `posted` are the requests received. `dialled` lists the
    addresses that were connected to, all of which lead here.
    """

    def __init__(self, *answers: Answer, context: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers) or [OK]
        self.posted: list[Posted] = []
        self.dialled: list[tuple[str, int]] = []
        self.context = context
        self.port = 0
        self.refusing: set[str] = set()

    async def handle(self, stream: trio.abc.Stream) -> None:
        if self.context is not None:
            stream = trio.SSLStream(stream, self.context, server_side=True, https_compatible=True)
        async with stream:
            try:
                await self._converse(stream)
            except trio.BrokenResourceError:
                return  # a client may leave when it likes

    async def _converse(self, stream: trio.abc.Stream) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                if not (more := await stream.receive_some()):
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            while len(data) < int(headers["content-length"]):
                data += await stream.receive_some()
            body, data = data[: int(headers["content-length"])], data[int(headers["content-length"]) :]
            self.posted.append(Posted(first.split()[1], headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                await stream.send_all(answer)
                if b"close" in answer:
                    return
            else:
                await answer(stream)
                return

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        if host in self.refusing:
            raise httpcore.ConnectError("refused")
        return await httpcore.TrioBackend().connect_tcp("127.0.0.1", self.port, timeout)


@asynccontextmanager
async def hooked(hook: Hook) -> AsyncIterator[Hook]:
    """Run the server while the block runs."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    hook.port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, hook.handle, listeners))
        yield hook
        nursery.cancel_scope.cancel()


def resolver(**names: str | list[str]) -> Callable[[str, int], Any]:
    """Return a resolver that knows `names` (an underscore stands for a dot); other names have a public address."""

    async def resolve(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        found = names.get(host.replace(".", "_"), PUBLIC)
        return [found] if isinstance(found, str) else found

    return resolve


@asynccontextmanager
async def channel(hook: Hook, **settings: Any) -> AsyncIterator[Webhook]:
    """Return a channel in the network of `hook`."""
    given: dict[str, Any] = {
        "url": "http://example.com/hook",
        "secrets": [SECRET],
        "timeout_s": 5.0,
        "workers": 2,
        "resolve": resolver(),
        "dial": hook,
        "now": lambda: NOW,
    }
    made = Webhook(**given | settings)
    try:
        yield made
    finally:
        with trio.CancelScope(shield=True):
            await made.aclose()


def effect(**message: Any) -> Effect:
    """Return a message of the flow `welcome` to Ann."""
    return Effect(
        7, "welcome.1.hello.0", 1_786_400_000_000, "ann", "welcome", 1, 1, "hello", "webhook", None, message
    )
