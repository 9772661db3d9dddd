"""Who lives outside the engine: clients that stream lines and keep account, an operator, an application, channels."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from engine import limits
from engine.channels import TryLater
from engine.errors import Refused, Unavailable
from engine.model import Effect, Receipt
from tests.reference import journeys
from tests.sim.account import keep
from tests.sim.network import Broken, Line

if TYPE_CHECKING:
    from tests.sim.world import World

BAD_LINES = (
    b"nonsense",
    b'{"type":"track","userId":"c1"}',
    b'{"type":"track","userId":"","event":"Paid"}',
    b'{"type":"control","op":"pause","flow":"paid"}',
    b'{"type":"identify","userId":"c1","traits":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}",
    b'{"type":"track","userId":"c1","event":"Paid","properties":"\xff"}',
    b"[" * 100_000,
    b'{"type":"track","userId":"c1","event":"Paid","timestamp":"yesterday"}',
)
"""None of these is taken, each is named, and none of them ends anything."""


class Entry(msgspec.Struct):
    """A line of a client; `identity` is its message id, or "" where it is bad."""

    line: bytes
    identity: str


class Client:
    """Streams lines, reads acknowledgements, and after a break goes on with what was not acknowledged."""

    def __init__(self, world: World, number: int, chance: Random) -> None:
        self._world = world
        self._name = f"client {number}"
        self._prefix = f"m{number}-"
        self._chance = chance
        self._entries: list[Entry] = []
        self._acknowledged = 0
        self._wanted = world.plan.lines_per_client
        self.line: Line | None = None

    @property
    def done(self) -> bool:
        return self._acknowledged == self._wanted

    async def run(self) -> None:
        while not self.done:
            line = self.line = self._world.connect()
            if line is None:
                await trio.sleep(self._chance.uniform(0.1, 2))
                continue
            await self._converse(line)
            line.tear()
        self._world.tell(self._name, "has all its lines acknowledged")

    async def _converse(self, line: Line) -> None:
        begin = max(0, self._acknowledged - self._chance.choice((0, 0, 1, 5)))  # some of it again
        self._world.tell(self._name, f"connects and sends from line {begin} on")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, line, begin, nursery.cancel_scope)
            try:
                await self._speak(line, begin)
            except Broken:
                self._world.tell(self._name, "cannot send any more")

    async def _speak(self, line: Line, begin: int) -> None:
        at = begin
        while at < self._wanted:
            count = self._chance.choice((1, 1, 2, 5, 20))
            data = b"".join(
                self._entry(number).line + b"\n" for number in range(at, min(at + count, self._wanted))
            )
            at = min(at + count, self._wanted)
            while data:
                cut = self._chance.randint(1, len(data)) if self._chance.random() < 0.2 else len(data)
                await line.send(data[:cut])
                data = data[cut:]
            await trio.sleep(self._chance.choice((0, 0, 0.01, 0.3, 3)))
        line.end()

    def _entry(self, number: int) -> Entry:
        while number >= len(self._entries):
            self._entries.append(self._another())
        return self._entries[number]

    def _another(self) -> Entry:
        sent = self._world.account.sent
        drawn = self._chance.random()
        if drawn < 0.07:
            return Entry(self._chance.choice(BAD_LINES), "")
        if drawn < 0.15 and sent:
            identity = self._chance.choice(list(sent))
            return Entry(sent[identity], identity)  # what somebody sent before, perhaps another
        identity = f"{self._prefix}{len(self._entries)}"
        line = msgspec.json.encode({**self._message(), "messageId": identity})
        sent[identity] = line
        return Entry(line, identity)

    def _message(self) -> dict[str, Any]:
        if self._chance.random() < self._world.plan.paid_share and self._world.paid_is_launched:
            amount = self._chance.randint(1, 99)
            contact = self._chance.choice(("p1", "p2", "p3"))
            return {"type": "track", "userId": contact, "event": "Paid", "properties": {"amount": amount}}
        drawn = self._chance.random()
        if drawn < 0.8:
            return journeys.track(self._chance, self._world.wall.now_ms())
        contact = self._chance.choice(journeys.CONTACTS)
        if drawn < 0.98:
            return {"type": "identify", "userId": contact, "traits": journeys.traits(self._chance)}
        return {"type": "alias", "userId": contact, "previousId": "c5"}

    async def _listen(self, line: Line, begin: int, scope: trio.CancelScope) -> None:
        """Follow the answers to the lines from `begin` on, until the engine ends or the line breaks."""
        rest, upto, named = b"", begin, set[int]()
        try:
            while data := await line.receive():
                *answers, rest = (rest + data).split(b"\n")
                for answer in map(msgspec.json.decode, answers):
                    if "ack" in answer:
                        self._acknowledge(upto, begin + answer["ack"], named)
                        upto = begin + answer["ack"]
                        self._check_in_flight(line, begin, upto)
                    elif "line" in answer["error"]:
                        named.add(begin + answer["error"]["line"])
                    else:
                        self._told(answer["error"])
        except Broken:
            self._world.tell(self._name, "has lost its connection")
        scope.cancel()

    def _acknowledge(self, since: int, upto: int, named: set[int]) -> None:
        keep(1, upto > since or upto == since == 0 or upto == self._acknowledged, "acknowledgements grow")
        entries = self._entries[since:upto]
        bad = {since + place for place, entry in enumerate(entries) if not entry.identity}
        found = {number for number in named if since <= number < upto}
        keep(
            9,
            found == bad,
            f"of the lines {since} to {upto} of the {self._name}, {found} were named, not {bad}",
        )
        self._world.account.acknowledged([entry.identity for entry in entries if entry.identity])
        self._acknowledged = max(self._acknowledged, upto)

    def _check_in_flight(self, line: Line, begin: int, upto: int) -> None:
        """What the engine holds and has not acknowledged is within its bound, but for the last thing it read and the
        beginning of a line. What it reads of a line that is too long it forgets."""
        rest = line.taken - sum(len(entry.line) + 1 for entry in self._entries[begin:upto])
        held = 0
        for entry in self._entries[upto:]:
            size = min(rest, len(entry.line) + 1)
            rest -= size
            held += size if size <= limits.MESSAGE_BYTES_MAX else 0
        most = self._world.plan.in_flight_bytes_max + limits.STREAM_READ_BYTES + limits.MESSAGE_BYTES_MAX
        keep(9, held <= most, f"{held} bytes are under way, more than the bound allows")

    def _told(self, error: dict[str, Any]) -> None:
        """The engine takes nothing just now, or ends."""
        self._world.tell(self._name, f"is told: {error['code']}")
        if "retry_after" in error:
            keep(
                6,
                error["retry_after"] > 0 and error["code"] in ("store_full", "outbox_full", "stopping"),
                str(error),
            )
        else:
            keep(6, error["code"] in ("stopping", "stopped"), f"a stream ends with {error}")


class Operator:
    """Launches the flows, then changes things now and then; repeats what was not answered."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._answered: dict[bytes, int] = {}
        self.done = False

    async def run(self) -> None:
        plan = self._world.plan
        codes = [f"C{number}" for number in range(self._chance.choice((0, 3, 20)))]
        await self._operate({"op": "add_codes", "pool": "spring", "codes": codes})
        for document in plan.flows:
            await self._operate({"op": "launch", "flow": document})
            self._world.paid_is_launched = True
        paused: set[str] = set()
        for _ in range(plan.operations if len(plan.flows) > 1 else 0):
            await trio.sleep(self._chance.uniform(0, 6))
            now_ms = self._world.wall.now_ms()
            line = journeys.operation(self._chance, plan.flows[1:], paused, now_ms)
            if line["op"] != "restart":
                await self._operate({key: value for key, value in line.items() if key != "type"})
        self.done = True

    async def _operate(self, raw: dict[str, Any]) -> None:
        while True:
            try:
                await self._world.control(raw["op"], {key: raw[key] for key in raw if key != "op"})
            except Unavailable as error:
                keep(6, error.status in (429, 503) and error.retry_after_s > 0, f"{error}")
                await trio.sleep(self._chance.uniform(0.1, 2))
            except Refused as refused:
                self._world.tell("operator", f"{raw['op']} is refused: {refused.code}")
                return
            else:
                self._world.tell(
                    "operator", f"{raw['op']} {raw.get('flow', '') if raw['op'] != 'launch' else ''}"
                )
                return


class Application:
    """Pulls effects of a channel left to it, and reports; now and then twice, and out of order."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance

    async def run(self) -> None:
        while True:
            await trio.sleep(self._chance.choice((0.1, 1, 4)))
            effects = self._world.outbox(self._chance.choice((1, 10, 100)))
            receipts = [self._receipt(effect) for effect in effects]
            self._chance.shuffle(receipts)
            if receipts and self._chance.random() < 0.3:
                receipts += receipts[:2]
            for _ in range(self._chance.choice((1, 1, 2)) if receipts else 0):
                try:
                    await self._world.control("receipts", {"receipts": receipts})
                except Unavailable:
                    await trio.sleep(1)

    def _receipt(self, effect: Effect) -> dict[str, Any]:
        return {"effect": effect.id, "status": self._chance.choice(("delivered", "delivered", "bounced"))}


class Channel:
    """Takes an effect at once, later, not now, or breaks over it."""

    def __init__(self, world: World, chance: Random, boot: int, workers: int) -> None:
        self._world = world
        self._chance = chance
        self._boot = boot
        self.workers = workers

    async def deliver(self, effect: Effect) -> Receipt:
        self._world.require(self._boot)
        await trio.sleep(self._chance.choice((0, 0, 0, 0.05, 1)))
        self._world.require(self._boot)
        if self._world.channels_silent:
            raise TryLater("nobody answers", after_s=self._chance.choice((None, 0.5)))
        self._world.account.left(effect)
        drawn = self._chance.random()
        if drawn < 0.05:
            raise TryLater("it was taken, but its answer was lost")
        if drawn < 0.08:
            raise ValueError("a channel that cannot handle this message")
        return Receipt(effect.id, "bounced" if drawn < 0.15 else "delivered")
