"""Clients that send events over HTTP: one request after the other on each connection, repeated until it is answered.

A request whose answer was lost is sent again; now and then a proxy that has kept a copy delivers it once more, later.
Answers are entered in the account as for a stream: a line that a 2xx answers is durable.
"""

from __future__ import annotations

import base64
import gzip
from random import Random
from typing import TYPE_CHECKING

import msgspec
import trio

from tests.sim.account import keep
from tests.sim.lines import ClientLine, ClientLines
from tests.sim.network import Broken, SimulatedConnection
from tests.sim.web import Answer

if TYPE_CHECKING:
    from tests.sim.world import World

PORT = 7701
PATIENCE_S = 60.0
"""Time, in seconds, after which a client stops waiting for an answer and sends again."""


class Request(msgspec.Struct):
    """A request and the lines in it."""

    kind: str
    """`single`, `batch` or `events`."""
    path: str
    body: bytes
    headers: dict[str, str]
    entries: list[ClientLine]
    in_chunks: bool = False

    @property
    def encoded(self) -> bytes:
        length = "Transfer-Encoding: chunked" if self.in_chunks else f"Content-Length: {len(self.body)}"
        fields = [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join([f"POST {self.path} HTTP/1.1", "Host: localhost", *fields, length, "", ""])
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.body), self.body) if self.in_chunks else self.body
        return head.encode() + body


class ServerTalk:
    """A connection on which requests are answered in order."""

    def __init__(self, line: SimulatedConnection) -> None:
        self.line = line
        self._read = b""

    async def ask(self, data: bytes, chance: Random | None = None) -> Answer:
        """Send the bytes of a request, sometimes in pieces, and return the answer. Raise Broken."""
        while data:
            cut = chance.randint(1, len(data)) if chance is not None and chance.random() < 0.2 else len(data)
            await self.line.send(data[:cut])
            data = data[cut:]
        head = await self._until(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        size = int(headers["content-length"])
        while len(self._read) < size:
            await self._more()
        body, self._read = self._read[:size], self._read[size:]
        return Answer(int(first.split(" ")[1]), headers, body)

    async def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            await self._more()
        head, _, self._read = self._read.partition(end)
        return head + end

    async def _more(self) -> None:
        data = await self.line.receive()
        if not data:
            raise Broken
        self._read += data


def authorization(key: str | None, *, basic: bool) -> dict[str, str]:
    """Return the header that carries a key, or no header without a key."""
    if key is None:
        return {}
    user = base64.b64encode(f"{key}:".encode()).decode()
    return {"Authorization": f"Basic {user}" if basic else f"Bearer {key}"}


class HttpClient:
    """A client that sends its lines over HTTP, a few in each request, on one or two connections at a time."""

    def __init__(self, world: World, number: int, chance: Random) -> None:
        self._world = world
        self._name = f"client {number}"
        self._chance = chance
        self._lines = ClientLines(world, number, chance, world.plan.lines_per_client)
        self._given = self._answered = 0
        self.line: SimulatedConnection | None = None

    @property
    def done(self) -> bool:
        return self._answered == self._lines.wanted

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self._chance.choice((1, 1, 2))):
                nursery.start_soon(self._work, nursery)
        self._world.tell(self._name, "has all its requests answered")

    async def _work(self, proxy: trio.Nursery) -> None:
        talk: ServerTalk | None = None
        while self._given < self._lines.wanted:
            request = self._another()
            if self._chance.random() < 0.1:
                proxy.start_soon(self._deliver_again, request)
            while True:
                talk = talk or self._connect()
                answer = None
                if talk is not None:
                    answer = await self._ask(talk, request)
                if answer is None or answer.headers.get("connection") == "close":
                    if talk is not None:
                        talk.line.tear()
                    talk = None
                if answer is not None and self._is_done(request, answer):
                    break
                await trio.sleep(answer.retry_after_s if answer else self._chance.uniform(0.1, 2))
            self._answered += len(request.entries)
            await trio.sleep(self._chance.choice((0, 0, 0.01, 0.3, 3)))
        if talk is not None:
            talk.line.end()

    def _connect(self) -> ServerTalk | None:
        line = self._world.net.connect(PORT, self._world.peer)
        if line is None:
            return None
        self.line = line
        self._world.tell(self._name, "connects")
        return ServerTalk(line)

    async def _ask(self, talk: ServerTalk, request: Request) -> Answer | None:
        with trio.move_on_after(PATIENCE_S):
            try:
                return await talk.ask(request.encoded, self._chance)
            except Broken:
                self._world.tell(self._name, "has lost its connection")
        return None

    async def _deliver_again(self, request: Request) -> None:
        """Send a request once more on a connection of its own, as a proxy in doubt does."""
        await trio.sleep(self._chance.choice((0, 0.1, 2, 20)))
        talk = self._connect()
        if talk is None:
            return
        answer = await self._ask(talk, request)
        if answer is not None:
            self._is_done(request, answer)
        talk.line.tear()

    def _another(self) -> Request:
        kind = self._chance.choice(("single", "single", "single", "batch", "events"))
        count = 1 if kind == "single" else self._chance.randint(1, 8)
        count = min(count, self._lines.wanted - self._given)
        entries = [self._lines[number] for number in range(self._given, self._given + count)]
        self._given += count
        key = self._world.keyring.events_key
        headers = authorization(key, basic=self._chance.random() < 0.5)
        if kind == "events":
            path, body = "/v1/events", b"".join(entry.line + b"\n" for entry in entries)
        elif kind == "batch" and all(entry.is_json for entry in entries):
            path, body = self._chance.choice(("/v1/batch", "/v1/b", "/v1/import")), _batch(entries)
        elif kind == "batch":
            kind, path, body = "events", "/v1/events", b"\n".join(entry.line for entry in entries)
        else:
            (entry,) = entries
            path, body = f"/v1/{self._chance.choice((entry.kind, entry.kind[0]))}", entry.line
            if entry.identity and key is not None and self._chance.random() < 0.3:
                headers, body = {}, body[:-1] + b',"writeKey":"%b"}' % key.encode()
            elif entry.identity and self._chance.random() < 0.5:
                body = body.replace(b'"type":"%b",' % entry.kind.encode(), b"", 1)
        if self._chance.random() < 0.1:
            body, headers = gzip.compress(body, mtime=0), {**headers, "Content-Encoding": "gzip"}
        if self._chance.random() < 0.1:
            headers = {**headers, "Connection": "close"}
        return Request(kind, path, body, headers, entries, in_chunks=self._chance.random() < 0.1)

    def _is_done(self, request: Request, answer: Answer) -> bool:
        """Whether a request need not be sent again. Check its answer against the account."""
        bad = {place for place, entry in enumerate(request.entries) if not entry.identity}
        if answer.status in (429, 503):
            code = answer.json["code"]
            keep(6, answer.retry_after_s > 0, f"{answer.status} {code} does not say when to come again")
            known = code in ("store_full", "outbox_full", "stopping", "stopped", "slow_down")
            keep(6, known, f"a request is refused with {code}")
            self._world.tell(self._name, f"receives {code}")
            self._world.account.met["asked to retry"] += 1
            return False
        if answer.status == 408:
            return False
        text = f"{request.kind} with the bad lines {bad} is answered {answer.status} {answer.body!r}"
        if request.kind == "single":
            keep(9, answer.status == (400 if bad else 200), text)
        else:
            all_bad = request.kind == "batch" and len(bad) == len(request.entries)
            keep(9, answer.status == (400 if all_bad else 200), text)
            place = "line" if request.kind == "events" else "index"
            keep(9, {wrong[place] for wrong in answer.json.get("rejected", [])} == bad, text)
        self._world.account.acknowledged([entry.identity for entry in request.entries if entry.identity])
        self._world.account.met["requests"] += 1
        return True


def _batch(entries: list[ClientLine]) -> bytes:
    return b'{"batch":[' + b",".join(entry.line for entry in entries) + b"]}"
