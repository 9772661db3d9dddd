"""State of the kernel in one place, with the time of the batch."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import Problem
from engine.flow.program import Program
from engine.flow.schema import DEFAULT, Schema
from engine.kernel.dead_letters import DeadLetters
from engine.kernel.flow_snapshot import FrozenFlows
from engine.kernel.outbox import PendingEffects
from engine.kernel.pools import CodePools
from engine.kernel.problem_log import Monitor
from ext.kernel.core import Core
from ext.kernel.flow import FlowCore


class FlowDraft(msgspec.Struct):
    """Document being edited, as it was saved, and its problems."""

    document: dict[str, Any]
    revision: int
    saved_ms: int
    problems: tuple[Problem, ...] = ()


class Version(msgspec.Struct):
    """Launched document; `stopped_ms` is None for the active version (rule 29).

    `schema` is the one that the document was checked against: a stricter schema later does not stop the version.
    """

    version: int
    document: dict[str, Any]
    schema: dict[str, Any]
    launched_ms: int
    stopped_ms: int | None = None


class FlowState(msgspec.Struct):
    """Flow over its life. `core` and `program` are None until the first launch."""

    id: str
    created_ms: int
    updated_ms: int
    revisions: int = 0
    draft: FlowDraft | None = None
    versions: list[Version] = []
    core: FlowCore | None = None
    program: Program | None = None
    next_ms: int | None = None
    """Next occurrence of a scheduled launch (rule 11)."""
    occurred_ms: int | None = None
    """Last occurrence that was started or skipped; an occurrence starts once."""
    skipped: int = 0
    """Number of occurrences that were missed and too old to start late."""

    @property
    def active(self) -> Version | None:
        return self.versions[-1] if self.versions else None


class Sweep(msgspec.Struct):
    """Scheduled launch in progress: contacts up to `after`, in order of id, are done."""

    flow: str
    occurrence_ms: int
    after: str | None = None


class State:
    """State of an engine.

    `core` holds contacts, runs and timers, and the names of the configured channels. In scenarios and simulations these
    are None: every channel exists. The rest is small and seldom changes.
    """

    def __init__(self, core: Core, *, keep_effects: bool) -> None:
        self.core = core
        self.seq = 0
        self.flows: dict[str, FlowState] = {}
        self.flow_numbers = 0
        self.frozen = FrozenFlows()
        self.pools = CodePools()
        self.outbox = core.outbox = PendingEffects(keep=keep_effects)
        self.monitor = Monitor()
        self.dead_letters = DeadLetters()
        self.schema: Schema = DEFAULT
        self.receipts: dict[str, int] = {}
        self.sweeps: list[Sweep] = []
        self.erasures = 0
        """Number of requests to delete a contact since this state was made; not part of snapshots."""

    @property
    def now_ms(self) -> int:
        return self.core.now_ms

    def flow_of(self, number: int) -> FlowState | None:
        """Return the flow with this stable number, or None if it was deleted."""
        core = self.core.registry.flows.get(number)
        flow = None if core is None else self.flows.get(core.id)
        return flow if flow is not None and flow.core is core else None
