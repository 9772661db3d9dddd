"""The network as webhooks see it: a name is resolved once, its addresses are checked, and one of those is connected to.

httpcore asks us for a connection to the host of the URL and does the rest by that name: the Host header, TLS with its
SNI and the certificate's name. What we give it is connected to the address that we have checked, so there is no second
look-up in between that somebody's name server could answer otherwise.

Names are resolved by the system, in threads of their own number: a resolver that hangs must not take the threads in
which the journal is committed.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import trio

from engine.delivery.channels.target import Guard
from engine.limits import WEBHOOK_ADDRESSES_MAX, WEBHOOK_CONNECT_S
from engine.tuning import WEBHOOK_RESOLVERS_MAX

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name, in the order to try them. Raises OSError."""


class SystemResolver:
    """Asks the system. At most WEBHOOK_RESOLVERS_MAX questions are open at once; who waits may give up."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(WEBHOOK_RESOLVERS_MAX)

    async def __call__(self, host: str, port: int) -> list[str]:
        return await trio.to_thread.run_sync(
            _addresses, host, port, abandon_on_cancel=True, limiter=self._limiter
        )


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to what `guard` lets through, and to nothing else."""

    def __init__(
        self,
        guard: Guard,
        *,
        resolve: Resolve | None = None,
        dial: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._guard = guard
        self._resolve = resolve or SystemResolver()
        self._dial = dial or httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """To the first address that answers. Raises TargetError where none may be connected to."""
        addresses = self._guard.check(host, port, await self._resolve(host, port))
        failed: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in addresses[:WEBHOOK_ADDRESSES_MAX]:
            try:
                return await self._dial.connect_tcp(
                    address, port, WEBHOOK_CONNECT_S, local_address, socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failed = error
        assert failed is not None, "there is an address"
        raise failed

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
