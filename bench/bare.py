"""A kernel by itself with the contacts of `api.measure.work`: an event without journal, sockets and decoding.

Figures are CPU time of this thread. A batch takes one or two milliseconds, a time slice of another program four: on a
shared machine the wall-clock median of such rounds measures the other program as often as the kernel.
"""

from __future__ import annotations

import time
from typing import Any

from api.measure import work
from engine.kernel import Kernel
from engine.limits import BATCH_INPUTS_MAX
from engine.model import Batch, Control, Input
from engine.wire import decode_lines
from ext.structures.memory import use_large_pages

START_MS = 1_786_320_000_000
CHUNK = 100_000
BATCH = 1_000


class Bare:
    """A kernel, its contacts and the time of its batches."""

    def __init__(self, contacts: int) -> None:
        use_large_pages()
        self.kernel = Kernel(key=bytes(range(16)))
        self.now_ms = START_MS
        self.contacts = contacts
        for first in range(0, contacts, CHUNK):
            self.apply(
                decode_lines(work.contacts(min(CHUNK, contacts - first), first)).inputs, BATCH_INPUTS_MAX
            )

    def control(self, op: str, **args: Any) -> dict[str, Any]:
        self.now_ms += 1
        outcome = self.kernel.apply(Batch(self.kernel.seq + 1, self.now_ms, [Control(op, args)]))
        (answer,) = outcome.answers
        assert isinstance(answer, dict), answer
        return answer

    def apply(self, inputs: list[Input], each: int = BATCH) -> float:
        """Return the seconds of CPU in which the kernel applies these inputs, in batches of a given size."""
        batches = [inputs[at : at + each] for at in range(0, len(inputs), each)]
        took_s = 0.0
        for batch in batches:
            self.now_ms += 1
            made = Batch(self.kernel.seq + 1, self.now_ms, batch)
            began_s = time.thread_time()
            self.kernel.apply(made)
            took_s += time.thread_time() - began_s
        return took_s

    def events(self, count: int, *, first: int, name: str) -> float:
        """Return the seconds of CPU in which the kernel applies `count` events, from number `first` on.

        Their contacts come in random order.
        """
        lines = work.events(count, contacts=self.contacts, first=first, name=name, run=name[:2])
        return self.apply(decode_lines(lines).inputs)
