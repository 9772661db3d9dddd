"""The reference flow as durable workflows: DBOS on SQLite, a workflow for each run.

    python durable_workflows.py FOLDER CONTACTS EVENTS SECONDS

Contacts are in memory, and an event that starts no run costs its condition only. A workflow has the id of its message,
so an event sent twice starts one. A run counts once its first step is durable. The program reads events until SECONDS
have passed and prints how many it read.
"""
# mypy: disable-error-code="misc,untyped-decorator"

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

WAIT_S = 3 * 24 * 3600
STARTERS = 64
"""Workflows that are being started at any time."""

contacts: dict[str, dict[str, Any]] = {}
waiting = asyncio.Semaphore(0)
"""Released once for each run that has done its first step."""
folder = Path(sys.argv[1])
db = sqlite3.connect(folder / "segments.sqlite", isolation_level=None)
db.executescript(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "CREATE TABLE segments (segment TEXT, contact TEXT, PRIMARY KEY (segment, contact));"
    "CREATE TABLE points (contact TEXT PRIMARY KEY, points INTEGER);"
)


@DBOS.step()
async def join(segment: str, contact: str) -> None:
    db.execute("INSERT OR IGNORE INTO segments VALUES (?, ?)", (segment, contact))


@DBOS.step()
async def orders_count(contact: str) -> int:
    return int(contacts[contact]["orders_count"])


@DBOS.step()
async def add_points(contact: str, points: int) -> None:
    db.execute(
        "INSERT INTO points VALUES (?1, ?2) ON CONFLICT DO UPDATE SET points = points + ?2", (contact, points)
    )


@DBOS.workflow()
async def journey(contact: str) -> None:
    await join("reached", contact)
    waiting.release()
    await DBOS.sleep_async(WAIT_S)
    if await orders_count(contact) > 3:
        await add_points(contact, 1)


def enters(event: dict[str, Any]) -> bool:
    """Whether the `where` of the flow holds."""
    traits = contacts.get(event["userId"], {})
    return bool(
        event["event"] == "Order Completed"
        and event["properties"]["total"] >= 50
        and traits.get("city") in ("London", "Paris")
        and traits.get("orders_count", 0) > 2
    )


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


async def main() -> None:
    contacts.update((message["userId"], message["traits"]) for message in read(sys.argv[2]))
    given = iter(read(sys.argv[3]))
    DBOS(
        config={
            "name": "journeys",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    began, taken, started = time.perf_counter(), 0, 0
    until = began + float(sys.argv[4])

    def wanted() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for event in given:
            if time.perf_counter() >= until:
                return
            taken += 1
            if enters(event):
                yield event

    events = wanted()

    async def start() -> None:
        nonlocal started
        for event in events:
            started += 1
            with SetWorkflowID(event["messageId"]):
                await DBOS.start_workflow_async(journey, event["userId"])

    await asyncio.gather(*(start() for _ in range(STARTERS)))
    for _ in range(started):
        await waiting.acquire()
    seconds = time.perf_counter() - began
    print(json.dumps({"events": taken, "runs": started, "seconds": seconds}), flush=True)
    os._exit(0)  # the workflows sleep for three days


asyncio.run(main())
