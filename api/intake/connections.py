"""The accepted connections of a listener: a cap, deadlines, and an orderly end.

A deadline per read would cost a cancel scope per request (5 of 22 µs). Instead a connection notes when its
patience ends, a number, and one task looks at all of them every second: deadlines are late by at most that.

`stop()` ends accepting at once and asks every connection to finish what it has taken; after `INTAKE_STOP_S`
the rest is cut off. Cutting off is safe: what was not acknowledged is sent again.

An unexpected exception of a handler is ours and stops the process; a peer that breaks off is none.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable

import trio

from api.listen import is_local
from engine.limits import INTAKE_CONNECTIONS_MAX, INTAKE_STOP_S

SWEEP_S = 1.0
LINGER_S = 1.0
LINGER_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES = 64 * 1024


class Gone(Exception):
    """The peer has broken off: reset, closed, or not reachable any more."""


class Connection:
    """One accepted socket. `deadline` is a time of `trio.current_time()`; the handler moves it as it goes.

    `on_stop` is called once when the listener stops; until the handler sets its own, the connection is cut.
    `idle()` says whether it waits for its next request, and may be ended to make room for another.

    The socket is a plain one that does not block, and waits with `trio.lowlevel`: trio's own sockets try to
    read before they wait and yield after every write, a quarter of what a small request costs.
    """

    __slots__ = ("deadline", "idle", "key", "local", "on_stop", "scope", "socket", "stopping")

    def __init__(self, stream: trio.SocketStream) -> None:
        self.local = is_local(stream)
        self.key: str | None = (
            None  # what it was let in by for good ("" without one); None: not yet, or not for good
        )
        self.socket = socket.socket(fileno=stream.socket.detach())
        self.socket.setblocking(False)
        self.scope = trio.CancelScope()
        self.deadline = math.inf
        self.on_stop: Callable[[], None] = self.scope.cancel
        self.idle: Callable[[], bool] = lambda: False
        self.stopping = False

    def patience(self, seconds: float) -> None:
        """Cut the connection unless the deadline is moved within `seconds`."""
        self.deadline = trio.current_time() + seconds

    async def receive(self, size: int) -> bytes:
        """Return what has arrived, at most `size` bytes; b"" once the peer has ended its side. Raises Gone."""
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            try:
                return self.socket.recv(size)
            except BlockingIOError:
                continue  # it was readable and is not any more
            except OSError as error:
                raise Gone from error

    async def send(self, data: bytes) -> None:
        """Send all of it; yields only where it has to wait. Raises Gone."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.socket)
            except OSError as error:
                raise Gone from error

    async def part(self) -> None:
        """Close so that the peer can still read our last words: closing a socket with unread bytes in it
        resets the connection, and a reset may overtake what was sent before it. Raises Gone."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Gone from error
        left = LINGER_BYTES_MAX
        with trio.move_on_after(LINGER_S):
            while left > 0 and (data := await self.receive(READ_BYTES)):
                left -= len(data)


Handler = Callable[[Connection], Awaitable[None]]


class Connections:
    """Serves the connections of some listeners with one handler.

    `refused` is what a connection beyond `connections_max` is told before it is closed.
    """

    def __init__(
        self, handler: Handler, *, refused: bytes, connections_max: int = INTAKE_CONNECTIONS_MAX
    ) -> None:
        self._handler = handler
        self._refused = refused
        self._connections_max = connections_max
        self._open: set[Connection] = set()
        self._accepting = trio.CancelScope()
        self._accepted_total = 0
        self._refused_total = 0
        self._stopping = False

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop()`, and then until the connections have ended. Closes the listeners."""
        async with trio.open_nursery() as sweeping:
            sweeping.start_soon(self._sweep)
            async with trio.open_nursery() as handling:
                with self._accepting:
                    await trio.serve_listeners(
                        self._welcome, listeners, handler_nursery=handling, task_status=task_status
                    )
                handling.cancel_scope.deadline = trio.current_time() + INTAKE_STOP_S
            sweeping.cancel_scope.cancel()

    def stop(self) -> None:
        """Accept nothing more, finish what was taken. Idempotent; `serve` returns when all is done."""
        if self._stopping:
            return
        self._stopping = True
        self._accepting.cancel()
        for connection in tuple(self._open):
            connection.stopping = True
            connection.on_stop()

    def open(self) -> tuple[Connection, ...]:
        """Count of the connections served now."""
        return tuple(self._open)

    def statistics(self) -> dict[str, int]:
        """Return `open` now; `accepted` and `refused` (beyond the cap) since the start."""
        return {"open": len(self._open), "accepted": self._accepted_total, "refused": self._refused_total}

    async def _welcome(self, stream: trio.SocketStream) -> None:
        connection = Connection(stream)
        try:
            with connection.scope:
                if self._stopping or (len(self._open) >= self._connections_max and not self._made_room()):
                    self._refused_total += 1
                    await connection.send(self._refused)
                    await connection.part()
                    return
                self._accepted_total += 1
                self._open.add(connection)
                await self._handler(connection)
        except Gone:
            return  # the peer went away; there is nobody left to tell
        finally:
            self._open.discard(connection)
            connection.socket.close()

    def _made_room(self) -> bool:
        """Whether the connection that is idle longest, if one is, was ended for a new one."""
        idle = [connection for connection in self._open if connection.idle()]
        if not idle:
            return False
        oldest = min(idle, key=lambda connection: connection.deadline)
        self._open.discard(oldest)
        oldest.scope.cancel()
        return True

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_S)
            now = trio.current_time()
            for connection in tuple(self._open):
                if connection.deadline < now:
                    connection.scope.cancel()
