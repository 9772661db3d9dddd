"""Copy of the flows as of the start of a snapshot, read in slices while the flows change.

Copy on write, as for contacts: a flow that is about to change before its turn is packed first. Events change only the
counters of a flow, for which the flow itself cares (`FlowCore.touch`). All other changes call `FrozenFlows.touch`
first. Documents never change, so references to them are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.kernel.state import FlowState

DRAFT = 0
"""Stands for the draft in place of a version number."""

Document = tuple[str, int, object]
"""`(flow, version, (document, schema))`, or `(flow, DRAFT, draft)`."""


class FrozenFlows:
    """Flows that the snapshot in progress has not read yet; empty without a snapshot."""

    def __init__(self) -> None:
        self._waiting: dict[str, FlowState] = {}
        self._early: list[list[Any]] = []
        self._documents: list[Document] = []
        self._since_ms = 0

    def freeze(self, flows: Iterable[FlowState], since_ms: int) -> None:
        """Begin: `packed_flows` and `documents` yield these flows as they are now."""
        self._waiting = {flow.id: flow for flow in flows}
        self._early, self._documents, self._since_ms = [], [], since_ms
        for flow in self._waiting.values():
            if flow.core is not None:
                flow.core.freeze()

    def touch(self, flow: FlowState) -> None:
        """Pack a flow if it has not been read yet. To be called before it changes, except for its counters."""
        if self._waiting and self._waiting.get(flow.id) is flow:
            del self._waiting[flow.id]
            self._early.append(self._pack(flow))

    def packed_flows(self) -> Iterator[list[Any]]:
        """Yield the flows, packed, in no particular order."""
        while self._early or self._waiting:
            if self._early:
                yield self._early.pop()
            else:
                _, flow = self._waiting.popitem()
                yield self._pack(flow)

    def documents(self) -> Iterator[Document]:
        """Yield the documents launched or saved since `since_ms`; to be called after the flows were read."""
        while self._documents:
            yield self._documents.pop()

    def let_go(self) -> None:
        """End: forget all that was frozen."""
        self._waiting, self._early, self._documents = {}, [], []

    def _pack(self, flow: FlowState) -> list[Any]:
        self._documents += documents(flow, self._since_ms)
        return pack_flow(flow, None if flow.core is None else flow.core.frozen_pack())


def pack_flow(flow: FlowState, core: dict[str, Any] | None) -> list[Any]:
    """Return a flow without its documents, with its packed core, as a snapshot stores it."""
    versions = [[version.version, version.launched_ms, version.stopped_ms] for version in flow.versions]
    occurrence = [flow.next_ms, flow.occurred_ms, flow.skipped]
    drafted = flow.draft is not None
    return [flow.id, flow.created_ms, flow.updated_ms, flow.revisions, drafted, versions, core, occurrence]


def documents(flow: FlowState, since_ms: int) -> Iterator[Document]:
    """Yield the documents of a flow that were launched or saved at `since_ms` or later."""
    if flow.draft is not None and flow.draft.saved_ms >= since_ms:
        yield flow.id, DRAFT, flow.draft
    for version in flow.versions:
        if version.launched_ms >= since_ms:
            yield flow.id, version.version, (version.document, version.schema)
