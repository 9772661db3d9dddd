"""The answers of the management API, as `/openapi.json` shows them.

The engine answers in plain dicts; these structs say what is in them. Nothing else reads them, but the tests
hold every answer against its struct, unknown fields refused. Dates are RFC 3339 texts in UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from engine.errors import Problem

Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Document = Annotated[dict[str, Any], msgspec.Meta(description="A flow as people write it.")]
PerNode = Annotated[dict[str, int], msgspec.Meta(description="A number for each node id.")]


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all answers: a field that is not described here is a mistake of ours."""


class FlowEntry(Shape):
    """A flow in a list."""

    id: str
    name: str
    folder: str
    brand: str | None
    tags: list[str]
    status: Annotated[
        Literal["draft", "ready", "launching", "active", "paused", "creating_draft"],
        msgspec.Meta(
            description="`launching`: runs that the last launch removed are still being ended (rule 24)."
        ),
    ]
    reason: Annotated[str | None, msgspec.Meta(description="Why it is paused: by whom, or `schedule_end`.")]
    version: Annotated[int | None, msgspec.Meta(description="The active version.")]
    launched_at: Instant | None
    draft: Annotated[bool, msgspec.Meta(description="Whether there is a draft beside the active version.")]
    waiting: Annotated[int, msgspec.Meta(description="Runs that wait just now.")]
    entered: Annotated[int, msgspec.Meta(description="Runs that ever began.")]
    created_at: Instant
    updated_at: Instant


class VersionEntry(Shape):
    """A version in a flow's history."""

    version: int
    launched_at: Instant
    stopped_at: Instant | None


class FlowDetail(FlowEntry):
    """A flow: where it stands, what runs and what was."""

    frequency: Annotated[dict[str, Any] | None, msgspec.Meta(description="Of the active version.")]
    schedule: Annotated[dict[str, Instant | None], msgspec.Meta(description="`start` and `end`.")]
    timezone: str | None
    versions: list[VersionEntry]
    active: Document | None
    problems: Annotated[list[Problem], msgspec.Meta(description="Of the draft; none: it can be launched.")]


class FlowList(Shape):
    """Flows in the order of their ids."""

    flows: list[FlowEntry]
    cursor: str | None


Warnings = Annotated[
    list[Problem], msgspec.Meta(description="What is probably not meant; it can be launched all the same.")
]


class Draft(Shape):
    """A draft. Its `revision` is also its ETag."""

    flow: str
    status: Literal["draft", "ready"]
    revision: int
    saved_at: Instant
    document: Document
    problems: list[Problem]
    warnings: Warnings


class Saved(Shape):
    """What saving a draft found."""

    flow: str
    status: Literal["draft", "ready"]
    revision: int
    saved_at: Instant
    problems: list[Problem]
    warnings: Warnings


class Staying(Shape):
    """Waiting runs that stay where they are."""

    total: int
    nodes: PerNode


class Removed(Shape):
    """Waiting runs that end because their wait is gone (rule 27)."""

    total: int
    nodes: PerNode
    contacts: Annotated[list[str], msgspec.Meta(description="The first 1,000 of them.")] = []


class Impact(Shape):
    """What launching the draft would do to the runs that wait now (rule 26)."""

    flow: str
    version: Annotated[int, msgspec.Meta(description="The number it would get.")]
    problems: Annotated[list[Problem], msgspec.Meta(description="With any, it cannot be launched.")]
    stay: Staying
    removed: Removed


class Launched(Shape):
    """A version that has just become the active one."""

    flow: str
    version: int
    status: str
    reason: str | None
    stay: Staying
    removed: Removed


class Versions(Shape):
    """A flow's versions, the oldest first."""

    versions: list[VersionEntry]


class VersionDetail(VersionEntry):
    """One version and the document that ran."""

    flow: str
    document: Document


class Stats(Shape):
    """How many runs came to each node, and what became of them there."""

    flow: str
    version: int | None
    nodes: Annotated[
        dict[str, dict[str, int]],
        msgspec.Meta(
            description="By node id: `arrived`, `waiting`, and a number for each outcome and reason to leave."
        ),
    ]


class Metric(Shape):
    """A metric of one variant, and against the control; null: it cannot be said (yet)."""

    value: Annotated[float | None, msgspec.Meta(description="Revenue in units of the currency.")]
    lift: Annotated[float | None, msgspec.Meta(description="0.1: ten per cent more than the control.")]
    interval: Annotated[tuple[float, float] | None, msgspec.Meta(description="Of the lift, at `confidence`.")]
    p_value: float | None
    significant: Annotated[bool, msgspec.Meta(description="Whether the interval excludes zero.")]


class Metrics(Shape):
    """The three metrics of one variant."""

    conversion_rate: Metric
    average_order_value: Metric
    revenue_per_contact: Metric


class Variant(Shape):
    """A variant of an A/B test: who came, and what they did within the goal's time."""

    name: str
    control: bool
    share: Annotated[float, msgspec.Meta(description="In per cent.")]
    contacts: int
    conversions: Annotated[int, msgspec.Meta(description="Contacts with a goal event.")]
    orders: Annotated[int, msgspec.Meta(description="Goal events.")]
    revenue: float | None
    metrics: Metrics


class SampleRatio(Shape):
    """Whether the contacts are spread over the variants as the shares say."""

    p_value: float | None
    mismatch: Annotated[bool, msgspec.Meta(description="p < 0.001: do not trust the figures.")]


class Report(Shape):
    """An A/B test: its variants, and which is better, as far as that can be said (rule 22)."""

    flow: str
    node: str
    metric: Annotated[str, msgspec.Meta(description="The metric that decides the winner.")]
    confidence: float
    started_at: Annotated[Instant | None, msgspec.Meta(description="When the first contact came.")]
    days: Annotated[float, msgspec.Meta(description="Since then.")]
    contacts: int
    sample_ratio: SampleRatio
    variants: list[Variant]
    winner: Annotated[str | None, msgspec.Meta(description="The name of a variant; null: none yet.")]
    reason: Annotated[str, msgspec.Meta(description="Why that one, or what a winner still needs.")]


class RunEntry(Shape):
    """A run that waits."""

    run: int
    contact: str
    version: int
    node: str
    entered_at: Instant
    until: Instant | None


class Runs(Shape):
    """Runs of a flow that wait."""

    runs: list[RunEntry]
    cursor: str | None


class EventSummary(Shape):
    """How often a contact did something, and when last."""

    count: int
    last: Instant | None


class Contact(Shape):
    """A contact as the engine knows it."""

    id: str
    traits: dict[str, Any]
    segments: list[str]
    points: int
    created_at: Instant
    events: Annotated[dict[str, EventSummary], msgspec.Meta(description="By name of event.")]
    frequency: Annotated[dict[str, dict[str, Any]], msgspec.Meta(description="By flow (rules 12 to 15).")]
    aliases: Annotated[list[str], msgspec.Meta(description="Further ids of the same contact.")]


class ContactRun(Shape):
    """A run of one contact: waiting, or one of the last that ended."""

    run: int
    flow: str
    version: int
    node: str
    entered_at: Instant
    state: Literal["waiting", "ended"]
    until: Instant | None = None
    left_at: Instant | None = None
    reason: str | None = None


class ContactRuns(Shape):
    """Runs of one contact."""

    runs: list[ContactRun]


class Why(Shape):
    """Why a contact is, or is not, in a flow, and whether an event could bring it in."""

    contact: str
    flow: str
    in_flow: bool
    runs: list[ContactRun]
    may_enter: bool
    reason: str | None
    until: Instant | None
    detail: str


class Members(Shape):
    """Contacts of a segment, in the order of their ids."""

    members: list[str]
    cursor: str | None


class Changed(Shape):
    """How many contacts the operation changed."""

    segment: str
    changed: int


class Pool(Shape):
    """A pool of promo codes."""

    id: str
    available: int
    issued: int


class Pools(Shape):
    """All pools of promo codes."""

    pools: list[Pool]


class EffectEntry(Shape):
    """A message to be delivered; the same `id` every time it is handed out."""

    seq: int
    id: str
    at: Instant
    contact: str
    flow: str
    version: int
    run: int
    node: str
    channel: str
    address: Any
    message: dict[str, Any]


class Outbox(Shape):
    """Messages without a receipt, the oldest first."""

    effects: list[EffectEntry]
    after: Annotated[int, msgspec.Meta(description="Ask with this `after` for what follows.")]


class Accepted(Shape):
    """How many were taken, and ids that nobody knows (or that have a receipt, or are in the outbox, already)."""

    accepted: int
    unknown: list[str]


class ProblemEntry(Shape):
    """Something under monitoring."""

    at: Instant
    what: str
    flow: str | None
    node: str | None
    contact: str | None
    detail: Any


class DeadLetter(Shape):
    """A message that was given up and can be tried again."""

    effect: str
    at: Instant
    channel: str
    contact: str
    flow: str
    node: str
    detail: str


class Monitoring(Shape):
    """What went wrong lately, the newest first."""

    problems: list[ProblemEntry]
    dead_letters: list[DeadLetter]


class BackedUp(Shape):
    """A copy of the data directory: the state after batch `seq`."""

    folder: str
    seq: int


class Health(Shape):
    """The process answers."""

    status: Literal["ok"]


class Simulated(Shape):
    """What the flow would have done."""

    trace: list[dict[str, Any]]
    stats: Stats
    truncated: Annotated[bool, msgspec.Meta(description="The trace is longer than what is returned.")]
