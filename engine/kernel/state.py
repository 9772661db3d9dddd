"""All that the kernel remembers, in one place, and the number everybody asks for: the time of the batch."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import Problem
from engine.flow.program import Program
from engine.flow.schema import DEFAULT, Schema
from engine.kernel.dead_letters import DeadLetters
from engine.kernel.flow_snapshot import FrozenFlows
from engine.kernel.outbox import Outbox
from engine.kernel.pools import Pools
from engine.kernel.problem_log import Monitor
from ext.kernel.core import Path
from ext.kernel.flow import FlowCore


class Draft(msgspec.Struct):
    """What is being edited: the document as it was saved, and what is wrong with it."""

    document: dict[str, Any]
    revision: int
    saved_ms: int
    problems: tuple[Problem, ...] = ()


class Version(msgspec.Struct):
    """A launched document; `stopped_ms` is None for the active one (rule 29).

    `schema` is the one it was checked against: a stricter one later does not stop what runs.
    """

    version: int
    document: dict[str, Any]
    schema: dict[str, Any]
    launched_ms: int
    stopped_ms: int | None = None


class FlowState(msgspec.Struct):
    """A flow over its life. `core` is None until the first launch."""

    id: str
    created_ms: int
    updated_ms: int
    revisions: int = 0
    draft: Draft | None = None
    versions: list[Version] = []
    core: FlowCore | None = None
    program: Program | None = None
    next_ms: int | None = None
    """The next occurrence of a scheduled launch (rule 11)."""
    occurred_ms: int | None = None
    """The last one that was started; none is started twice."""
    skipped: int = 0
    """Occurrences missed and too old to be made up for."""

    @property
    def active(self) -> Version | None:
        return self.versions[-1] if self.versions else None


class Sweep(msgspec.Struct):
    """A scheduled launch under way: contacts up to `after` (in order of id) have had their turn."""

    flow: str
    occurrence_ms: int
    after: str | None = None


class State:
    """The state of an engine. `path` holds contacts, runs and timers, and which channels are configured (None: every
    one is, and takes what it is given: scenarios, simulation); the rest is small and seldom changes."""

    def __init__(self, path: Path, *, keep_effects: bool) -> None:
        self.path = path
        self.seq = 0
        self.flows: dict[str, FlowState] = {}
        self.flow_numbers = 0
        self.frozen = FrozenFlows()
        self.pools = Pools()
        self.outbox = path.outbox = Outbox(keep=keep_effects)
        self.monitor = Monitor()
        self.dead_letters = DeadLetters()
        self.schema: Schema = DEFAULT
        self.receipts: dict[str, int] = {}
        self.sweeps: list[Sweep] = []
        self.erasures = 0
        """Deletions of contacts asked for since this state was made; in no snapshot."""

    @property
    def now_ms(self) -> int:
        return self.path.now_ms

    def flow_of(self, number: int) -> FlowState | None:
        """The flow with this stable number, or None if it was deleted."""
        core = self.path.flows.get(number)
        flow = None if core is None else self.flows.get(core.id)
        return flow if flow is not None and flow.core is core else None
