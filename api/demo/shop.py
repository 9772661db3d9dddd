"""The shop of `tidemill demo`: customers who visit, leave carts, buy, fall silent, and read their mail.

A queue of what each customer will do next, in order of time; doing one thing may queue others. One generator
of random numbers, seeded: the same seed and the same answers of the engine give the same shop. What it says is
what a real shop would say, lines in Segment's shape; it knows nothing of flows.

Everything happens on the half hour. So do the ends of the waits that follow from it, and the engine, whose clock
goes from one half hour to the next, is never late for anything.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from engine.flow.zone import local_to_ms, ms_to_local, zone
from engine.model import Effect
from ext.wire import instant

HOUR_MS = 3_600_000
SLOT_MS = HOUR_MS // 2
DAY_MS = 24 * HOUR_MS
OPENS, CLOSES = 8, 22
"""Hours of the day between which customers are awake."""

ARRIVALS_SHARE = 0.7
"""Customers come for the first time in this share of the simulated time, so that most can be followed."""

FIRST_NAMES = (
    *(
        "Ada",
        "Amir",
        "Anna",
        "Ben",
        "Chloé",
        "Diego",
        "Ella",
        "Emre",
        "Fatou",
        "Finn",
        "Grace",
        "Hana",
        "Ines",
    ),
    *("Ivan", "Jonas", "Kofi", "Lea", "Liam", "Lucía", "Mai", "Marek", "Mia", "Nia", "Noah", "Olga", "Omar"),
    *("Priya", "Rosa", "Samir", "Sofia", "Tariq", "Tom", "Uma", "Vera", "Wei", "Yara", "Yuki", "Zoe"),
)
ZONES = ("Europe/London", "Europe/Paris", "Europe/Athens")


class Customer(msgspec.Struct):
    """Somebody with habits. `reads`: how likely a message moves her; `buys`: how likely a full cart is paid."""

    number: int
    name: str
    zone: str
    visit_every_days: float
    buys: float
    reads: float
    spends: float
    subscriber: bool
    is_away: bool = False
    orders: int = 0

    @property
    def id(self) -> str:
        return f"customer-{self.number:05}"


class Deed(NamedTuple):
    """An event of a customer, for her diary: when (ms UTC), its name, and in words."""

    ms: int
    event: str
    words: str


Act = Callable[[Customer, int], None]


class Shop:
    """`contacts` customers from `start_ms` to `end_ms` (ms UTC)."""

    def __init__(self, *, contacts: int, seed: int, start_ms: int, end_ms: int) -> None:
        self._chance = random.Random(seed)
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._queue: list[tuple[int, int, Customer, Act]] = []
        self._serial = 0
        self._lines: list[bytes] = []
        self.diary: dict[str, list[Deed]] = {}
        """By customer id, in order of time."""
        self.customers = [self._customer(number) for number in range(1, contacts + 1)]
        for customer in self.customers:
            first_ms = start_ms + int((end_ms - start_ms) * ARRIVALS_SHARE * self._chance.random())
            self._later(first_ms, 0, 12, customer, self._arrive)

    def next_ms(self) -> int | None:
        """When the next thing happens in the shop; None if nothing will."""
        return self._queue[0][0] if self._queue else None

    def take(self, until_ms: int) -> bytes:
        """What happens up to and at `until_ms`, as input lines in order of time."""
        while self._queue and self._queue[0][0] <= until_ms:
            at_ms, _, customer, act = heapq.heappop(self._queue)
            act(customer, at_ms)
        lines, self._lines = b"".join(self._lines), []
        return lines

    def receive(self, effect: Effect) -> None:
        """A message reaches its customer, who may come back and buy because of it."""
        customer = self.customers[int(effect.contact.rpartition("-")[2]) - 1]
        if self._chance.random() < customer.reads:
            customer.is_away = False
            self._later(effect.at, 1, 30, customer, self._order)

    # What customers do

    def _arrive(self, customer: Customer, at_ms: int) -> None:
        day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
        traits: dict[str, Any] = {
            "first_name": customer.name,
            "email": f"{customer.id}@example.com",
            "timezone": customer.zone,
            "birthday": str(day + timedelta(days=self._chance.randrange(365))),
        }
        if self._chance.random() < 0.6:
            traits["push_tokens"] = [f"token-{customer.number}"]
        if self._chance.random() < 0.05:
            traits["subscriptions"] = {"email": "unsubscribed"}
        self._identify(customer, at_ms, traits)
        self._track(customer, at_ms, "Signed Up", {"source": self._chance.choice(["search", "friend", "ad"])})
        self._visit(customer, at_ms)
        if customer.subscriber:
            self._renew(customer, at_ms)

    def _visit(self, customer: Customer, at_ms: int) -> None:
        pages = 1 + int(self._chance.expovariate(0.3))
        if self._chance.random() < 0.7:
            product = {"product_id": f"p{self._chance.randrange(1, 200):03}", "price": self._price(customer)}
            self._track(customer, at_ms, "Product Viewed", product)
        if self._chance.random() < 0.45:
            self._fill_cart(customer, at_ms)
        session = {"pages": pages, "duration": pages * 100}
        self._plan(at_ms + SLOT_MS, customer, lambda who, ms: self._track(who, ms, "Session Ended", session))
        if self._chance.random() < 0.12:
            customer.is_away = True
            return
        days = self._chance.expovariate(1 / customer.visit_every_days)
        self._later(at_ms + int(days * DAY_MS), 2, 12, customer, self._return)

    def _return(self, customer: Customer, at_ms: int) -> None:
        if not customer.is_away:
            self._visit(customer, at_ms)

    def _fill_cart(self, customer: Customer, at_ms: int) -> None:
        self._track(customer, at_ms, "Cart Viewed", {"cart_id": f"c{at_ms}", "total": self._price(customer)})
        if self._chance.random() < customer.buys:
            self._plan(at_ms + SLOT_MS, customer, self._order)
        elif self._chance.random() < 0.2:
            self._later(at_ms, 20, 60, customer, self._order)

    def _order(self, customer: Customer, at_ms: int) -> None:
        customer.orders += 1
        total = self._price(customer)
        order = {"order_id": f"o-{customer.number}-{customer.orders}", "total": total, "currency": "EUR"}
        self._track(customer, at_ms, "Order Completed", order)

    def _renew(self, customer: Customer, at_ms: int) -> None:
        until = datetime.fromtimestamp(at_ms / 1000, UTC).date() + timedelta(days=30)
        self._identify(customer, at_ms, {"renewal_date": str(until)})
        self._track(customer, at_ms, "Subscription Started", {"plan": "monthly", "renewal_date": str(until)})
        if self._chance.random() < 0.8:
            self._plan(at_ms + 30 * DAY_MS, customer, self._renew)

    # How it is said

    def _identify(self, customer: Customer, at_ms: int, traits: dict[str, Any]) -> None:
        self._say(customer, at_ms, {"type": "identify", "traits": traits})

    def _track(self, customer: Customer, at_ms: int, event: str, properties: dict[str, Any]) -> None:
        self._say(customer, at_ms, {"type": "track", "event": event, "properties": properties})
        words = f"{event} ({properties['total']:.2f})" if "total" in properties else event
        self.diary.setdefault(customer.id, []).append(Deed(at_ms, event, words))

    def _say(self, customer: Customer, at_ms: int, message: dict[str, Any]) -> None:
        self._serial += 1
        stamp = {"userId": customer.id, "messageId": f"m{self._serial}", "timestamp": instant.format(at_ms)}
        self._lines.append(msgspec.json.encode({**message, **stamp}) + b"\n")

    # Chance

    def _customer(self, number: int) -> Customer:
        chance = self._chance
        return Customer(
            number=number,
            name=chance.choice(FIRST_NAMES),
            zone=chance.choice(ZONES),
            visit_every_days=chance.choice((4.0, 8.0, 15.0)),
            buys=chance.uniform(0.2, 0.7),
            reads=chance.uniform(0.05, 0.35),
            spends=chance.uniform(15, 90),
            subscriber=chance.random() < 0.3,
        )

    def _price(self, customer: Customer) -> float:
        return round(max(3.0, self._chance.lognormvariate(0, 0.5) * customer.spends), 2)

    def _later(self, at_ms: int, low_h: int, high_h: int, customer: Customer, act: Act) -> None:
        """Some hours later, or the next morning if it is night then where the customer lives."""
        at_ms += self._chance.randrange(low_h * HOUR_MS, high_h * HOUR_MS)
        place = zone(customer.zone)
        day, minute, _ = ms_to_local(place, at_ms)
        if minute >= CLOSES * 60:
            day += timedelta(days=1)
        if not OPENS * 60 <= minute < CLOSES * 60:
            at_ms = local_to_ms(place, day, OPENS * 60 + self._chance.randrange(120))
        self._plan(at_ms, customer, act)

    def _plan(self, at_ms: int, customer: Customer, act: Act) -> None:
        at_ms = -(-at_ms // SLOT_MS) * SLOT_MS
        if at_ms <= self._end_ms:
            self._serial += 1
            heapq.heappush(self._queue, (at_ms, self._serial, customer, act))
