"""A writer of a store with journeys of every kind, by any release: `python -m tests.golden.journeys TREE ENTRY FILE`.

TREE is a checkout of that release with its compiled parts in place, ENTRY the module of its command line (`api.cli`
up to 2dde685, `api.cli.main` since). The release is run as a process and spoken to over its ports, so no code of its
own is imported here. Prints the digest that its own `tidemill verify` found.

`journeys-2dde685.tar.gz` was written by `python -m tests.golden.journeys CHECKOUT-OF-2dde685 api.cli …`.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from api.client.http import Client
from api.config import parse_address
from api.measure.stream import send
from tests.golden.make import nobody

FLOWS: list[dict[str, Any]] = [
    {
        "id": "tested",
        "name": "An A/B test, a limit and a split",
        "nodes": {
            "start": {"kind": "launch", "trigger": {"event": "Cart Viewed"}, "next": "test"},
            "test": {
                "kind": "ab_test",
                "variants": [
                    {"name": "control", "share": 40, "control": True, "next": "split"},
                    {"name": "gift", "share": 60, "next": "limit"},
                ],
                "goal": {"event": "Order Completed", "within": "7d", "revenue": "order.total"},
            },
            "limit": {"kind": "limit", "max": 5, "per": "7d", "next": "act", "over": "split"},
            "split": {
                "kind": "split",
                "branches": [{"name": "a", "share": 50, "next": "act"}, {"name": "b", "share": 50}],
            },
            "act": {
                "kind": "step",
                "actions": [
                    {"points": {"add": 7}},
                    {"segment": {"add": ["seen"]}},
                    {"update_customer": {"set": {"city": "York"}, "increment": {"visits": 1}}},
                    {"issue_promo_code": {"pool": "spring", "as": "code"}},
                    {"send": "email", "message": {"subject": "Yours: {{ codes.code }}", "text": "Hello"}},
                    {"emit": {"event": "Nudged", "properties": {"total": 12.5, "count": 3}}},
                ],
                "next": "wait",
            },
            "wait": {"kind": "wait", "for": "90d", "window": {"from": "09:00", "to": "17:00"}, "next": "end"},
            "end": {"kind": "step", "actions": [{"segment": {"add": ["done"]}}]},
        },
    },
    {
        "id": "keyed",
        "name": "A run for each order, until it is shipped",
        "frequency": {"mode": "every_time"},
        "exit_when": {"event": "Order Cancelled"},
        "nodes": {
            "start": {
                "kind": "launch",
                "trigger": {"event": "Order Completed"},
                "run_key": "event.properties.order",
                "next": "shipped",
            },
            "shipped": {
                "kind": "wait",
                "for": "90d",
                "until_event": {"event": "Order Shipped"},
                "next": "thanks",
            },
            "thanks": {"kind": "step", "actions": [{"points": {"add": 1}}]},
        },
    },
    {
        "id": "chained",
        "name": "Launched by an event that another flow emits",
        "nodes": {
            "start": {
                "kind": "launch",
                "trigger": {"event": "Nudged"},
                "where": 'customer.sum("Nudged", "total", duration("24h")) > 10.0',
                "next": "wait",
            },
            "wait": {"kind": "wait", "for": "90d", "next": "end"},
            "end": {"kind": "step", "actions": [{"points": {"add": 1}}]},
        },
    },
]


def lines() -> bytes:
    """Return the input lines: contacts with traits, aliases, and what they did."""
    said: list[dict[str, Any]] = []
    for n in range(30):
        traits = {
            "email": f"c{n}@example.com",
            "name": f"Contact {n}",
            "score": n * 1.5,
            "tags": ["a", n],
            "vip": n % 2 == 0,
        }
        said.append({"type": "identify", "userId": f"c{n}", "traits": traits})
        said.append(
            {
                "type": "track",
                "userId": f"c{n}",
                "event": "Cart Viewed",
                "properties": {"total": n, "sku": "x"},
            }
        )
        for order in range(n % 3):
            properties = {"order": f"{n}-{order}", "total": 10.25 * order + n}
            said.append(
                {"type": "track", "userId": f"c{n}", "event": "Order Completed", "properties": properties}
            )
            if n % 5 == 0:
                said.append(
                    {"type": "track", "userId": f"c{n}", "event": "Order Shipped", "properties": properties}
                )
            if n % 7 == 0:
                said.append(
                    {"type": "track", "userId": f"c{n}", "event": "Order Cancelled", "properties": properties}
                )
    said.append({"type": "alias", "userId": "c1", "previousId": "c2"})
    said.append({"type": "alias", "userId": "c3", "previousId": "anonymous"})
    return b"".join(
        msgspec.json.encode({**line, "messageId": f"m{n}"}) + b"\n" for n, line in enumerate(said)
    )


def fill(http: str, stream: str) -> None:
    """Make an engine at these addresses hold contacts, runs, codes, receipts, and a flow that holds its runs."""
    client = Client(parse_address(http))
    client.post("promo-pools", "spring", "codes", body={"codes": [f"code-{n}" for n in range(9)]})
    for flow in FLOWS:
        client.post("flows", body=flow)
        client.post("flows", flow["id"], "launch")
    send(parse_address(stream), lines())
    client.post("flows", "chained", "pause")
    time.sleep(1)  # until the channels have returned their receipts


def write(tree: Path, entry: str, data: Path) -> str:
    """Let a release write the store into `data` and stop cleanly. Return the digest that it finds there."""
    command = [sys.executable, "-c", f"from {entry} import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    ports = ("--http", "127.0.0.1:0", "--intake", "127.0.0.1:0", "--stream", "127.0.0.1:0")
    with subprocess.Popen(
        [*command, "serve", "--data", str(data), *ports],
        cwd=data.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as engine:
        assert engine.stdout is not None
        at = {}
        for line in engine.stdout:
            name, address, *_ = line.split()
            at[name] = address
            if name == "ready":
                break
        try:
            fill(at["http"].removeprefix("http://"), at["stream"].removeprefix("tcp://"))
        finally:
            engine.send_signal(signal.SIGTERM)
            engine.wait(60)
        assert engine.returncode == 0
    verified = subprocess.run(
        [*command, "verify", str(data), "--json"],
        cwd=data.parent,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0, verified
    digest: str = msgspec.json.decode(verified.stdout)["digest"]
    return digest


def main(tree: str, entry: str, file: str) -> None:
    """Write the store of a release as an archive, and print its digest."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        print(write(Path(tree).absolute(), entry, data))
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for part in ("journal", "checkpoints"):
                archive.add(data / part / "data.mdb", f"{part}/data.mdb", filter=nobody)
        Path(file).write_bytes(packed.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:])
