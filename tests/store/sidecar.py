"""A process to be killed: the service on a directory, event lines in, `ack <lines>` out.

    python -m tests.store.sidecar DIR [fake|real]

Once ready it writes `ready <digest>`; when its input ends it stops cleanly and writes `end <digest>`. Checkpoints are
made all the time, so that a kill finds one in progress.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from engine import tuning
from engine.delivery.channels import DEFAULT_NAMES, Outbox
from engine.kernel import Kernel
from engine.service import Service, ServiceConfig, running
from engine.submission import Ticket
from engine.wire import decode_lines
from tests.store.fake_kernel import FakeKernel

FLOW = {
    "id": "thanks",
    "name": "Thanks",
    "folder": "main",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "seen"}, "next": "even"},
        "even": {"kind": "condition", "when": "event.properties.number % 2 == 0", "then": "point"},
        "point": {
            "kind": "step",
            "actions": [{"points": {"add": 1}}, {"send": "webhook", "message": {"n": "1"}}],
        },
    },
}
KERNELS = {"fake": FakeKernel, "real": lambda key: Kernel(key=key)}


async def main(data: str, kernel: str) -> None:
    tuning.CHECKPOINT_GROUP_BYTES = 20_000
    config = ServiceConfig(
        data=Path(data),
        kernel=KERNELS[kernel],  # type: ignore[arg-type]
        channels=dict.fromkeys(DEFAULT_NAMES, Outbox()),
        checkpoint_every_bytes=50_000,
    )
    async with running(config) as service:
        if isinstance(service.kernel, Kernel) and not service.kernel.flows():
            await service.control("launch", flow=FLOW)
        say(f"ready {service.kernel.digest().hex()}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints, service)
            await converse(service)
            nursery.cancel_scope.cancel()
    say(f"end {service.kernel.digest().hex()}")


async def converse(service: Service) -> None:
    send, receive = trio.open_memory_channel[tuple[int, Ticket]](100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledge, receive)
        await read(service, send)


async def read(service: Service, send: trio.MemorySendChannel[tuple[int, Ticket]]) -> None:
    source = trio.lowlevel.FdStream(sys.stdin.fileno())
    rest, lines = b"", 0
    async with send:
        async for data in source:
            whole, newline, rest = (rest + data).rpartition(b"\n")
            decoded = decode_lines(whole + newline)
            lines += decoded.lines
            await send.send((lines, await service.enqueue(decoded)))


async def acknowledge(receive: trio.MemoryReceiveChannel[tuple[int, Ticket]]) -> None:
    async for lines, ticket in receive:
        await ticket.wait()
        say(f"ack {lines}")


async def checkpoints(service: Service) -> None:
    while True:
        await service._checkpointer.make()
        await trio.lowlevel.checkpoint()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
