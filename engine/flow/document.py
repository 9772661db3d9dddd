"""The flow document, parsed: what `validate.check` makes of JSON or YAML and everything else reads.

Durations are integer milliseconds, instants integer milliseconds UTC, times of day minutes after midnight.
Edges are node ids or None (the run ends there).
"""

from __future__ import annotations

from typing import Any

import msgspec

NO_RELEVANCE = -1
"""`relevance: none`: the step never expires."""


class Window(msgspec.Struct, frozen=True):
    """A gate on leaving a wait (rule 4). `days` are 0 (Monday) to 6; `opens`, `closes` minutes after midnight.

    `opens` > `closes`: overnight, belongs to the day on which it opens. `opens` == `closes`: the whole day.
    """

    days: tuple[int, ...]
    opens: int
    closes: int


class Until(msgspec.Struct, frozen=True):
    """The date of a dynamic wait (rule 5): `date` is an expression, `at_minute` None keeps the date's own time."""

    date: str
    offset_ms: int = 0
    at_minute: int | None = None


class EventMatch(msgspec.Struct, frozen=True):
    """Events that `exit_when` or `until_event` look for: one of these names (none: any event), and `where`."""

    events: tuple[str, ...] = ()
    where: str | None = None


class EventTrigger(msgspec.Struct, frozen=True, tag="event"):
    events: tuple[str, ...]


class ScheduleTrigger(msgspec.Struct, frozen=True, tag="schedule"):
    """`every` is day, week or month; `days` 0..6 for a week, 1..31 or 0 for `last` for a month."""

    every: str
    at_minute: int
    days: tuple[int, ...] = ()


class Launch(msgspec.Struct, frozen=True, tag="launch", tag_field="kind"):
    trigger: EventTrigger | ScheduleTrigger
    where: str | None = None
    run_key: str | None = None
    """An expression: one run at a time per value of it, and events of another value do not touch that run."""
    next: str | None = None


class Send(msgspec.Struct, frozen=True, tag="send"):
    """`message` holds templates: every string inside is Liquid. `transactional` is taken out of it."""

    channel: str
    message: dict[str, Any]
    transactional: bool = False


class IssuePromoCode(msgspec.Struct, frozen=True, tag="issue_promo_code"):
    pool: str
    name: str
    """The `as` of the document: later templates of the run read `codes.<name>`."""


class Points(msgspec.Struct, frozen=True, tag="points"):
    add: int | str
    """A number, or a template that renders one."""


class UpdateCustomer(msgspec.Struct, frozen=True, tag="update_customer"):
    set: dict[str, Any] = {}
    unset: tuple[str, ...] = ()
    increment: dict[str, Any] = {}


class ChangeSegments(msgspec.Struct, frozen=True, tag="segment"):
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Emit(msgspec.Struct, frozen=True, tag="emit"):
    event: str
    properties: dict[str, Any] = {}


Action = Send | IssuePromoCode | Points | UpdateCustomer | ChangeSegments | Emit


class Step(msgspec.Struct, frozen=True, tag="step", tag_field="kind"):
    actions: tuple[Action, ...]
    title: str = ""
    relevance_ms: int = 24 * 3600 * 1000
    next: str | None = None


class Wait(msgspec.Struct, frozen=True, tag="wait", tag_field="kind"):
    for_ms: int | None = None
    until: Until | None = None
    windows: tuple[Window, ...] = ()
    until_event: EventMatch | None = None
    """The run leaves by `next` as soon as such an event comes; `for_ms` is then the timeout, left by `otherwise`."""
    next: str | None = None
    missing: str | None = None
    otherwise: str | None = None
    """The `else` of the document."""


class Condition(msgspec.Struct, frozen=True, tag="condition", tag_field="kind"):
    when: str
    then: str | None = None
    otherwise: str | None = None
    """The `else` of the document."""


class Branch(msgspec.Struct, frozen=True):
    name: str
    share: int
    """In hundredths of a per cent: 10,000 is the whole."""
    next: str | None = None
    control: bool = False


class Split(msgspec.Struct, frozen=True, tag="split", tag_field="kind"):
    branches: tuple[Branch, ...]


class Goal(msgspec.Struct, frozen=True):
    event: str
    within_ms: int
    revenue: str | None = None


class AbTest(msgspec.Struct, frozen=True, tag="ab_test", tag_field="kind"):
    variants: tuple[Branch, ...]
    goal: Goal
    metric: str = "conversion_rate"
    confidence: float = 0.95


class Limit(msgspec.Struct, frozen=True, tag="limit", tag_field="kind"):
    max: int
    per_ms: int | None = None
    next: str | None = None
    over: str | None = None


Node = Launch | Step | Wait | Condition | Split | AbTest | Limit


class Frequency(msgspec.Struct, frozen=True):
    """`mode` is once, every_time or periodically (then `every_ms` is set); rules 12 to 15."""

    mode: str = "every_time"
    every_ms: int | None = None
    max: int | None = None


class Schedule(msgspec.Struct, frozen=True):
    start_ms: int | None = None
    end_ms: int | None = None


class Flow(msgspec.Struct, frozen=True):
    id: str
    name: str
    folder: str = "main"
    brand: str | None = None
    timezone: str = "UTC"
    frequency: Frequency = Frequency()
    schedule: Schedule = Schedule()
    when_paused: str = "leave"
    tags: tuple[str, ...] = ()
    exit_when: EventMatch | None = None
    nodes: dict[str, Node] = {}
    """By node id, in the order of the document."""

    @property
    def start(self) -> str:
        """The id of the launch node."""
        return next(name for name, node in self.nodes.items() if isinstance(node, Launch))
