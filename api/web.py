"""Serving the management API: hypercorn's HTTP/1.1 on trio, as one child of the engine's nursery.

hypercorn's own `serve` is not used. It owns the nursery, has no cap on connections, lets a peer that does not
read its answer hold the process for ever, says 101 to `Upgrade: h2c`, and passes on a request with both
`Content-Length` and `Transfer-Encoding` (two readings of where it ends: request smuggling). So the accept
loop and the guard are here, and hypercorn does what it does well: h11, the ASGI app, keep-alive.

A fault of the app reaches the nursery through `Alarm`: the peer has its 500, then the engine stops. A fault
of a connection (whatever hypercorn makes of hostile bytes) ends that connection, and is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import msgspec
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app

from api.app import create_app
from api.config import Address
from api.listen import bound, listening
from api.problems import MEDIA_TYPE, ProblemAnswer
from engine.limits import API_ANSWER_S, API_CONNECTIONS_MAX, API_HEADER_BYTES_MAX, API_IDLE_S

if TYPE_CHECKING:
    from engine.service import Service

GRACE_S = 3.0
"""What requests in progress have left when the engine stops."""
ALARM_DELAY_S = 0.2
"""Between a fault and the stop: the 500 that tells its peer leaves meanwhile."""

log = logging.getLogger("tidemill.web")


class Alarm:
    """Carries a fault of the app to the nursery that runs the engine. `ring` is the app's `on_bug`."""

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
    write_keys: Sequence[str] = (),
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `service` at `addresses` until cancelled; started with where it really listens.

    Raises ListenError before that, and afterwards whatever fault the app met.
    """
    alarm = Alarm()
    names = frozenset(address.host for address in addresses if address.host)
    app = create_app(service, on_bug=alarm.ring, write_keys=write_keys, names=names)
    server = _Server(wrap_app(app, 0, "asgi"))
    async with AsyncExitStack() as stack:
        listeners: list[trio.SocketListener] = []
        for address in addresses:
            listeners += await stack.enter_async_context(listening(address))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alarm.watch)
            task_status.started([bound(listener) for listener in listeners])
            await server.run(listeners)


class _Server:
    """Accepts connections, at most API_CONNECTIONS_MAX at once, and gives each to hypercorn."""

    def __init__(self, app: AppWrapper) -> None:
        self._app = app
        self._config = _config()
        self._context = WorkerContext(None)
        self._slots = trio.Semaphore(API_CONNECTIONS_MAX)
        self._stop = trio.Event()

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        capped = [_Capped(listener, self._slots) for listener in listeners]
        async with trio.open_nursery() as nursery:
            connections = await nursery.start(self._hold_connections)
            try:
                await trio.serve_listeners(self._handle, capped, handler_nursery=connections)
            finally:
                self._stop.set()

    async def _hold_connections(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """A nursery for connections that outlives the accept loop by GRACE_S."""
        async with trio.open_nursery() as connections:
            connections.cancel_scope.shield = True
            task_status.started(connections)
            await self._stop.wait()
            connections.cancel_scope.deadline = trio.current_time() + GRACE_S
            await self._context.terminated.set()

    async def _handle(self, stream: trio.SocketStream) -> None:
        try:
            connection = _Connection(self._app, self._config, self._context, {}, stream)  # type: ignore[arg-type]
            await connection.run()
        except Exception:
            log.exception("a connection failed")
            await trio.aclose_forcefully(stream)
        finally:
            self._slots.release()


def _config() -> Config:
    config = Config()
    config.keep_alive_timeout = API_IDLE_S
    config.read_timeout = API_IDLE_S
    config.h11_max_incomplete_size = API_HEADER_BYTES_MAX
    config.include_server_header = False
    config.errorlog = log
    return config


class _Capped(trio.abc.Listener[trio.SocketStream]):
    """A listener that accepts only while there is a slot; whoever handles the stream gives it back."""

    def __init__(self, listener: trio.SocketListener, slots: trio.Semaphore) -> None:
        self.socket = listener.socket
        self._listener = listener
        self._slots = slots

    async def accept(self) -> trio.SocketStream:
        await self._slots.acquire()
        try:
            return await self._listener.accept()
        except BaseException:
            self._slots.release()
            raise

    async def aclose(self) -> None:
        await self._listener.aclose()


class _Connection(TCPServer):
    """hypercorn's connection without TLS and HTTP/2, ended as a whole when its peer does not take its answer.

    (hypercorn tells the app only. Where the peer has sent further requests ahead, the connection then waits for
    ever for an answer to end that has ended already.)
    """

    async def run(self) -> None:
        with trio.CancelScope() as self._whole:
            try:
                await self._converse()
            except OSError as error:
                log.debug("a connection broke: %s", error)
            finally:
                await self._close()

    async def _converse(self) -> None:
        socket = self.stream.socket
        async with TaskGroup() as task_group:
            self._task_group = task_group
            self.protocol = _Guarded(  # type: ignore[assignment]
                self.app,
                self.config,
                self.context,
                task_group,
                ConnectionState(self.state),
                False,
                parse_socket_addr(socket.family, socket.getpeername()),
                parse_socket_addr(socket.family, socket.getsockname()),
                self.protocol_send,
            )
            await self.protocol.initiate()
            await self.idle_task.restart(task_group, self._idle_timeout)
            await self._read_data()
            await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send(event.data)
            return
        # Quart cancels the task that sends this when its answer is complete; what has to follow must happen all
        # the same: the idle timer starts, or the connection is closed.
        with trio.move_on_after(GRACE_S, shield=True):
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                with trio.fail_after(API_ANSWER_S):
                    await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                self._whole.cancel()


class _Guarded(H11Protocol):
    """h11 under guard: what has two readings, or wants another protocol, is refused before the app."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """hypercorn would switch to HTTP/2 here."""

    async def _create_stream(self, request: h11.Request) -> None:
        refusal = guard(request)
        if refusal is None:
            await super()._create_stream(request)
        else:
            await self._refuse(refusal)

    async def _refuse(self, refusal: ProblemAnswer) -> None:
        body = msgspec.json.encode(refusal)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self._send_h11_event(h11.Response(status_code=refusal.status, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
        await self.send(Closed())


def guard(request: h11.Request) -> ProblemAnswer | None:
    """Why a request is not passed on to the app, or None."""
    names = {name.lower() for name, _ in request.headers}
    if b"content-length" in names and b"transfer-encoding" in names:
        return _refusal(400, "ambiguous_length", "Content-Length and Transfer-Encoding exclude each other.")
    if b"upgrade" in names or request.http_version not in (b"1.0", b"1.1"):
        return _refusal(400, "no_upgrade", "HTTP/1.1 is spoken here and nothing else; leave out Upgrade.")
    size = len(request.target) + sum(len(name) + len(value) for name, value in request.headers)
    if size > API_HEADER_BYTES_MAX:
        detail = f"Path and headers have at most {API_HEADER_BYTES_MAX} bytes together."
        return _refusal(431, "head_too_large", detail)
    return None


def _refusal(status: int, code: str, detail: str) -> ProblemAnswer:
    return ProblemAnswer("about:blank", HTTPStatus(status).phrase, status, detail, code)


__all__ = ["Alarm", "guard", "serve"]
