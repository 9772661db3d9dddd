"""Events end to end: lines into `tidemill serve` in a process of its own, acknowledged when they are durable.

The reference flow over 100,000 contacts with ten traits: launch where `order.total >= 50 && customer.city in
["London", "Paris"] && customer.orders_count > 2` (about one event in eight), a step, a wait of three days, a
condition, a second step. In the same run, a lower bound: a program that only parses the same lines with msgspec and
appends them to LMDB, with a commit every 8,192 lines.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import lmdb
import msgspec
import pytest

from api.client.http import Client
from api.config import Address
from bench.conftest import Record
from engine import limits

ROOT = Path(__file__).parents[2]
CONTACTS = 100_000
EVENTS = 200_000
ROUNDS = 3
TRAITS = ("first_name", "last_name", "language", "plan", "source", "score", "vip")

OPTIONS = ("--data", "d", "--http", "unix:h", "--stream", "unix:s", "--intake", "unix:i")

FLOW = {
    "id": "reference",
    "name": "Reference",
    "nodes": {
        "start": {
            "kind": "launch",
            "trigger": {"event": "Order Completed"},
            "where": 'order.total >= 50 && customer.city in ["London", "Paris"] && customer.orders_count > 2',
            "next": "first",
        },
        "first": {"kind": "step", "actions": [{"segment": {"add": ["reached"]}}], "next": "wait"},
        "wait": {"kind": "wait", "for": "3d", "next": "again"},
        "again": {"kind": "condition", "when": "customer.orders_count > 3", "then": "second"},
        "second": {"kind": "step", "actions": [{"points": {"add": 1}}]},
    },
}


class StreamEngine:
    """`tidemill serve` on Unix sockets in a folder; `send` gives the seconds until everything is acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = Client(Address(path=str(folder / "h")))
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from api.cli.main import main; main()", "serve", *OPTIONS],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        assert any(line.startswith("ready") for line in self.process.stdout)

    def send(self, body: bytes, lines: int) -> float:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.folder / "s"))
            sock.setblocking(False)
            started = time.perf_counter()
            view, acknowledged, answers = memoryview(body), 0, b""
            while acknowledged < lines:
                if view:
                    try:
                        view = view[sock.send(view[: 1 << 18]) :]
                    except BlockingIOError:
                        time.sleep(0.0005)
                try:
                    answers += sock.recv(1 << 16)
                except BlockingIOError:
                    if not view:
                        time.sleep(0.0005)
                *whole, answers = answers.split(b"\n")
                for line in whole:
                    acknowledged = msgspec.json.decode(line)["ack"]
            return time.perf_counter() - started


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamEngine]:
    engine = StreamEngine(tmp_path_factory.mktemp("e"))
    engine.client.post("flows", body=FLOW)
    engine.client.post("flows", "reference", "launch")
    contacts = b"".join(identify(n) for n in range(CONTACTS))
    engine.send(contacts, CONTACTS)
    yield engine
    engine.process.terminate()
    assert engine.process.stdout is not None
    engine.process.stdout.close()
    assert engine.process.wait(60) == 0


def identify(n: int) -> bytes:
    city = ("London", "Paris", "Berlin", "Rome")[n % 4]
    traits: dict[str, Any] = {"city": city, "orders_count": n % 6, "email": f"c{n}@example.com"}
    traits |= {name: f"{name}-{n % 97}" for name in TRAITS}
    return (
        msgspec.json.encode({"type": "identify", "userId": f"c{n}", "messageId": f"i{n}", "traits": traits})
        + b"\n"
    )


def orders(name: str, first: int) -> bytes:
    """Return lines of about 300 bytes; half of the totals are 50 or more."""
    return b"".join(
        b'{"type":"track","userId":"c%d","event":"%s","messageId":"%d","properties":{"order_id":"o%d","total":%d.5,'
        b'"currency":"EUR","products":[{"product_id":"cd-%d","quantity":1,"price":9.99}],"coupon":"none",'
        b'"note":"left at the door, as always, with the neighbour on the second floor"}}\n'
        % (n * 7919 % CONTACTS, name.encode(), n, n, n % 100, n % 1000)
        for n in range(first, first + EVENTS)
    )


class TrackLine(msgspec.Struct):
    userId: str
    event: str
    messageId: str
    properties: msgspec.Raw


def floor(body: bytes, folder: Path) -> float:
    """Return the seconds it takes to parse the lines and to append them durably, and nothing else."""
    decoder = msgspec.json.Decoder(TrackLine)
    with lmdb.open(str(folder), map_size=1 << 32) as env:
        started = time.perf_counter()
        lines = body.split(b"\n")[:-1]
        for at in range(0, len(lines), limits.BATCH_INPUTS_MAX):
            block = b"\n".join(lines[at : at + limits.BATCH_INPUTS_MAX])
            decoder.decode_lines(block)
            with env.begin(write=True) as transaction:
                transaction.put(at.to_bytes(8), block, append=True)
        return time.perf_counter() - started


def test_durable_events_a_second(
    engine: StreamEngine, record: Record, benchmark: Any, tmp_path: Path
) -> None:
    mine, asked, least = [], [], []
    for turn in range(ROUNDS):
        body = orders("Order Completed", turn * EVENTS)
        mine.append(EVENTS / engine.send(body, EVENTS))
        least.append(EVENTS / floor(body, tmp_path / str(turn)))
        asked.append(EVENTS / engine.send(orders("Page Viewed", (ROUNDS + turn) * EVENTS), EVENTS))
    benchmark.pedantic(lambda: None)
    record("durable events over one stream, reference flow", median(mine), "a second")
    record("durable events that no flow asks for", median(asked), "a second")
    record("a program that parses the lines and appends them to LMDB", median(least), "a second")
    record("ratio of the reference flow to that program", median(mine) / median(least), "")
    entered = engine.client.get("flows", "reference", "stats")["nodes"]["start"]["entered"]
    assert 0.05 < entered / (EVENTS * ROUNDS) < 0.3
