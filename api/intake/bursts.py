"""The common request at a third of its price: all connections that have one are read, taken and answered together.

A task per connection costs 15 µs a read: trio's checkpoint, its epoll, a wake-up. Here the connections that wait for
their next request stand in one epoll, which is itself what one task waits for (an epoll is readable when something
in it is). What a look at it brings is a burst: each socket is read once, the messages are decoded in one call and
queued as one submission, and when that is durable all answers leave. Nobody waits for a burst to fill.

Only requests that come whole, with one plain message, are taken here; everything else (a body in pieces, a batch,
a refusal, a request that ends its connection) is left to the connection's own task, which reads by itself until it
is between two requests again. A connection is in one hand at a time, so its answers keep their order:

    own task ── stand_by ─▶ in the epoll ── a plain request ─▶ in a burst ─▶ in the epoll …
        ▲                        │                                │
        └──────── the rest: exchanges, the end, an answer that does not fit the socket

Rejected: edge-triggered events and EPOLLONESHOT. The one wants sockets read until they are empty, the other costs a
system call per request; taking a connection out of the epoll if it speaks before its answer costs nothing to those
that do not.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Sequence

import msgspec
import trio

from api.intake.connections import Connection
from api.intake.enqueue import Enqueue
from api.intake.head_cache import Familiar
from api.intake.http1 import Exchange, Http1
from api.intake.segment_api import SUCCESS, Reception, Response, unavailable
from engine.errors import Unavailable
from engine.limits import INTAKE_IDLE_S
from engine.tuning import STREAM_READ_BYTES

READ_BYTES = 16 * 1024
"""A request that is longer is left to its connection's task after the first read."""
BURST_BYTES_MAX = STREAM_READ_BYTES
"""Read no further sockets beyond: the loop is held for one burst at a time."""
SOCKETS_MAX = 256


class Left(msgspec.Struct, frozen=True):
    """The work that a burst leaves to a connection's own task."""

    exchanges: Sequence[Exchange] = ()
    """Complete requests to answer; of another a part may have been read."""
    unsent: bytes = b""
    """To be sent first."""
    ended: bool = False
    """Nothing more comes, and nothing is to be said: the peer has gone."""


class Talk:
    """A connection and its parser. `standing_by`: between two requests, in the epoll, in nobody's hand."""

    __slots__ = ("_call", "_left", "connection", "fd", "held_bytes", "http", "standing_by", "watched")

    def __init__(self, connection: Connection, http: Http1) -> None:
        self.connection = connection
        self.http = http
        self.fd = connection.socket.fileno()
        self.held_bytes = 0
        self.standing_by = False
        self.watched = False
        self._left = Left()
        self._call = trio.Event()

    def stop(self) -> None:
        """Stop: connections without a request are not waited for."""
        if self.standing_by:
            self.connection.scope.cancel()

    def leave(self, left: Left) -> None:
        """Give the connection back to its own task."""
        self._left = left
        self._call.set()

    async def left(self) -> Left:
        """Wait for work that a burst leaves to this connection."""
        await self._call.wait()
        self._call = trio.Event()
        return self._left


class Bursts:
    """Reads the connections that stand by. `encode(answer, last)` gives the bytes of an answer, `hold(n)` is told of
    bytes of bodies held and (negative) let go."""

    def __init__(
        self,
        reception: Reception,
        enqueue: Enqueue,
        *,
        encode: Callable[[Response, bool], bytes],
        hold: Callable[[int], None],
    ) -> None:
        self._reception = reception
        self._enqueue = enqueue
        self._encode = encode
        self._hold = hold
        self._poll = select.epoll()
        self._talks: dict[int, Talk] = {}
        self._familiar = {True: Familiar(), False: Familiar()}
        self.requests = 0
        reception.keys.on_change.append(self._forget)

    async def run(self) -> None:
        """Run until cancelled. Bursts in flight are dropped then, so end the connections first."""
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(self._poll.fileno())
                if burst := self._read():
                    nursery.start_soon(self._settle, burst)

    def _forget(self) -> None:
        for familiar in self._familiar.values():
            familiar.forget()

    def close(self) -> None:
        """Close, once no connection is idle any more."""
        self._poll.close()

    async def stand_by(self, talk: Talk) -> Left:
        """Read and answer what comes; returns, with the connection out of the epoll, for what we cannot do."""
        assert talk.http.idle, "a connection stands by between two requests"
        talk.connection.patience(INTAKE_IDLE_S)
        self._talks[talk.fd] = talk
        try:
            self._watch(talk)
            return await talk.left()
        finally:
            self._ignore(talk)
            talk.standing_by = False
            del self._talks[talk.fd]

    def _watch(self, talk: Talk) -> None:
        talk.standing_by = True
        if not talk.watched:
            self._poll.register(talk.fd, select.EPOLLIN)
            talk.watched = True

    def _ignore(self, talk: Talk) -> None:
        if talk.watched:
            self._poll.unregister(talk.fd)
            talk.watched = False

    def _read(self) -> list[tuple[Talk, bytes, str]]:
        """Read the sockets that have something: connections, messages and their kinds."""
        burst: list[tuple[Talk, bytes, str]] = []
        size = 0
        for fd, _ in self._poll.poll(0, SOCKETS_MAX):
            talk = self._talks[fd]
            if not talk.standing_by:
                self._ignore(talk)  # it speaks, or goes, before it is answered
                continue
            try:
                data = talk.connection.socket.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            talk.standing_by = False
            if not data:
                talk.leave(Left(ended=True))
                continue
            exchanges = self._familiar[talk.connection.local].feed(talk.http, data)
            kind = self._kind_of(exchanges) if talk.http.idle else None
            if kind is None:
                talk.leave(Left(exchanges))
                continue
            talk.connection.deadline = math.inf
            burst.append((talk, exchanges[0].body, kind))
            size += len(data)
            if size > BURST_BYTES_MAX:
                break
        return burst

    def _kind_of(self, exchanges: Sequence[Exchange]) -> str | None:
        """Return the kind of message, if there is one request that a burst can take."""
        if len(exchanges) != 1 or exchanges[0].refused is not None or exchanges[0].last:
            return None
        return self._reception.kind_of_single(exchanges[0].head)

    async def _settle(self, burst: list[tuple[Talk, bytes, str]]) -> None:
        """Queue a burst, and answer once it is durable."""
        size = sum(len(body) for _, body, _ in burst)
        self._hold(size)
        decoded, answers = self._reception.receive_each([(body, kind) for _, body, kind in burst])
        try:
            if decoded.inputs:
                await (await self._enqueue(decoded)).wait()
        except Unavailable as error:
            answers = [unavailable(error) if answer is SUCCESS else answer for answer in answers]
        finally:
            self._hold(-size)
        self.requests += len(burst)
        deadline = trio.current_time() + INTAKE_IDLE_S
        for (talk, _, _), answer in zip(burst, answers, strict=True):
            if self._talks.get(talk.fd) is talk:  # else it was cut off meanwhile
                self._answer(talk, answer, deadline)

    def _answer(self, talk: Talk, answer: Response, deadline: float) -> None:
        connection = talk.connection
        data = self._encode(answer, connection.stopping)
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            talk.leave(Left(ended=True))
            return
        if sent < len(data) or connection.stopping:
            talk.leave(Left(unsent=data[sent:]))
            return
        connection.deadline = deadline
        self._watch(talk)
