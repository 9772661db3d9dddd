"""A contact with a secret in every place that can hold one, and a search of the files for what is left of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from engine.clock import VirtualClock
from engine.delivery.channels import DEFAULT_NAMES, Outbox
from engine.service import Service, ServiceConfig
from engine.store.compression import decompress
from engine.store.frame import CHECKSUM_BYTES
from engine.store.journal import COMPRESSED
from engine.wire import decode_lines
from tests.store.helpers import line
from tests.store.live_store import START, at_rest

NAMES = dict.fromkeys(("id", "alias", "trait", "nested", "property", "key", "patched"))
SECRETS: dict[str, str] = {name: f"{name}-of-erica-{'xyzzy' * 3}" for name in NAMES}
"""The secrets of the contact to be deleted, by their place."""
KEPT = "kept-of-somebody-else-xyzzy"
FLOW: dict[str, Any] = {
    "id": "orders",
    "name": "Orders",
    "frequency": {"mode": "every_time"},
    "nodes": {
        "start": {
            "kind": "launch",
            "trigger": {"event": "Order Completed"},
            "run_key": "event.properties.order_id",
            "next": "send",
        },
        "send": {
            "kind": "step",
            "relevance": "none",
            "actions": [{"send": "webhook", "message": {"text": "Hello {{ customer.city }}"}}],
            "next": "wait",
        },
        "wait": {"kind": "wait", "for": "30d", "next": "end"},
        "end": {"kind": "step", "actions": [{"points": {"add": 5}}]},
    },
}


def settings(data: Path, **more: Any) -> ServiceConfig:
    channels = dict.fromkeys(DEFAULT_NAMES, Outbox())
    return ServiceConfig(data=data, clock=VirtualClock(START), channels=channels, **more)


def bytes_left(data: Path) -> list[str]:
    """Return the secrets that stand in plain text in any file below `data`."""
    found = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert found.count(KEPT.encode()) > 0, "what is searched holds contacts as they are"
    return [name for name, text in SECRETS.items() if text.encode() in found]


def records(data: Path) -> bytes:
    """Return all records of both environments, decompressed."""
    found = b""
    for folder, head in (("journal", len(COMPRESSED)), ("checkpoints", CHECKSUM_BYTES)):
        with (
            closing(lmdb.open(str(data / folder), lock=False, readonly=True)) as env,
            env.begin() as transaction,
        ):
            for key, value in transaction.cursor():
                packed = len(key) > 8 or value.startswith(COMPRESSED)
                found += decompress(value[head:], bytes_max=1 << 30) if packed else value
    return found


def values_left(data: Path) -> list[str]:
    """Return the secrets that stand in the records."""
    found = records(data)
    assert KEPT.encode() in found
    return [name for name, text in SECRETS.items() if text.encode() in found]


def about(name: str, **fields: Any) -> bytes:
    return msgspec.json.encode({"userId": name, **fields}) + b"\n"


async def fill(service: Service) -> None:
    """Add contacts, among them the one to be deleted, in single batches and checkpoints.

    So each leaves its traces in pages of its own.
    """
    erica, other = SECRETS["id"], "otto"
    await service.control("launch", flow=FLOW)
    pieces = [
        about(erica, type="identify", traits={"city": SECRETS["trait"], "more": {"x": [SECRETS["nested"]]}}),
        about(other, type="identify", traits={"city": KEPT}),
        about(erica, type="alias", previousId=SECRETS["alias"]),
        about(erica, type="track", event="Order Completed", properties={"order_id": SECRETS["key"]}),
        about(other, type="track", event="Order Completed", properties={"order_id": KEPT}),
    ]
    for piece in pieces:
        await service.submit(decode_lines(piece))
        await service._checkpointer.make()
    for n in range(20):
        await service.submit(decode_lines(line(f"c{n}", message=f"m{n}", number=n)))
    await service.control("patch_contact", contact=erica, traits={"note": SECRETS["patched"]})
    await service.control("patch_contact", contact=erica, traits={"note": None})
    await service.submit(
        decode_lines(about(erica, type="track", event="Looked", properties={"at": SECRETS["property"]}))
    )
    await at_rest(service)
