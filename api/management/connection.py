"""Connection of the management API: hypercorn's, with stricter rules.

Requests that are ambiguous (`Content-Length` beside `Transfer-Encoding`: request smuggling) or want another protocol
(`Upgrade: h2c`) are refused before the app. A client that does not read its answer is disconnected. TLS is hypercorn's
context on trio's stream; HTTP/2 is not offered there either.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
import msgspec
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from api.management.problems import MEDIA_TYPE, ProblemAnswer
from engine.limits import API_ANSWER_S, API_HANDSHAKE_S, API_HEADER_BYTES_MAX

GRACE_S = 3.0
"""Time that requests in progress may take when the engine stops."""

log = logging.getLogger("tidemill.web")

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class WebConnection(TCPServer):
    """Connection of hypercorn without HTTP/2, which ends as a whole when the client does not read its answer.

    hypercorn alone informs only the app. If the client has sent further requests ahead, the connection then waits
    for ever for the end of an answer that has ended already.

    `on_idle(self, idle)` is called with False whenever a request begins, and with True when the connection waits
    for one.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: Stream,
        on_idle: Callable[[WebConnection, bool], None],
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]
        self._on_idle = on_idle
        self._whole = trio.CancelScope()

    def end(self) -> None:
        """Close the connection immediately."""
        self._whole.cancel()

    async def run(self) -> None:
        with self._whole:
            try:
                if isinstance(self.stream, trio.SSLStream):
                    self._on_idle(self, True)
                    with trio.fail_after(API_HANDSHAKE_S):
                        await self.stream.do_handshake()
                await self._converse()
            except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                log.debug("a connection broke: %s", error)
            finally:
                await self._close()

    async def _converse(self) -> None:
        encrypted = isinstance(self.stream, trio.SSLStream)
        socket = self.stream.transport_stream.socket if encrypted else self.stream.socket
        async with TaskGroup() as task_group:
            self._task_group = task_group
            self.protocol = _Guarded(  # type: ignore[assignment]
                self.app,
                self.config,
                self.context,
                task_group,
                ConnectionState(self.state),
                encrypted,
                parse_socket_addr(socket.family, socket.getpeername()),
                parse_socket_addr(socket.family, socket.getsockname()),
                self.protocol_send,
            )
            await self.protocol.initiate()
            await self.idle_task.restart(task_group, self._idle_timeout)
            self._on_idle(self, True)
            await self._read_data()
            await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send(event.data)
            return
        if isinstance(event, Updated):
            self._on_idle(self, event.idle)
        # Quart cancels the task that sends this when its answer is complete. The next step must happen all the same:
        # the idle timer starts, or the connection is closed.
        with trio.move_on_after(GRACE_S, shield=True):
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                with trio.fail_after(API_ANSWER_S):
                    await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                self._whole.cancel()


class _Strict(h11.Connection):
    """h11 without its leniency about heads: lines that end in a bare feed, and lines that continue in the next one.

    A proxy in front may see other headers there than we do, so both are refused.
    """

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is h11.IDLE:
            head = self.trailing_data[0]
            end = _END_OF_HEAD.search(head)
            if _AMBIGUOUS.search(head, 0, end.end() if end else len(head)):
                raise h11.RemoteProtocolError("a line of the head is ambiguous", 400)
        return super().next_event()


_END_OF_HEAD = re.compile(rb"\n\r?\n")
_AMBIGUOUS = re.compile(rb"(?<!\r)\n|\n[ \t]")


class _Guarded(H11Protocol):
    """h11 that refuses ambiguous requests, and requests for another protocol, before the app."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connection = _Strict(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Keep the protocol; hypercorn would switch to HTTP/2 here."""

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
    """Return the refusal of a request that must not reach the app, or None."""
    names = {name.lower() for name, _ in request.headers}
    if b"content-length" in names and b"transfer-encoding" in names:
        return _refusal(400, "ambiguous_length", "Content-Length and Transfer-Encoding exclude each other.")
    if b"upgrade" in names or request.http_version not in (b"1.0", b"1.1"):
        return _refusal(400, "no_upgrade", "Only HTTP/1.1 is supported; leave out Upgrade.")
    if request.method == b"CONNECT":
        return _refusal(400, "no_tunnel", "CONNECT is not supported.")
    size = len(request.target) + sum(len(name) + len(value) for name, value in request.headers)
    if size > API_HEADER_BYTES_MAX:
        detail = f"Path and headers have at most {API_HEADER_BYTES_MAX} bytes together."
        return _refusal(431, "head_too_large", detail)
    return None


def _refusal(status: int, code: str, detail: str) -> ProblemAnswer:
    return ProblemAnswer("about:blank", HTTPStatus(status).phrase, status, detail, code)


__all__ = ["WebConnection", "guard"]
