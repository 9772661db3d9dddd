"""The reference flow written by hand: FastAPI for the ways in, SQLite for durable state, a heap for waits.

    HANDMADE_DB=journeys.sqlite uvicorn handmade:app --app-dir bench/peers

One process with all state in memory, loaded at the start. A request is one transaction: bodies of NDJSON are cheap for
each event, single events are not. `synchronous=FULL`, so that an answer means: on the disk.
"""
# mypy: disable-error-code="misc,untyped-decorator"

from __future__ import annotations

import asyncio
import heapq
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request
from pydantic import BaseModel

WAIT_S = 3 * 24 * 3600
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS contacts (id TEXT PRIMARY KEY, traits TEXT, points INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (message TEXT PRIMARY KEY, contact TEXT, name TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (segment TEXT, contact TEXT, PRIMARY KEY (segment, contact)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, contact TEXT, due REAL);
"""


class Journeys:
    """The state, and the flow."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(SCHEMA)
        self.contacts: dict[str, dict[str, Any]] = {
            id: orjson.loads(traits) for id, traits in self.db.execute("SELECT id, traits FROM contacts")
        }
        self.seen = {message for (message,) in self.db.execute("SELECT message FROM events")}
        self.waits: list[tuple[float, int, str]] = list(self.db.execute("SELECT due, id, contact FROM runs"))
        heapq.heapify(self.waits)
        self.last_run = max((id for _, id, _ in self.waits), default=0)
        self.started = 0

    def take(self, messages: list[dict[str, Any]]) -> None:
        """Apply messages in order, in one transaction."""
        now = time.time()
        identified: list[tuple[str, bytes]] = []
        events: list[tuple[str, str, str, float]] = []
        entered: list[str] = []
        for message in messages:
            if message["messageId"] in self.seen:
                continue
            self.seen.add(message["messageId"])
            contact = message["userId"]
            traits = self.contacts.setdefault(contact, {})
            if message["type"] == "identify":
                traits.update(message["traits"])
                identified.append((contact, orjson.dumps(traits)))
                continue
            events.append((message["messageId"], contact, message["event"], now))
            if message["event"] == "Order Completed" and self.enters(message["properties"], traits):
                entered.append(contact)
        runs = [(self.last_run + 1 + n, contact, now + WAIT_S) for n, contact in enumerate(entered)]
        self.last_run += len(runs)
        self.db.execute("BEGIN")
        self.db.executemany("INSERT OR REPLACE INTO contacts (id, traits) VALUES (?, ?)", identified)
        self.db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", events)
        self.db.executemany("INSERT OR IGNORE INTO segments VALUES ('reached', ?)", [(c,) for c in entered])
        self.db.executemany("INSERT INTO runs VALUES (?, ?, ?)", runs)
        self.db.execute("COMMIT")
        for id, contact, due in runs:
            heapq.heappush(self.waits, (due, id, contact))
        self.started += len(runs)

    @staticmethod
    def enters(order: dict[str, Any], traits: dict[str, Any]) -> bool:
        """Whether the `where` of the flow holds."""
        return bool(
            order["total"] >= 50
            and traits.get("city") in ("London", "Paris")
            and traits.get("orders_count", 0) > 2
        )

    async def end_waits(self) -> None:
        """Run the condition and the second step of every run whose wait is over."""
        while True:
            due = []
            while self.waits and self.waits[0][0] <= time.time():
                due.append(heapq.heappop(self.waits))
            if due:
                rich = [
                    (contact,) for _, _, contact in due if self.contacts[contact].get("orders_count", 0) > 3
                ]
                self.db.execute("BEGIN")
                self.db.executemany("UPDATE contacts SET points = points + 1 WHERE id = ?", rich)
                self.db.executemany("DELETE FROM runs WHERE id = ?", [(id,) for _, id, _ in due])
                self.db.execute("COMMIT")
            await asyncio.sleep(0.01)


class TrackRequest(BaseModel):
    """One event as Segment's clients send it."""

    type: str = "track"
    userId: str
    event: str
    messageId: str
    properties: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.journeys = Journeys(os.environ["HANDMADE_DB"])
    ending = asyncio.create_task(app.state.journeys.end_waits())
    yield
    ending.cancel()
    app.state.journeys.db.close()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/track")
async def track(event: TrackRequest) -> dict[str, bool]:
    app.state.journeys.take([event.model_dump()])
    return {"success": True}


@app.post("/v1/events")
async def events(request: Request) -> dict[str, int]:
    messages = [orjson.loads(line) for line in (await request.body()).splitlines()]
    app.state.journeys.take(messages)
    return {"accepted": len(messages)}


@app.get("/runs")
async def runs() -> dict[str, int]:
    return {"started": app.state.journeys.started}
