"""Clients that stream lines into the engine and account for them, and the channels through which its messages leave."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from engine import limits, tuning
from engine.delivery.channels import TryLater
from engine.model import Effect, Receipt
from tests.sim.account import keep
from tests.sim.lines import ClientLines
from tests.sim.network import Broken, SimulatedConnection

if TYPE_CHECKING:
    from tests.sim.world import World

PORT = 7702


def greeting(key: str) -> bytes:
    """Return the first line of a stream that needs a key."""
    return msgspec.json.encode({"writeKey": key}) + b"\n"


class StreamClient:
    """A client that streams lines and reads acknowledgements; after a break it resends the unacknowledged lines."""

    def __init__(self, world: World, number: int, chance: Random) -> None:
        self._world = world
        self._name = f"client {number}"
        self._chance = chance
        self._lines = ClientLines(world, number, chance, world.plan.lines_per_client)
        self._acknowledged = 0
        self.line: SimulatedConnection | None = None

    @property
    def done(self) -> bool:
        return self._acknowledged == self._lines.wanted

    async def run(self) -> None:
        while not self.done:
            line = self.line = self._world.net.connect(PORT, self._world.peer)
            if line is None:
                await trio.sleep(self._chance.uniform(0.1, 2))
                continue
            await self._converse(line)
            line.tear()
            await trio.sleep(0.05)
        self._world.tell(self._name, "has all its lines acknowledged")

    async def _converse(self, line: SimulatedConnection) -> None:
        begin = max(0, self._acknowledged - self._chance.choice((0, 0, 1, 5)))  # some of it again
        self._world.tell(self._name, f"connects and sends from line {begin} on")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, line, begin, nursery.cancel_scope)
            try:
                await self._speak(line, begin)
            except Broken:
                self._world.tell(self._name, "cannot send any more")

    async def _speak(self, line: SimulatedConnection, begin: int) -> None:
        key = self._world.keyring.events_key
        if key is not None:
            await line.send(greeting(key))
        at = begin
        while at < self._lines.wanted:
            count = self._chance.choice((1, 1, 2, 5, 20))
            data = b"".join(
                self._lines[number].line + b"\n" for number in range(at, min(at + count, self._lines.wanted))
            )
            at = min(at + count, self._lines.wanted)
            while data:
                cut = self._chance.randint(1, len(data)) if self._chance.random() < 0.2 else len(data)
                await line.send(data[:cut])
                data = data[cut:]
            await trio.sleep(self._chance.choice((0, 0, 0.01, 0.3, 3)))
        line.end()

    async def _listen(self, line: SimulatedConnection, begin: int, scope: trio.CancelScope) -> None:
        """Follow the answers to the lines from `begin` on, until the engine ends or the line breaks."""
        rest, upto, named = b"", begin, set[int]()
        try:
            while data := await line.receive():
                *answers, rest = (rest + data).split(b"\n")
                for answer in map(msgspec.json.decode, answers):
                    if "ack" in answer:
                        before, upto = upto, begin + answer["ack"]
                        keep(1, upto > before or upto == begin, "acknowledgements grow")
                        self._acknowledge(before, upto, named)
                        self._check_in_flight(line, begin, upto)
                    elif "line" in answer["error"]:
                        named.add(begin + answer["error"]["line"])
                    else:
                        self._told(answer["error"])
        except Broken:
            self._world.tell(self._name, "has lost its connection")
        scope.cancel()

    def _acknowledge(self, since: int, upto: int, named: set[int]) -> None:
        entries = self._lines.between(since, upto)
        bad = {since + place for place, entry in enumerate(entries) if not entry.identity}
        found = {number for number in named if since <= number < upto}
        keep(
            9,
            found == bad,
            f"of the lines {since} to {upto} of the {self._name}, {found} were named, not {bad}",
        )
        self._world.account.acknowledged([entry.identity for entry in entries if entry.identity])
        self._acknowledged = max(self._acknowledged, upto)

    def _check_in_flight(self, line: SimulatedConnection, begin: int, upto: int) -> None:
        """Check that the engine's unacknowledged bytes are within their bound.

        The last read and the beginning of a line may exceed it; bytes of a line that is too long do not count.
        """
        key = self._world.keyring.events_key
        greeted = 0 if key is None else len(greeting(key))
        rest = line.taken - greeted - sum(len(entry.line) + 1 for entry in self._lines.between(begin, upto))
        held = 0
        for entry in self._lines.between(upto):
            size = min(rest, len(entry.line) + 1)
            rest -= size
            held += size if size <= limits.MESSAGE_BYTES_MAX else 0
        most = self._world.plan.in_flight_bytes_max + tuning.STREAM_READ_BYTES + limits.MESSAGE_BYTES_MAX
        keep(9, held <= most, f"{held} bytes are in flight, more than the bound allows")

    def _told(self, error: dict[str, Any]) -> None:
        """Handle a refusal or the end of the engine."""
        self._world.tell(self._name, f"receives {error['code']}")
        if "retry_after" in error:
            keep(
                6,
                error["retry_after"] > 0 and error["code"] in ("store_full", "outbox_full", "stopping"),
                str(error),
            )
        else:
            keep(6, error["code"] in ("stopping", "stopped"), f"a stream ends with {error}")


class SimulatedChannel:
    """A channel that delivers an effect immediately, late, not now, or raises."""

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
            raise TryLater("no answer", after_s=self._chance.choice((None, 0.5)))
        self._world.account.left(effect)
        drawn = self._chance.random()
        if drawn < 0.05:
            raise TryLater("it was taken, but its answer was lost")
        if drawn < 0.08:
            raise ValueError("a channel that cannot handle this message")
        return Receipt(effect.id, "bounced" if drawn < 0.15 else "delivered")
