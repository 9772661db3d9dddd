"""A year and a half of a shop's real orders, restamped to the present, through the stream of `tidemill serve`.

The same counts as those of a few lines of Python that know nothing of the engine: also when the engine is killed
with SIGKILL in the middle of the stream, started again, and sent what it had not acknowledged.
"""

from __future__ import annotations

import gzip
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from api.client.http import Client
from api.client.stream import send_stream
from api.config import Address
from tests.api.command_line import ROOT, TIDEMILL

ORDERS = ROOT / "tests" / "data" / "cdnow-orders.ndjson.gz"

FLOW = {
    "id": "thanks",
    "name": "Thanks",
    "nodes": {
        "start": {
            "kind": "launch",
            "trigger": {"event": "Order Completed"},
            "where": "order.total >= 50.0",
            "next": "again",
        },
        "again": {
            "kind": "condition",
            "when": 'customer.count("Order Completed") > 1',
            "then": "regular",
            "else": "newcomer",
        },
        "regular": {"kind": "step", "actions": [{"points": {"add": 10}}, {"segment": {"add": ["regulars"]}}]},
        "newcomer": {"kind": "step", "actions": [{"points": {"add": 1}}], "next": "pause"},
        "pause": {"kind": "wait", "for": "30d"},
    },
}


def orders() -> list[dict[str, Any]]:
    with gzip.open(ORDERS) as file:
        return [msgspec.json.decode(line) for line in file]


WINDOW_BYTES = 1 << 20
"""Sent and not acknowledged at a time: a tenth of all, so that the kills fall where they are meant to."""


def restamped(raw: list[dict[str, Any]]) -> list[bytes]:
    """A millisecond apart, the last one now: none is too old to start a run."""
    first = time.time_ns() // 1_000_000 - len(raw)
    for place, order in enumerate(raw):
        ms = first + place
        order["timestamp"] = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms / 1000))}.{ms % 1000:03d}Z"
    return [msgspec.json.encode(order) for order in raw]


def expected(raw: list[dict[str, Any]]) -> Counter[str]:
    """The independent script: how many pass each node, the points given, who is in the segment."""
    counts: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    regulars = set()
    for order in raw:
        seen[order["userId"]] += 1
        if order["properties"]["total"] >= 50:
            counts["start"] += 1
            if seen[order["userId"]] > 1:
                counts["regular"] += 1
                regulars.add(order["userId"])
            else:
                counts["newcomer"] += 1
    counts["contacts"] = len(seen)
    counts["regulars"] = len(regulars)
    return counts


class LiveSidecar:
    """`tidemill serve` on Unix sockets in a folder, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stream = Address(path=str(folder / "s"))
        self.client = Client(Address(path=str(folder / "h")))
        self.start()

    def start(self) -> None:
        options = ["--data", "d", "--http", "unix:h", "--stream", "unix:s", "--intake", "unix:i"]
        self.process = subprocess.Popen(
            [*TIDEMILL, "serve", *options],
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        assert any(line.startswith("ready") for line in self.process.stdout), "it did not start"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(30)


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[LiveSidecar]:
    sidecar = LiveSidecar(tmp_path)
    yield sidecar
    if sidecar.process.poll() is None:
        sidecar.kill()


def counted(client: Client) -> Counter[str]:
    nodes = client.get("flows", "thanks", "stats")["nodes"]
    counts = Counter({node: nodes[node]["arrived"] for node in ("start", "regular", "newcomer")})
    assert nodes["pause"]["waiting"] == counts["newcomer"]
    assert nodes["again"]["true"] == nodes["regular"]["executed"] == counts["regular"]
    members, cursor = 0, ""
    while True:
        page = client.get(
            "segments", "regulars", "members", limit=1000, **({"cursor": cursor} if cursor else {})
        )
        members += len(page["members"])
        cursor = page["cursor"]
        if not cursor:
            break
    counts["regulars"] = members
    _, metrics = client._exchange("GET", "/metrics", None, {})
    found = re.search(rb"^tidemill_contacts (\S+)$", metrics, re.MULTILINE)
    assert found is not None
    counts["contacts"] = int(float(found[1]))
    return counts


@pytest.mark.parametrize("kills", [0, 3], ids=["undisturbed", "killed three times"])
def test_the_counts_are_those_of_the_script(sidecar: LiveSidecar, kills: int) -> None:
    raw = orders()
    lines = restamped(raw)
    sidecar.client.post("flows", body=FLOW)
    sidecar.client.post("flows", "thanks", "launch")
    step = len(lines) // (kills + 1)
    acknowledged = []

    def on_ack(n: int) -> None:
        acknowledged.append(n)
        if len(kill_at) and n >= kill_at[0] and n < len(lines):
            kill_at.pop(0)
            sidecar.kill()
            sidecar.start()

    kill_at = [step * n for n in range(1, kills + 1)]
    sent = trio.run(lambda: send_stream(sidecar.stream, lines, on_ack, window_bytes=WINDOW_BYTES))
    assert (sent.lines, sent.rejected) == (len(lines), 0)
    assert sent.connections == 1 + kills
    assert acknowledged == sorted(acknowledged)
    assert counted(sidecar.client) == expected(raw)
    assert sidecar.stop() == 0
    sidecar.start()
    assert counted(sidecar.client) == expected(raw)
