"""A kernel with a crowd of contacts, and a stop watch on every batch.

Batches go directly to `Kernel.apply`: decoded, without traces, and with Python's collector tuned as in the service
(`engine.gc_tuning`).
"""

from __future__ import annotations

import random
import time
from typing import Any

from engine.kernel import Kernel
from engine.kernel.snapshot import Snapshot
from engine.model import Batch, Control, Input
from engine.store.checkpoint import Pace
from engine.wire import decode_lines

START_MS = 1_786_320_000_000
SECOND_MS, DAY_MS = 1_000, 86_400_000
BATCH = 1_000


class Timed:
    """Seconds that each of many things took: `wall`, and `cpu`, without what others took of the machine."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self._began = (0.0, 0.0)

    def __enter__(self) -> Timed:
        self._began = (time.perf_counter(), time.thread_time())
        return self

    def __exit__(self, *error: object) -> None:
        self.wall.append(time.perf_counter() - self._began[0])
        self.cpu.append(time.thread_time() - self._began[1])

    @property
    def longest_ms(self) -> float:
        return max(self.wall) * 1e3

    @property
    def longest_cpu_ms(self) -> float:
        return max(self.cpu) * 1e3

    @property
    def total_s(self) -> float:
        return sum(self.wall)


class ContactCrowd:
    """A kernel, its clock, and `size` contacts with ten traits each."""

    def __init__(self, size: int) -> None:
        self.kernel = Kernel(key=bytes(range(16)))
        self.size = 0
        self.now_ms = START_MS
        self.messages = 0
        self.control("channels", channels=["webhook"])
        self.grow(size)

    def grow(self, size: int) -> None:
        """Add contacts up to a given number."""
        for first in range(self.size, size, BATCH):
            lines = [self._identify(n) for n in range(first, min(first + BATCH, size))]
            self.apply(decode_lines("\n".join(lines).encode()).inputs)
        self.size = size

    @staticmethod
    def _identify(n: int) -> str:
        return (
            f'{{"type":"identify","userId":"contact-{n}","traits":{{"first_name":"N{n}","last_name":"Larsen",'
            f'"email":"n{n}@example.org","city":"Oslo","country":"NO","plan":"gold","age":{n % 80},'
            f'"score":{n % 1_000}.5,"vip":true,"timezone":"Europe/Oslo"}}}}'
        )

    def apply(
        self, inputs: list[Input], *, pass_ms: int = 0, timed: Timed | None = None
    ) -> tuple[list[Any], bool]:
        """Apply one batch. Return its answers, and whether the kernel wants another immediately."""
        self.now_ms += pass_ms
        batch = Batch(self.kernel.seq + 1, self.now_ms, inputs)
        with timed or Timed():
            outcome = self.kernel.apply(batch)
        return outcome.answers, outcome.more

    def control(self, op: str, *, timed: Timed | None = None, **args: Any) -> dict[str, Any]:
        (answer,), _ = self.apply([Control(op, args)], timed=timed)
        assert isinstance(answer, dict), answer
        return answer

    def events(self, name: str, contacts: list[int]) -> list[Input]:
        """Return a decoded event of each of these contacts."""
        lines = []
        for n in contacts:
            self.messages += 1
            lines.append(
                f'{{"type":"track","userId":"contact-{n}","event":"{name}","messageId":"m{self.messages}",'
                f'"properties":{{"total":12.5,"items":3}}}}'
            )
        return decode_lines("\n".join(lines).encode()).inputs

    def all_send(self, name: str, *, within_ms: int = 0) -> Timed:
        """Apply an event of every contact, in random order, at one millisecond or spread over several."""
        order = list(range(self.size))
        random.Random(self.messages).shuffle(order)
        timed, began_ms = Timed(), self.now_ms
        for first in range(0, self.size, BATCH):
            self.now_ms = began_ms + within_ms * first // self.size
            self.apply(self.events(name, order[first : first + BATCH]), timed=timed)
        return timed

    def settle_down(self, timed: Timed, *, pass_ms: int = 0, meanwhile: str | None = None) -> Timed:
        """Apply batches until none is wanted immediately; with `meanwhile`, each holds an event of some contacts."""
        self.now_ms += pass_ms
        more = True
        while more:
            some = [(self.messages + 7 * n) % self.size for n in range(500)] if meanwhile else []
            inputs = self.events(meanwhile, some) if meanwhile else []
            _, more = self.apply(inputs, timed=timed)
        return timed

    def receive_all(self) -> None:
        """Apply receipts that deliver every pending effect."""
        while effects := self.kernel.outbox(0, BATCH):
            self.control("receipts", receipts=[{"effect": one.id, "status": "delivered"} for one in effects])

    def waiting(self, flow: str) -> int:
        return int(self.kernel.flow(flow)["waiting"])


def parts_of(snapshot: Snapshot, timed: Timed) -> list[bytes]:
    """Return all parts of a snapshot, each timed and of the size that a checkpoint asks for."""
    pace = Pace()
    parts: list[bytes] = []
    while True:
        with timed:
            part = snapshot.part(pace.records)
        pace.took(timed.wall[-1])
        if part is None:
            return parts
        parts.append(part)


def flow(id: str, nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id, "name": id, "nodes": nodes, **more}


def start(event: str, next: str) -> dict[str, Any]:
    return {"kind": "launch", "trigger": {"event": event}, "next": next}


def message(next: str | None = None) -> dict[str, Any]:
    step: dict[str, Any] = {
        "kind": "step",
        "relevance": "none",
        "actions": [{"send": "webhook", "message": {"body": "Your cart is waiting."}}],
    }
    return step if next is None else {**step, "next": next}
