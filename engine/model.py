"""The words of every room: batch, outcome, trace record, effect, receipt, and the names that have one place here."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

from engine.errors import Refused
from ext.wire.event import Event

KERNEL_VERSION = 2
"""Written into every journal frame; a tail is replayed only by the version that wrote it. It grows with a release in
which any batch does anything else than before."""

CHANNELS: Final = ("email", "sms", "mobile_push", "web_push", "webhook")
"""The channels that every engine has; others are configured under names of their own."""

ENGINE_TRAITS: Final = frozenset({"points", "segments"})
"""Names that no trait may have: the engine keeps these values itself, changed by `points` and `segment` only."""

STANDING_TRAITS: Final = ENGINE_TRAITS | {"subscriptions"}
"""Names that every contact has in an expression, even if no trait of the name was set."""

NODE_KINDS: Final = ("launch", "step", "wait", "condition", "split", "ab_test", "limit")
"""The kinds of nodes, in the order of their numbers in compiled code."""

LAUNCH_MODES: Final = ("every_time", "once", "periodically")
"""How often a flow launches for one contact, in the order of their numbers in compiled code."""

TRACE_WORDS: Final = (
    *("entered", "refused", "condition", "branch", "waiting", "executed", "not_sent", "failed", "expired"),
    *("passed", "over", "left"),
)
"""What may happen to a run: `TraceRecord.what`, in the order of the counters of a node."""

END_REASONS: Final = ("completed", "no_date", "limit_reached", "stopped", "removed", "deleted", "exited")
"""Why a run may end: `reason` of a trace record `left`, in the order of the counters of a node."""

AB_METRICS: Final = ("conversion_rate", "average_order_value", "revenue_per_contact")
"""The metrics of an A/B test (rule 22); the first is the default."""

ReceiptStatus = Literal["delivered", "bounced", "failed"]

RECEIPT_STATUSES: Final[tuple[str, ...]] = get_args(ReceiptStatus)
"""What may become of an effect; `failed` means that its channel gave up."""


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
