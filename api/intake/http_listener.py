"""The HTTP listener of the intake: events come in here, some 11 µs of CPU each.

hypercorn with Quart costs 665 µs a request and serves the management API; this listener knows a dozen paths
and no framework. Plain requests with one message are read, queued and answered together, over all connections
(`api.intake.bursts`). What else there is, is the business of a connection's own task: bodies in pieces or packed,
batches, `/v1/events`, refusals, the end. It too queues at once all that a read completed, in order, then awaits
durability and sends all answers in one write. So what arrives together lands in one batch of the journal.

Back-pressure: where the engine's queue is full, connections that want something of it wait and are not read
meanwhile. Bodies held in memory are bounded over all connections (`INTAKE_BODIES_BYTES_MAX`); beyond, requests
are shed with 429.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from email.utils import formatdate

import trio

from api.intake.bursts import Bursts, Left, Talk
from api.intake.connections import READ_BYTES, Connection, Connections, Gone
from api.intake.enqueue import Enqueue, Ticket
from api.intake.http1 import Exchange, Http1, encode_response
from api.intake.segment_api import (
    PACKED,
    SUCCESS,
    Head,
    Reception,
    Response,
    Taking,
    refusal,
    route_of,
    unavailable,
    unpack,
)
from api.keys import Keys
from engine.errors import Unavailable
from engine.limits import INTAKE_BODIES_BYTES_MAX, INTAKE_BODY_S, INTAKE_CONNECTIONS_MAX

UNPACK_IN_THREAD_BYTES = 64 * 1024
"""A larger packed body is unpacked in a worker thread."""

_FULL = refusal(503, "too_many_connections", "There are too many connections.")
_SLOW = refusal(408, "too_slow", f"A request must arrive within {INTAKE_BODY_S} s.")
_SHED = unavailable(Unavailable("slow_down", "Too much is arriving at once."))


async def respond(
    reception: Reception, head: Head, body: bytes, enqueue: Enqueue, *, local: bool
) -> Response:
    """Respond to a whole request: the Quart app calls this for the intake's paths on its own port."""
    refused = reception.judge(head, local=local)
    if refused is not None:
        return refused
    begun = await begin(reception, head, body, enqueue)
    return begun if isinstance(begun, Response) else await begun.finish()


async def begin(reception: Reception, head: Head, body: bytes, enqueue: Enqueue) -> Response | Pending:
    """Queue what a request that was judged brings. Of a body of events that is refused midway the first parts
    may become durable all the same; sent again, their `messageId` tells them (rule 8)."""
    if head.encoding in PACKED:
        unpacked = (
            unpack(head, body)
            if len(body) < UNPACK_IN_THREAD_BYTES
            else await trio.to_thread.run_sync(unpack, head, body)
        )
        if isinstance(unpacked, Response):
            return unpacked
        body = unpacked
    taking = reception.receive(head, body)
    if isinstance(taking, Response):
        return taking
    tickets: list[Ticket] = []
    try:
        for part in taking.parts():
            if tickets:
                await trio.lowlevel.checkpoint()  # a large body lets others have their turn
            if part.inputs:
                tickets.append(await enqueue(part))
    except Unavailable as error:
        return unavailable(error)
    return Pending(taking, tickets)


class Pending:
    """A request whose inputs are queued and not durable yet."""

    __slots__ = ("_taking", "_tickets")

    def __init__(self, taking: Taking, tickets: list[Ticket]) -> None:
        self._taking = taking
        self._tickets = tickets

    async def finish(self) -> Response:
        """Finish with the answer, once all is durable or the engine stopped before that."""
        try:
            for ticket in self._tickets:
                await ticket.wait()
        except Unavailable as error:
            return unavailable(error)
        return self._taking.answer()


class Intake:
    """Serves Segment's paths and `/v1/events` on some listeners; `keys` say who may (`Reception`)."""

    def __init__(
        self,
        enqueue: Enqueue,
        *,
        keys: Keys | None = None,
        connections_max: int = INTAKE_CONNECTIONS_MAX,
        bodies_bytes_max: int = INTAKE_BODIES_BYTES_MAX,
    ) -> None:
        self._enqueue = enqueue
        self._reception = Reception(keys)
        self._bodies_bytes_max = bodies_bytes_max
        self._bodies_bytes = 0
        self._requests = 0
        self._shed = 0
        self._date = _Date()
        self._bursts = Bursts(self._reception, enqueue, encode=self._encode, hold=self._hold)
        self._connections = Connections(
            self._converse,
            refused=encode_response(_FULL, self._date.now(), last=True),
            connections_max=connections_max,
        )

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop()`; return when the requests in flight are answered. Closes the listeners."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._bursts.run)
                await self._connections.serve(listeners, task_status=task_status)
                nursery.cancel_scope.cancel()
        finally:
            self._bursts.close()

    def stop(self) -> None:
        """Accept nothing more, answer what has arrived, close."""
        self._connections.stop()

    def statistics(self) -> dict[str, int]:
        """Return connections `open`, `accepted`, `refused`; `requests` answered, of them `shed` with 429."""
        requests = self._requests + self._bursts.requests
        return {**self._connections.statistics(), "requests": requests, "shed": self._shed}

    async def _converse(self, connection: Connection) -> None:
        http = Http1(lambda head: self._reception.judge(head, local=connection.local))
        talk = Talk(connection, http)
        connection.on_stop = talk.stop
        connection.idle = lambda: talk.standing_by
        try:
            while not connection.stopping:
                left = await self._bursts.stand_by(talk)
                if left.ended or not await self._go_on(talk, left):
                    return
        except trio.Cancelled:
            if connection.deadline < trio.current_time() and not http.idle:
                with trio.CancelScope(shield=True), trio.move_on_after(1):
                    await self._answer_slow(connection)
            raise
        finally:
            self._bodies_bytes -= talk.held_bytes

    async def _answer_slow(self, connection: Connection) -> None:
        try:
            await connection.send(encode_response(_SLOW, self._date.now(), last=True))
        except Gone:
            return  # slow, and gone

    async def _go_on(self, talk: Talk, left: Left) -> bool:
        """Process what a burst left, until the connection is between two requests.

        Return False if it has ended.
        """
        connection, http = talk.connection, talk.http
        connection.patience(INTAKE_BODY_S)
        if left.unsent:
            await connection.send(left.unsent)
        exchanges = left.exchanges
        while True:
            self._account(talk)
            if exchanges:
                connection.deadline = math.inf
                answers = await self._answer_all(exchanges, connection)
                connection.patience(INTAKE_BODY_S)
                await connection.send(answers)
            if (exchanges and exchanges[-1].last) or (connection.stopping and http.idle):
                await connection.part()
                return False
            if interim := http.interim():
                await connection.send(interim)
            if http.idle:
                return True
            data = await connection.receive(READ_BYTES)
            if not data:
                return False
            exchanges = http.feed(data)

    def _hold(self, size: int) -> None:
        self._bodies_bytes += size

    def _encode(self, answer: Response, last: bool) -> bytes:
        if answer is SUCCESS and not last:
            return self._date.success()
        return encode_response(answer, self._date.now(), last=last)

    def _account(self, talk: Talk) -> None:
        """Keep the sum of all bodies held; the request that exceeds it is shed."""
        self._bodies_bytes += talk.http.held_bytes - talk.held_bytes
        talk.held_bytes = talk.http.held_bytes
        if self._bodies_bytes > self._bodies_bytes_max and talk.held_bytes:
            talk.http.refuse(_SHED)
            self._bodies_bytes -= talk.held_bytes
            talk.held_bytes = 0
            self._shed += 1

    async def _answer_all(self, exchanges: Sequence[Exchange], connection: Connection) -> bytes:
        """Answer what one read completed; all of it is queued before the first is waited for."""
        weight = sum(map(_weight, exchanges))
        self._bodies_bytes += weight
        try:
            begun = [
                exchange.refused or await begin(self._reception, exchange.head, exchange.body, self._enqueue)
                for exchange in exchanges
            ]
            answers = [one if isinstance(one, Response) else await one.finish() for one in begun]
        finally:
            self._bodies_bytes -= weight
        self._requests += len(exchanges)
        date = self._date.now()
        last = exchanges[-1]
        return b"".join(
            encode_response(
                answer,
                date,
                last=exchange.last or (connection.stopping and exchange is last),
                bodiless=exchange.head.method == "HEAD",
            )
            for answer, exchange in zip(answers, exchanges, strict=True)
        )


class _Date:
    """The Date header, and the commonest answer whole, made anew once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._date = b""
        self._success = b""

    def now(self) -> bytes:
        if (second := int(time.time())) != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode("ascii")
            self._success = encode_response(SUCCESS, self._date, last=False)
        return self._date

    def success(self) -> bytes:
        self.now()
        return self._success


def _weight(exchange: Exchange) -> int:
    """Return the bytes that a complete request may hold: a packed body counts as what it may unpack to."""
    route = route_of(exchange.head.path)
    if exchange.head.encoding in PACKED and exchange.body and route is not None:
        return route.body_bytes_max
    return len(exchange.body)
