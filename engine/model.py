"""Words of every room: batch, outcome, trace record, effect, receipt, and the names that have one place here."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

from engine.errors import Refused
from ext.wire.event import Event

KERNEL_VERSION = 2
"""Version in every journal frame; only the version that wrote a tail replays it. It grows with a release in which any
batch has another outcome than before."""

CHANNELS: Final = ("email", "sms", "mobile_push", "web_push", "webhook")
"""The channels that every engine has; others are configured under names of their own."""

ENGINE_TRAITS: Final = frozenset({"points", "segments"})
"""Names that no trait may have: the engine keeps these values itself, and only `points` and `segment` change them."""

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
"""Values of `TraceRecord.what`, in the order of the counters of a node."""

END_REASONS: Final = ("completed", "no_date", "limit_reached", "stopped", "removed", "deleted", "exited")
"""Values of `reason` in a trace record `left`, in the order of the counters of a node."""

AB_METRICS: Final = ("conversion_rate", "average_order_value", "revenue_per_contact")
"""The metrics of an A/B test (rule 22); the first is the default."""

ReceiptStatus = Literal["delivered", "bounced", "failed"]

RECEIPT_STATUSES: Final[tuple[str, ...]] = get_args(ReceiptStatus)
"""Statuses of a receipt."""


class Control(msgspec.Struct, frozen=True):
    """Operation on the engine itself: `op` names it, `args` are its other keys."""

    op: str
    args: dict[str, Any]


Input = Event | Control


class Batch(msgspec.Struct, frozen=True):
    """Unit of the journal, of the kernel, of a commit. Time is an input (`now_ms`, UTC)."""

    seq: int
    now_ms: int
    inputs: list[Input]


class TraceRecord(msgspec.Struct, omit_defaults=True):
    """Step in the life of one run. `at` is ms UTC here; `engine.simulation.simulator` writes it as RFC 3339."""

    at: int
    flow: str
    version: int
    run: int
    contact: str
    node: str
    what: str
    detail: dict[str, Any] = {}


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Message to be delivered at least once, always under the same `id` (rule 16).

    `seq` grows by one per effect over the life of the engine and is the cursor of the outbox. There may be millions
    of effects, and they are never part of a cycle, so Python's collector ignores them (`gc=False`).
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
    """End of an effect: `delivered`, `bounced` or `failed`, after which no channel tries it again (rule 18)."""

    effect: str
    status: str
    detail: str = ""


class Outcome(msgspec.Struct):
    """Result of a batch. `answers[i]` belongs to `inputs[i]`: None for an event, a dict or a Refused for a Control."""

    effects: list[Effect]
    trace: list[TraceRecord]
    answers: list[dict[str, Any] | Refused | None]
    more: bool
    """Whether timers are still due, so that another batch must follow without waiting for input."""
