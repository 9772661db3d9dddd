"""An intruder without a key, and one whose key is revoked.

Every answer to the intruder is 401 or 403, or none, and nothing he sends is ever in a durable batch: all of it has his
name in it, or is an operation that no client carries out (`account.FORBIDDEN`). The leaver has a key until it is
revoked; from then on his connections, which were let in, are the intruder's.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from api.management.access import scopes_for
from tests.sim.account import INTRUDER, keep
from tests.sim.clients import PORT as STREAM
from tests.sim.clients import greeting
from tests.sim.http import PORT as INTAKE
from tests.sim.http import Request, ServerTalk, authorization
from tests.sim.keyring import LOOK_S
from tests.sim.network import Broken, SimulatedConnection
from tests.sim.web import Answer

if TYPE_CHECKING:
    from tests.sim.world import World

ELSEWHERE = "203.0.113.7"
HERE = "127.0.0.1"
CODES = {"codes": [INTRUDER]}
FLOW = {
    "id": INTRUDER,
    "name": INTRUDER,
    "nodes": {"start": {"kind": "launch", "trigger": {"event": "Paid"}}},
}
ASKED: tuple[tuple[str, str, str, Any], ...] = (
    ("flows", "GET", "/v1/flows", None),
    ("flows", "POST", "/v1/flows", FLOW),
    ("flows", "POST", "/v1/flows/paid/pause", None),
    ("flows", "POST", "/v1/flows/paid/draft", None),
    ("contacts", "GET", "/v1/contacts/p1", None),
    ("contacts", "DELETE", "/v1/contacts/p1", None),
    ("contacts", "PUT", f"/v1/contacts/{INTRUDER}", {"traits": {}}),
    ("contacts", "POST", f"/v1/promo-pools/{INTRUDER}/codes", CODES),
    ("outbox", "GET", "/v1/outbox", None),
    ("outbox", "POST", "/v1/outbox/receipts", "receipts"),
    ("store", "POST", "/v1/store/compact", None),
    ("read", "GET", "/metrics", None),
    ("events", "POST", "/v1/track", "message"),
)
"""Requests to the management API: the scope that opens each, method, path, body."""
SEGMENT = ("/v1/track", "/v1/t", "/v1/batch", "/v1/events")


class Intruder:
    """An intruder that tries each listener from elsewhere, and from this machine where a key is needed."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._tries = 0

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for attempt in (self._post, self._stream, self._manage):
                nursery.start_soon(self._insist, attempt)

    async def _insist(self, attempt: Any) -> None:
        for _ in range(self._world.plan.intrusions):
            await trio.sleep(self._chance.choice((0.3, 2, 6)) * self._chance.random() * 2)
            with trio.move_on_after(30):
                await attempt()

    def _line(self) -> bytes:
        self._tries += 1
        message = {"type": "track", "userId": "p1", "event": "Paid", "messageId": f"{INTRUDER}-{self._tries}"}
        return msgspec.json.encode(message)

    def _guise(self, scopes: tuple[str, ...], *, guarded: bool) -> tuple[str, str | None]:
        """Return an address and a key that together give no access."""
        useless = self._world.keyring.useless(scopes, trio.current_time())
        peer = self._chance.choice((ELSEWHERE, HERE)) if guarded else ELSEWHERE
        return peer, self._chance.choice((None, *useless))

    async def _post(self) -> None:
        guarded = self._world.keyring.events_key is not None
        peer, key = self._guise(("events",), guarded=guarded)
        headers = authorization(key, basic=self._chance.random() < 0.5)
        if not guarded and self._chance.random() < 0.3:
            peer, headers = HERE, {"Origin": "http://example.com"}  # a page in a browser on this machine
        path = self._chance.choice(SEGMENT)
        body = b'{"batch":[%b]}' % self._line() if path == "/v1/batch" else self._line()
        line = self._world.net.connect(INTAKE, peer)
        if line is None:
            return
        try:
            answer = await ServerTalk(line).ask(
                Request("single", path, body, headers, []).encoded, self._chance
            )
        except Broken:
            return
        # A key may stand in a body: where too many bodies arrive, one is shed before its key is looked for.
        if answer.status != 429:
            self._keep_out(answer, f"POST {path} at the intake from {peer} with {headers}")
        line.tear()

    async def _stream(self) -> None:
        peer, key = self._guise(("events",), guarded=self._world.keyring.events_key is not None)
        line = self._world.net.connect(STREAM, peer)
        if line is None:
            return
        heard = b""
        try:
            await line.send((b"" if key is None else greeting(key)) + self._line() + b"\n")
            line.end()
            while data := await line.receive():
                heard += data
        except Broken:
            self._world.tell("intruder", "is cut off")
        keep(10, b'"ack"' not in heard, f"a stream from {peer} with the key {key} is answered {heard!r}")
        self._world.account.met["kept out"] += bool(heard)
        line.tear()

    async def _manage(self) -> None:
        world = self._world
        need, method, path, body = self._chance.choice(ASKED)
        if body == "receipts":
            pending = sorted(set(world.account.effects) - set(world.account.settled))
            effect = self._chance.choice(pending) if pending else "none"
            body = {"receipts": [{"effect": effect, "status": "delivered", "detail": INTRUDER}]}
        elif body == "message":
            body = msgspec.Raw(self._line())
        events = need == "events"
        guarded = world.keyring.events_key is not None if events else world.keyring.guards_management
        scopes = scopes_for(need, method)  # type: ignore[arg-type]
        peer, key = self._guise(scopes, guarded=guarded)
        headers = authorization(key, basic=False)
        if not guarded and self._chance.random() < 0.3:
            peer, headers = (
                HERE,
                self._chance.choice(({"Origin": "http://example.com"}, {"Host": "example.com"})),
            )
            if events:
                headers = {"Origin": "http://example.com"}
        answer = await world.desk.ask(method, path, body=body, headers=headers, peer=peer, patience_s=20)
        if answer is not None:
            self._keep_out(answer, f"{method} {path} at the management API from {peer} with {headers}")

    def _keep_out(self, answer: Answer, what: str) -> None:
        keep(10, answer.status in (401, 403), f"{what} is answered {answer.status} {answer.body[:300]!r}")
        self._world.account.met["kept out"] += 1


class Leaver:
    """A client elsewhere that keeps its connections and sends before and after its key is revoked."""

    EVERY_S = 0.6
    LAST = 8
    """Attempts after the revocation of the key."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._key = world.keyring.secrets["leaver"]
        self._sent = 0
        self._tries = 0

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._post)
            nursery.start_soon(self._stream)
            await trio.sleep(self._chance.choice((1, 4, 15)) * (0.5 + self._chance.random()))
            self._world.tell("operator", "revokes the key of the leaver")
            self._world.keyring.revoke(trio.current_time())

    @property
    def _is_out(self) -> bool:
        since_s = self._world.keyring.revoked_s
        return since_s is not None and trio.current_time() > since_s + LOOK_S

    def _line(self) -> bytes:
        """Return a line of fixed length, so that the heads of requests are equal to the last byte."""
        self._sent += 1
        self._tries += self._is_out
        name = INTRUDER if self._is_out else "leaver".ljust(len(INTRUDER), "-")
        identity = f"{name}-{self._sent:06}"
        line = msgspec.json.encode(
            {"type": "track", "userId": "leaver", "event": "Looked", "messageId": identity}
        )
        if not self._is_out:
            self._world.account.tolerated[identity] = line
        return line

    async def _post(self) -> None:
        talk: ServerTalk | None = None
        headers = authorization(self._key, basic=True)
        while self._tries < self.LAST:
            await trio.sleep(self.EVERY_S)
            if talk is None:
                line = self._world.net.connect(INTAKE, ELSEWHERE)
                talk = None if line is None else ServerTalk(line)
                continue
            is_out, body = self._is_out, self._line()
            answer = None
            with trio.move_on_after(30):
                try:
                    answer = await talk.ask(Request("single", "/v1/track", body, headers, []).encoded)
                except Broken:
                    answer = None
            if answer is None:
                talk.line.tear()
                talk = None
            elif is_out:
                keep(10, answer.status == 401, f"with a revoked key POST is answered {answer.status}")
                self._world.account.met["kept out"] += 1
            elif answer.status == 200:
                self._world.account.acknowledged([msgspec.json.decode(body)["messageId"]])

    async def _stream(self) -> None:
        line: SimulatedConnection | None = None
        while self._tries < self.LAST:
            await trio.sleep(self.EVERY_S)
            try:
                if line is None:
                    line = self._world.net.connect(STREAM, ELSEWHERE)
                    if line is not None:
                        await line.send(greeting(self._key))
                else:
                    with trio.move_on_after(30):
                        await line.send(self._line() + b"\n")
            except Broken:
                line = None
