"""The flows as they were when a snapshot was begun, given in slices while they go on changing.

As with contacts: a flow that is about to change before its turn is packed just before. Events change the counters of
a flow, which the flow itself sees to (`FlowCore.touch`); whatever else changes one calls `FrozenFlows.touch` first.
Documents never change once they are there, so references to them are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.kernel.state import FlowState

DRAFT = 0
"""In place of the number of a version."""

Document = tuple[str, int, object]
"""`(flow, version, (document, schema))`, or `(flow, DRAFT, draft)`."""


class FrozenFlows:
    """What the snapshot in progress still has to be given of the flows; nothing when there is none."""

    def __init__(self) -> None:
        self._waiting: dict[str, FlowState] = {}
        self._early: list[list[Any]] = []
        self._documents: list[Document] = []
        self._since_ms = 0

    def freeze(self, flows: Iterable[FlowState], since_ms: int) -> None:
        """From now on `given` and `documents` give these flows as they are now."""
        self._waiting = {flow.id: flow for flow in flows}
        self._early, self._documents, self._since_ms = [], [], since_ms
        for flow in self._waiting.values():
            if flow.core is not None:
                flow.core.freeze()

    def touch(self, flow: FlowState) -> None:
        """Call before a flow changes, but for its counters."""
        if self._waiting and self._waiting.get(flow.id) is flow:
            del self._waiting[flow.id]
            self._early.append(self._taken(flow))

    def given(self) -> Iterator[list[Any]]:
        """The flows, packed, in no order."""
        while self._early or self._waiting:
            if self._early:
                yield self._early.pop()
            else:
                _, flow = self._waiting.popitem()
                yield self._taken(flow)

    def documents(self) -> Iterator[Document]:
        """Those launched or saved since `since_ms`, once all flows were given."""
        while self._documents:
            yield self._documents.pop()

    def let_go(self) -> None:
        """Freeze nothing any more."""
        self._waiting, self._early, self._documents = {}, [], []

    def _taken(self, flow: FlowState) -> list[Any]:
        self._documents += documents(flow, self._since_ms)
        return pack_flow(flow, None if flow.core is None else flow.core.frozen_pack())


def pack_flow(flow: FlowState, core: dict[str, Any] | None) -> list[Any]:
    """All of it but its documents, with what its core gave."""
    versions = [[version.version, version.launched_ms, version.stopped_ms] for version in flow.versions]
    occurrence = [flow.next_ms, flow.occurred_ms, flow.skipped]
    drafted = flow.draft is not None
    return [flow.id, flow.created_ms, flow.updated_ms, flow.revisions, drafted, versions, core, occurrence]


def documents(flow: FlowState, since_ms: int) -> Iterator[Document]:
    """Those of a flow that were launched or saved since then."""
    if flow.draft is not None and flow.draft.saved_ms >= since_ms:
        yield flow.id, DRAFT, flow.draft
    for version in flow.versions:
        if version.launched_ms >= since_ms:
            yield flow.id, version.version, (version.document, version.schema)
