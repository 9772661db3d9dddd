"""The lines that a client sends: messages of contacts, some of them bad, some of them sent before."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from engine.limits import MESSAGE_BYTES_MAX
from tests.reference import journeys

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
"""Bad lines: each is rejected and named, and none closes a connection."""


class ClientLine(msgspec.Struct):
    """A line of a client; `identity` is its message id, or "" where it is bad."""

    line: bytes
    identity: str

    @property
    def kind(self) -> str:
        """The type of the line; for a bad line, a type that it is not read as either."""
        return str(msgspec.json.decode(self.line)["type"]) if self.identity else "track"

    @property
    def is_json(self) -> bool:
        """Whether the line can stand in a batch that is accepted."""
        return bool(self.identity) or (self.line.startswith(b"{") and self.line.isascii())


class ClientLines:
    """The lines of one client, made on demand; good lines are entered in the account."""

    def __init__(self, world: World, number: int, chance: Random, wanted: int) -> None:
        self._world = world
        self._prefix = f"m{number}-"
        self._chance = chance
        self._entries: list[ClientLine] = []
        self.wanted = wanted

    def __getitem__(self, number: int) -> ClientLine:
        while number >= len(self._entries):
            self._entries.append(self._another())
        return self._entries[number]

    def between(self, since: int, until: int | None = None) -> list[ClientLine]:
        """Return the lines made so far in a range."""
        return self._entries[since:until]

    def _another(self) -> ClientLine:
        sent = self._world.account.sent
        drawn = self._chance.random()
        if drawn < 0.07:
            return ClientLine(self._chance.choice(self._bad), "")
        if drawn < 0.15 and sent:
            identity = self._chance.choice(list(sent))
            return ClientLine(sent[identity], identity)  # what somebody sent before, perhaps another
        identity = f"{self._prefix}{len(self._entries)}"
        line = msgspec.json.encode({**self._message(), "messageId": identity})
        sent[identity] = line
        return ClientLine(line, identity)

    @property
    def _bad(self) -> list[bytes]:
        """Bad lines; where bodies have little room, none that alone fills it."""
        most = self._world.plan.bodies_bytes_max // 6
        return [line for line in BAD_LINES if len(line) < most or most > MESSAGE_BYTES_MAX]

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
