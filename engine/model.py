"""The words everybody uses: batch, outcome, trace record, effect, receipt."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import Refused
from ext.wire.event import Event

KERNEL_VERSION = 2
"""Written into every journal frame; a tail is replayed only by the version that wrote it. It grows with a release in
which any batch does anything else than before."""


class Control(msgspec.Struct, frozen=True):
    """An operation on the engine itself: `op` names it, `args` are its other keys."""

    op: str
    args: dict[str, Any]


Input = Event | Control


class Batch(msgspec.Struct, frozen=True):
    """The unit of the journal, of the kernel, of a commit. Time is an input (`now_ms`, UTC)."""

    seq: int
    now_ms: int
    inputs: list[Input]


class TraceRecord(msgspec.Struct, omit_defaults=True):
    """One thing that happened to one run. `at` is ms UTC here; `engine.simulation.simulator` writes it as RFC 3339."""

    at: int
    flow: str
    version: int
    run: int
    contact: str
    node: str
    what: str
    detail: dict[str, Any] = {}


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A message to be delivered at least once, always under the same `id` (rule 16).

    `seq` grows by one per effect over the life of the engine and is the cursor of the outbox. There may be millions
    and they are never part of a cycle, so the collector need not look at them.
    """

    seq: int
    id: str
    at: int
    contact: str
    flow: str
    version: int
    run: int
    node: str
    channel: str
    address: Any
    message: dict[str, Any]


STATUSES = ("delivered", "bounced", "failed")
"""Of receipts."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What became of an effect: `delivered`, `bounced` or `failed` (gave up) (rule 18)."""

    effect: str
    status: str
    detail: str = ""


class Outcome(msgspec.Struct):
    """What a batch did. `answers[i]` belongs to `inputs[i]`: None for an event, a dict or a Refused for a Control."""

    effects: list[Effect]
    trace: list[TraceRecord]
    answers: list[dict[str, Any] | Refused | None]
    more: bool
    """Timers are still due: apply another batch without waiting for input."""
