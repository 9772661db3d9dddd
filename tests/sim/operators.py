"""Users of the management API: an operator, an application that pulls messages, an onlooker.

In some lives they use the management API, in the others they call the service as its handlers do.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from engine.errors import Refused, Unavailable
from engine.model import Effect
from ext.wire import instant
from tests.reference import journeys
from tests.sim.account import keep
from tests.sim.http import authorization
from tests.sim.web import Answer

if TYPE_CHECKING:
    from tests.sim.world import World

PATIENCE_S = (0.2, 30.0, 30.0, 30.0)
CLOSED = ("store_full", "outbox_full", "stopping", "stopped", "not_ready")


class Management:
    """A client of the management API that repeats each request until it is answered."""

    def __init__(self, world: World, chance: Random, who: str, key: str = "operator") -> None:
        self._world = world
        self._chance = chance
        self._who = who
        self._key = world.keyring.secrets.get(key)

    async def insist(self, method: str, path: str, body: Any = None) -> Answer:
        """Request until the answer is not "retry later", and return that answer."""
        while True:
            answer = await self.once(method, path, body)
            if answer is not None and answer.status not in (429, 503):
                return answer
            await trio.sleep(answer.retry_after_s if answer else self._chance.uniform(0.1, 2))

    async def once(self, method: str, path: str, body: Any = None) -> Answer | None:
        world = self._world
        answer = await world.desk.ask(
            method,
            path,
            body=body,
            headers=authorization(self._key, basic=False),
            peer=world.manager,
            patience_s=self._chance.choice(PATIENCE_S),
        )
        if answer is None:
            return None
        text = f"{method} {path} is answered {answer.status} {answer.body[:300]!r}"
        keep(9, answer.status < 500 or answer.status == 503, text)
        keep(10, answer.status not in (401, 403), f"the {self._who} has a right to it: {text}")
        if answer.status in (429, 503):
            code = answer.json["code"]
            keep(
                6, answer.retry_after_s > 0 and code in CLOSED, f"{text}, Retry-After {answer.retry_after_s}"
            )
            world.tell(self._who, f"receives {code}")
        world.account.met["asked to retry" if answer.status in (429, 503) else "operations"] += 1
        return answer


class Operator:
    """An operator that launches the flows, then makes occasional changes; unanswered requests are repeated."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._management = Management(world, chance, "operator")
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
            if plan.managed and self._chance.random() < 0.1:
                await self._attend()
        self.done = True

    async def _operate(self, raw: dict[str, Any]) -> None:
        if self._world.plan.managed:
            await self._manage(raw)
        else:
            await self._call(raw)

    async def _call(self, raw: dict[str, Any]) -> None:
        while True:
            try:
                await self._world.control(raw["op"], {key: raw[key] for key in raw if key != "op"})
            except Unavailable as error:
                keep(6, error.retry_after_s > 0, f"{error}")
                await trio.sleep(self._chance.uniform(0.1, 2))
            except Refused as refused:
                self._world.tell("operator", f"{raw['op']} is refused: {refused.code}")
                return
            else:
                self._world.tell(
                    "operator", f"{raw['op']} {raw.get('flow', '') if raw['op'] != 'launch' else ''}"
                )
                return

    async def _manage(self, raw: dict[str, Any]) -> None:
        """Send one operation over HTTP."""
        match raw:
            case {"op": "launch", "flow": document}:
                await self._launch(document)
            case {"op": "pause" | "resume" as op, "flow": flow}:
                await self._change("POST", f"/v1/flows/{flow}/{op}", None, raw)
            case {"op": "schedule", "flow": flow, **bounds}:
                await self._change(
                    "PUT",
                    f"/v1/flows/{flow}/schedule",
                    {name: bounds[name] for name in ("start", "end")},
                    raw,
                )
            case {"op": "add_codes", "pool": pool, "codes": codes} if codes:
                await self._change("POST", f"/v1/promo-pools/{pool}/codes", {"codes": codes}, raw)

    async def _change(self, method: str, path: str, body: Any, raw: dict[str, Any], *fine: int) -> int:
        """Request an operation until it is answered. Return its status; `fine`: the allowed ones of 4xx."""
        answer = await self._management.insist(method, path, body)
        text = f"{method} {path}: {answer.status}"
        keep(9, answer.status < 300 or answer.status in fine, f"{text} {answer.body[:300]!r}")
        if answer.status < 300:
            self._world.answered(raw)
        self._world.tell("operator", text)
        return answer.status

    async def _launch(self, document: dict[str, Any]) -> None:
        """Save the document as a draft, whatever remains of an earlier attempt, and launch it."""
        id = document["id"]
        flow = f"/v1/flows/{id}"
        made = {"op": "create_flow", "document": document}
        if await self._change("POST", "/v1/flows", document, made, 409) == 409:
            begun = {"op": "start_draft", "flow": id, "replace": True, "version": None}
            await self._change("POST", f"{flow}/draft?replace=true", None, begun, 409)
            saved = {"op": "save_draft", "flow": id, "document": document, "revision": None}
            await self._change("PUT", f"{flow}/draft", document, saved)
        launched = {"op": "launch", "flow": id, "revision": None}
        status = await self._change("POST", f"{flow}/launch", None, launched, 409)
        if status == 409:  # an attempt whose answer was lost has done it
            answer = await self._management.insist("GET", flow)
            keep(1, answer.json["version"] is not None, f"{id} has neither a draft nor a version")

    async def _attend(self) -> None:
        """Change a contact, or delete one that has not paid."""
        contact = self._chance.choice(journeys.CONTACTS)
        path = f"/v1/contacts/{contact}"
        match self._chance.randrange(4):
            case 0:
                raw = {"op": "patch_contact", "contact": contact, "traits": {"city": "York"}}
                await self._change("PATCH", path, {"traits": {"city": "York"}}, raw)
            case 1:
                raw = {"op": "segment_add", "segment": "gold", "contacts": [contact]}
                await self._change("PUT", f"/v1/segments/gold/members/{contact}", None, raw)
            case _:
                await self._change("DELETE", path, None, {"op": "delete_contact", "contact": contact}, 404)


class Application:
    """An application that pulls the effects of its channel and reports receipts, sometimes twice and out of order."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._management = Management(world, chance, "application")

    async def run(self) -> None:
        while True:
            await trio.sleep(self._chance.choice((0.1, 1, 4)))
            effects = await self._pull(self._chance.choice((1, 10, 100)))
            receipts = [self._receipt(effect) for effect in effects]
            self._chance.shuffle(receipts)
            if receipts and self._chance.random() < 0.3:
                receipts += receipts[:2]
            for _ in range(self._chance.choice((1, 1, 2)) if receipts else 0):
                await self._report(receipts)

    async def _pull(self, limit: int) -> list[Effect]:
        if not self._world.plan.managed:
            return self._world.outbox(limit)
        settled = set(self._world.account.settled)
        answer = await self._management.once("GET", f"/v1/outbox?limit={limit}")
        if answer is None or answer.status != 200:
            return []
        entries = answer.json["effects"]
        effects = [msgspec.convert({**one, "at": instant.parse(one["at"])}, Effect) for one in entries]
        for effect in effects:
            self._world.account.left(effect, settled)
        return effects

    async def _report(self, receipts: list[dict[str, Any]]) -> None:
        if self._world.plan.managed:
            answer = await self._management.once("POST", "/v1/outbox/receipts", {"receipts": receipts})
            if answer is not None and answer.status == 200:
                self._world.answered(
                    {"op": "receipts", "receipts": [{**one, "detail": ""} for one in receipts]}
                )
            return
        try:
            await self._world.control("receipts", {"receipts": receipts})
        except Unavailable:
            await trio.sleep(1)

    def _receipt(self, effect: Effect) -> dict[str, Any]:
        return {"effect": effect.id, "status": self._chance.choice(("delivered", "delivered", "bounced"))}


class Onlooker:
    """An onlooker that reads all it can. Payments durable at its request must be in the answer."""

    PATHS = (
        "/v1/flows",
        "/v1/flows/paid",
        "/v1/flows/paid/stats",
        "/v1/flows/paid/runs",
        "/v1/flows/paid/versions",
        "/v1/flows/paid/draft",
        "/v1/contacts/c1",
        "/v1/contacts/p2/runs",
        "/v1/contacts/p1/why?flow=paid",
        "/v1/segments/gold/members",
        "/v1/promo-pools",
        "/v1/monitoring/problems",
        "/readyz",
        "/metrics",
    )

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._management = Management(world, chance, "onlooker", "onlooker")

    async def run(self) -> None:
        for _ in range(self._chance.choice((5, 20))):
            await trio.sleep(self._chance.choice((0.1, 1, 4)))
            if self._chance.random() < 0.5:
                path = self._chance.choice(self.PATHS)
                answer = await self._management.once("GET", path)
                fine = answer is None or answer.status in (200, 404, 503)
                keep(9, fine, f"GET {path}: {answer and answer.status}")
            else:
                await self._count(self._chance.choice(("p1", "p2", "p3")))

    async def _count(self, contact: str) -> None:
        account = self._world.account
        least = account.durable_payments[contact]
        answer = await self._management.once("GET", f"/v1/contacts/{contact}")
        if answer is None or answer.status == 503:
            return
        shown = answer.json["traits"].get("paid", 0) if answer.status == 200 else 0
        most = account.paid_by_account().get(contact, 0)
        keep(1, least <= shown <= most, f"{contact} has paid {shown} times, not {least} to {most}")
