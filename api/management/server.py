"""Server of the management API: hypercorn's HTTP/1.1 on trio, as one child of the engine's nursery.

The accept loop is here, the guard in `api.management.connection`; hypercorn contributes h11, the ASGI app, keep-alive
and the settings of TLS.

When all slots are taken, the connection that has been idle longest ends in favour of a new one, so a client with many
silent connections keeps no other client out.

A fault of the app reaches the nursery through `Alarm`: the client gets its 500, then the engine stops. A fault of a
connection, such as an exception of hypercorn over hostile bytes, ends that connection and is logged.

Rejected: hypercorn's own `serve`. It owns the nursery, has no cap on connections, and waits for ever for a client that
does not read its answer. It answers `Upgrade: h2c` with 101, and passes on a request with both `Content-Length` and
`Transfer-Encoding`, whose end is ambiguous (request smuggling).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper
from hypercorn.utils import wrap_app

from api.config import Address, ConfigError
from api.keys import Keys
from api.listen import bound, listening
from api.management.app import create_app
from api.management.connection import GRACE_S, Stream, WebConnection
from engine.limits import API_CONNECTIONS_MAX, API_HEADER_BYTES_MAX, API_IDLE_S

if TYPE_CHECKING:
    from engine.service import Service

ALARM_DELAY_S = 0.2
"""Delay between a fault and the stop, in which the 500 leaves."""

log = logging.getLogger("tidemill.web")


class Alarm:
    """Carrier of a fault from the app to the nursery that runs the engine. `ring` is the app's `on_bug`."""

    def __init__(self) -> None:
        self._rung = trio.Event()
        self._fault: BaseException | None = None

    def ring(self, fault: BaseException) -> None:
        """Remember the first fault; the process stops because of it."""
        log.error("a fault in the management API", exc_info=fault)
        if self._fault is None:
            self._fault = fault
        self._rung.set()

    async def watch(self) -> None:
        """Wait for a fault and raise it here."""
        await self._rung.wait()
        assert self._fault is not None
        await trio.sleep(ALARM_DELAY_S)
        raise self._fault


async def serve(
    service: Service,
    addresses: Sequence[Address],
    *,
    keys: Keys | None = None,
    certificate: tuple[str, str] | None = None,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `service` at `addresses` until cancelled; `task_status` reports the addresses that are bound.

    `keys` grant the scopes. `certificate`: the files of a certificate and of its private key, for the addresses with
    TLS. Raises ListenError and ConfigError before the start, and later any fault of the app.
    """
    alarm = Alarm()
    names = frozenset(address.host for address in addresses if address.host)
    app = create_app(service, on_bug=alarm.ring, keys=keys, names=names)
    config = _config(certificate)
    server = _Server(wrap_app(app, 0, "asgi"), config)
    context = tls_context(config) if any(address.tls for address in addresses) else None
    async with AsyncExitStack() as stack:
        listeners: list[_SlotListener] = []
        bound_addresses: list[Address] = []
        for address in addresses:
            for listener in await stack.enter_async_context(listening(address)):
                listeners.append(_SlotListener(listener, server.slots, context if address.tls else None))
                bound_addresses.append(msgspec.structs.replace(bound(listener), tls=address.tls))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alarm.watch)
            task_status.started(bound_addresses)
            await server.run(listeners)


def tls_context(config: Config) -> ssl.SSLContext:
    """Return hypercorn's context for the certificate of `config`. Raises ConfigError."""
    remedy = "Give `certfile` and `keyfile`: PEM files that this user can read and that belong together."
    try:
        context = config.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        detail = f"TLS cannot begin with {config.certfile} and {config.keyfile}: {error.strerror or error}."
        raise ConfigError("tls", detail, remedy=remedy) from error
    if context is None:
        raise ConfigError("tls", "An address says https:// and there is no certificate.", remedy=remedy)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _config(certificate: tuple[str, str] | None) -> Config:
    config = Config()
    config.keep_alive_timeout = API_IDLE_S
    config.read_timeout = API_IDLE_S
    config.h11_max_incomplete_size = API_HEADER_BYTES_MAX
    config.include_server_header = False
    config.errorlog = log
    config.alpn_protocols = ["http/1.1"]
    if certificate is not None:
        config.certfile, config.keyfile = certificate
    return config


class _Server:
    """Accept loop that passes each connection to hypercorn while there are slots."""

    def __init__(self, app: AppWrapper, config: Config) -> None:
        self.slots = _ConnectionSlots(API_CONNECTIONS_MAX)
        self._app = app
        self._config = config
        self._context = WorkerContext(None)
        self._stop = trio.Event()

    async def run(self, listeners: Sequence[_SlotListener]) -> None:
        async with trio.open_nursery() as nursery:
            connections = await nursery.start(self._hold_connections)
            try:
                await trio.serve_listeners(self._handle, list(listeners), handler_nursery=connections)
            finally:
                self._stop.set()

    async def _hold_connections(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """Hold a nursery for connections, which outlives the accept loop by GRACE_S."""
        async with trio.open_nursery() as connections:
            connections.cancel_scope.shield = True
            task_status.started(connections)
            await self._stop.wait()
            connections.cancel_scope.deadline = trio.current_time() + GRACE_S
            await self._context.terminated.set()

    async def _handle(self, stream: Stream) -> None:
        connection = WebConnection(self._app, self._config, self._context, stream, self.slots.set_idle)
        try:
            await connection.run()
        except Exception:
            log.exception("a connection failed")
            await trio.aclose_forcefully(stream)
        finally:
            self.slots.leave(connection)


class _ConnectionSlots:
    """Slots for connections. For one connection more, the one that is idle longest ends."""

    def __init__(self, count: int) -> None:
        self._free = trio.Semaphore(count)
        self._idle: dict[WebConnection, None] = {}
        self._ending: set[WebConnection] = set()

    async def take(self) -> None:
        """Wait for a slot for a connection that is about to be accepted."""
        if not self._free.value:
            self._make_room(1)
        await self._free.acquire()

    def give_back(self) -> None:
        """Release a slot whose connection could not be accepted."""
        self._free.release()

    def leave(self, connection: WebConnection) -> None:
        """Release the slot of a connection that has ended."""
        self._idle.pop(connection, None)
        self._ending.discard(connection)
        self._free.release()

    def set_idle(self, connection: WebConnection, idle: bool) -> None:
        """Note whether a connection waits for its next request; if so, it may have to make room."""
        self._idle.pop(connection, None)
        if idle:
            self._idle[connection] = None
            self._make_room(0)

    def _make_room(self, newcomers: int) -> None:
        """End idle connections, one for each task that waits for a slot and for each of `newcomers`."""
        while self._idle and self._free.statistics().tasks_waiting + newcomers > len(self._ending):
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._ending.add(oldest)
            oldest.end()


class _SlotListener(trio.abc.Listener[Stream]):
    """Listener that takes a slot before it accepts; the handler of the stream releases the slot."""

    def __init__(
        self, listener: trio.SocketListener, slots: _ConnectionSlots, context: ssl.SSLContext | None
    ) -> None:
        self.socket = listener.socket
        self._listener = listener
        self._slots = slots
        self._context = context

    async def accept(self) -> Stream:
        await trio.lowlevel.wait_readable(self.socket)
        await self._slots.take()
        try:
            stream = await self._listener.accept()
        except BaseException:
            self._slots.give_back()
            raise
        if self._context is None:
            return stream
        return trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)

    async def aclose(self) -> None:
        await self._listener.aclose()


__all__ = ["GRACE_S", "Alarm", "serve", "tls_context"]
