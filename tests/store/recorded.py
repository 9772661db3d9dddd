"""A process whose file calls are recorded (by file_calls.h, loaded before it): a short life of the service.

    FILE_CALLS_LOG=LOG LD_PRELOAD=… python -m tests.store.recorded DIR

After each acknowledgement it appends a mark to the log: kind M, file -, the durable seq as offset. At the end it
prints a JSON object: the digest of the state after each batch, by seq.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from random import Random

import trio

from engine import tuning
from engine.delivery.channels import DEFAULT_NAMES, Outbox
from engine.kernel import Kernel
from engine.model import Batch, Outcome
from engine.service import Service, ServiceConfig, running
from engine.wire import decode_lines
from tests.store.helpers import line
from tests.store.sidecar import FLOW

HEAD = struct.Struct("=ccqQ")
digests: dict[int, str] = {}


class Telling(Kernel):
    """Notes its digest after each batch."""

    def apply(self, batch: Batch) -> Outcome:
        outcome = super().apply(batch)
        digests[batch.seq] = self.digest().hex()
        return outcome


async def main(data: str) -> None:
    tuning.CHECKPOINT_GROUP_BYTES = 3_000
    tuning.CHECKPOINT_PIECE_BYTES = 1_000
    log = os.open(os.environ["FILE_CALLS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    config = ServiceConfig(
        data=Path(data), kernel=lambda key: Telling(key=key), channels=dict.fromkeys(DEFAULT_NAMES, Outbox())
    )
    async with running(config) as service:

        def mark() -> None:
            os.write(log, HEAD.pack(b"M", b"-", service.durable_seq, 0))

        mark()
        await service.control("launch", flow=FLOW)
        mark()
        for number in range(24):
            await submit(service, number)
            mark()
            if number % 8 == 7:
                await service._checkpointer.make()
                mark()
    print(json.dumps(digests))


async def submit(service: Service, number: int) -> None:
    """Submit a batch of one line, of three, or of several pages."""
    count, padding = ((1, 10), (3, 100), (5, 2_500))[number % 3]
    body = b"".join(
        line(f"c{n}", message=f"m{number}-{n}", number=n, padding=Random(n).randbytes(padding).hex())
        for n in range(count)
    )
    await service.submit(decode_lines(body))


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
