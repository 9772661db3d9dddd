"""The acknowledged stream: NDJSON lines in, acknowledgements out, over TCP or a Unix socket.

    → {"type":"track","userId":"ann","event":"Ordered"}        ← {"ack":1}
    → nonsense                                                 ← {"error":{"line":1,"code":"not_json","detail":…}}
    → {"type":"identify","userId":"ann","traits":{}}           ← {"ack":3}

`{"ack":n}`: the lines 0 to n-1 of this connection are done with; what was good in them is durable. Blank and
rejected lines count, so n is the number of the line to go on with after a broken connection. Acknowledgements
grow; one may cover many lines. `{"error":{"line":…}}` names a line that was not taken, before the
acknowledgement that covers it, and does not end the stream. Lines are taken in order. What was sent and not
acknowledged may be durable all the same; sent again, its `messageId` tells it (rule 8).

`{"error":{"code","detail","retry_after":s}}` without a line: the engine takes nothing just now (a full disk).
Nothing is lost and nothing needs to be done: the engine stops reading and goes on by itself when it can.

A sender that has no more to say ends its side (shutdown for writing) and reads until the last acknowledgement
and the end. It should read while it writes: whoever lets acknowledgements pile up is read no further.

Where a key for events is asked for the first line is `{"writeKey":"…"}`, not counted; a wrong one is answered with
an error, and the connection ends. Without keys only peers on this machine are served, and such a line is skipped.

Back-pressure: a connection has at most `STREAM_IN_FLIGHT_BYTES_MAX` under way; beyond, and while the engine's
queue is full, it is not read. Two tasks per connection: one reads, decodes and queues, one waits for durability
in order and answers. Rejected: a task per chunk (acknowledgements would need sorting), and closing on a
full disk (a sender would reconnect in a loop to be told the same).
"""

from __future__ import annotations

import socket
from collections import deque

import msgspec
import trio

from api.intake.connections import Connection, Connections, Gone
from api.intake.enqueue import Enqueue, Ticket
from api.intake.lines import Block, LineCutter
from api.intake.segment_api import Reception
from api.keys import Keys
from engine.errors import Unavailable
from engine.limits import INTAKE_BODY_S, INTAKE_CONNECTIONS_MAX, STREAM_IN_FLIGHT_BYTES_MAX
from engine.tuning import STREAM_READ_BYTES
from engine.wire import Decoded, Rejection, decode_lines

GREETING = b'{"writeKey"'
GREETING_BYTES_MAX = 1_024


class Stream:
    """Serves acknowledged streams on some listeners; `keys` say who may."""

    def __init__(
        self,
        enqueue: Enqueue,
        *,
        keys: Keys | None = None,
        connections_max: int = INTAKE_CONNECTIONS_MAX,
        in_flight_bytes_max: int = STREAM_IN_FLIGHT_BYTES_MAX,
    ) -> None:
        self._enqueue = enqueue
        self._reception = Reception(keys)
        self._reception.keys.on_change.append(self._dismiss)
        self._in_flight_bytes_max = in_flight_bytes_max
        self._lines = 0
        self._connections = Connections(
            self._converse,
            refused=encode_error("too_many_connections", "There are too many connections."),
            connections_max=connections_max,
        )

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop()`; return when what was read is acknowledged. Closes the listeners."""
        await self._connections.serve(listeners, task_status=task_status)

    def stop(self) -> None:
        """Read nothing more, acknowledge what becomes durable, close."""
        self._connections.stop()

    def statistics(self) -> dict[str, int]:
        """Return connections `open`, `accepted`, `refused`; `lines` acknowledged."""
        return {**self._connections.statistics(), "lines": self._lines}

    async def _converse(self, connection: Connection) -> None:
        if connection.socket.family != socket.AF_UNIX:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.patience(INTAKE_BODY_S)
        first = await self._greet(connection)
        connection.deadline = float("inf")
        if first is not None:
            connection.key = connection.key or ""
            session = Session(connection, self._enqueue, in_flight_bytes_max=self._in_flight_bytes_max)
            try:
                await session.run(first)
            finally:
                self._lines += session.acknowledged
        await connection.part()

    async def _greet(self, connection: Connection) -> bytes | None:
        """Return what follows the greeting, b"" included; None for a peer that is not served."""
        if not self._is_served(connection):
            detail = "Without a key for events only local programs are served."
            await connection.send(encode_error("forbidden", detail))
            return None
        connection.on_stop = connection.scope.cancel
        data = b""
        while b"\n" not in data and len(data) <= GREETING_BYTES_MAX:
            if not (self._reception.needs_key or GREETING.startswith(data[: len(GREETING)])):
                return data
            if not self._reception.needs_key and not data:
                connection.deadline = float("inf")  # who has nothing to say yet may take his time
            received = await connection.receive(STREAM_READ_BYTES)
            if not received:
                break
            data += received
        line, newline, rest = data.partition(b"\n")
        if newline and (key := self._key_of(line)) is not None:
            connection.key = key
            return rest
        if not self._reception.needs_key:
            return data
        detail = 'The first line is {"writeKey":"…"} with a key for events.'
        await connection.send(encode_error("invalid_write_key", detail))
        return None

    def _key_of(self, line: bytes) -> str | None:
        """Return the key of a greeting, if it is valid."""
        try:
            found = _greetings.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return found.writeKey if self._reception.is_key(found.writeKey) else None

    def _dismiss(self) -> None:
        """Cut the streams that would not be let in any more. What they had no acknowledgement for is sent again."""
        for connection in self._connections.open():
            let_in = connection.key is None or self._reception.is_key(connection.key)
            if not (let_in and self._is_served(connection)):
                connection.scope.cancel()

    def _is_served(self, connection: Connection) -> bool:
        """Whether to listen to a connection at all."""
        return connection.local or self._reception.needs_key


class _Greeting(msgspec.Struct, forbid_unknown_fields=True):
    writeKey: str


_greetings = msgspec.json.Decoder(_Greeting)


class _Entry(msgspec.Struct, frozen=True):
    """A block on its way: once `ticket` is durable, `errors` are sent and `until` is acknowledged."""

    ticket: Ticket | None
    errors: bytes
    until: int
    size: int


class Session:
    """One connection's stream. `acknowledged` lines are done with."""

    def __init__(self, connection: Connection, enqueue: Enqueue, *, in_flight_bytes_max: int) -> None:
        self._connection = connection
        self._enqueue = enqueue
        self._in_flight_bytes_max = in_flight_bytes_max
        self._in_flight: deque[_Entry] = deque()
        self._in_flight_bytes = 0
        self._reading = trio.CancelScope()
        self._taken = 0
        self._read_all = False
        self._queued = trio.Event()
        self._room = trio.Event()
        self._sending = trio.Lock()
        self._peer_listens = True
        self.acknowledged = 0

    async def run(self, first: bytes) -> None:
        """Run until the peer ends its side, the listener stops, or the engine does. `first`: bytes already read."""
        self._connection.on_stop = self._reading.cancel
        if self._connection.stopping:
            self._reading.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._acknowledge_all)
            with self._reading:
                await self._read(first)
            self._read_all = True
            self._queued.set()

    async def _read(self, data: bytes) -> None:
        cutter = LineCutter()
        try:
            while True:
                if data:
                    await self._take(cutter.feed(data))
                data = await self._connection.receive(STREAM_READ_BYTES)
                if not data:
                    await self._take(cutter.end())
                    return
        except Gone:
            return  # no further lines; those without their newline were never sent whole

    async def _take(self, block: Block) -> None:
        """Queue a block and wait until there is room for another."""
        if block.until == self._taken and not block.rejected:
            return
        self._taken = block.until
        decoded = decode_lines(block.data)
        errors = b"".join(
            encode_rejection(Rejection(block.first + wrong.line, wrong.code, wrong.detail))
            for wrong in decoded.rejected
        ) + b"".join(map(encode_rejection, block.rejected))
        ticket = await self._enqueue_patiently(decoded) if decoded.inputs else None
        size = len(block.data) + len(errors)
        self._in_flight.append(_Entry(ticket, errors, block.until, size))
        self._in_flight_bytes += size
        self._queued.set()
        while self._in_flight_bytes > self._in_flight_bytes_max:
            self._room = trio.Event()
            await self._room.wait()

    async def _enqueue_patiently(self, decoded: Decoded) -> Ticket:
        """Try until it is taken; the peer is told once why it waits. Ends by `_reading` when we stop."""
        told = False
        while True:
            try:
                return await self._enqueue(decoded)
            except Unavailable as error:
                if not told:
                    await self._send(encode_error(error.code, error.detail, error.retry_after_s))
                    told = True
                await trio.sleep(error.retry_after_s)

    async def _acknowledge_all(self) -> None:
        """Acknowledge each block in order; whatever has become durable meanwhile goes in one write."""
        while True:
            while not self._in_flight:
                if self._read_all:
                    if not self.acknowledged:
                        await self._send(encode_ack(0))
                    return
                self._queued = trio.Event()
                await self._queued.wait()
            try:
                answer = await self._settle()
            except Unavailable as error:
                self._reading.cancel()
                await self._send(encode_error(error.code, error.detail))
                return
            await self._send(answer)

    async def _settle(self) -> bytes:
        """Settle the first block, and those after it that are durable by then. Raises Unavailable."""
        out: list[bytes] = []
        until = self.acknowledged
        while self._in_flight:
            entry = self._in_flight[0]
            if entry.ticket is not None:
                if out and not entry.ticket.done:
                    break
                try:
                    await entry.ticket.wait()
                except Unavailable:
                    if out:
                        break  # acknowledge what was durable; the next turn meets the error again
                    raise
            self._in_flight.popleft()
            self._in_flight_bytes -= entry.size
            out.append(entry.errors)
            until = entry.until
        self._room.set()
        if until > self.acknowledged:
            self.acknowledged = until
            out.append(encode_ack(until))
        return b"".join(out)

    async def _send(self, data: bytes) -> None:
        """Send to the peer. One that is gone may have sent lines before: they are still accepted."""
        if not self._peer_listens:
            return
        try:
            async with self._sending:
                await self._connection.send(data)
        except Gone:
            self._peer_listens = False


def encode_ack(lines: int) -> bytes:
    """Return `{"ack":n}`: n lines of this connection are settled."""
    return b'{"ack":%d}\n' % lines


def encode_rejection(wrong: Rejection) -> bytes:
    """Return `{"error":{"line","code","detail"}}`."""
    return msgspec.json.encode({"error": wrong}) + b"\n"


def encode_error(code: str, detail: str, retry_after_s: int | None = None) -> bytes:
    """Return an error that is no line's fault. With `retry_after` the stream goes on; without, it ends."""
    error: dict[str, object] = {"code": code, "detail": detail}
    if retry_after_s is not None:
        error["retry_after"] = retry_after_s
    return msgspec.json.encode({"error": error}) + b"\n"
