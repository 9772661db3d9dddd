"""Copy of the flows as of the start of a snapshot, read in slices while the flows change.

Copy on write, as for contacts: a flow that is about to change before its turn is packed first. Events change only the
counters of a flow, for which the flow itself cares (`FlowCore.touch`). All other changes call `FrozenFlows.touch`
first. Documents never change, so references to them are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from engine.kernel.state import FlowState

DRAFT = 0
"""Stands for the draft in place of a version number."""

Document = tuple[str, int, object]
"""`(flow, version, (document, schema))`, or `(flow, DRAFT, draft)`."""


class PackedVersion(msgspec.Struct, array_like=True, frozen=True):
    """A launched version of a flow without its documents; `stopped_ms` is None for the active one."""

    version: int
    launched_ms: int
    stopped_ms: int | None


class PackedFlow(msgspec.Struct, array_like=True, frozen=True):
    """A flow without its documents, as a snapshot stores it: a MessagePack array in this order.

    `core` is what `FlowCore.pack` returned, None for a flow that was never launched. `occurrence` holds `next_ms`,
    `occurred_ms` and `skipped` of its schedule (rule 11).
    """

    id: str
    created_ms: int
    updated_ms: int
    revisions: int
    drafted: bool
    versions: list[PackedVersion]
    core: dict[str, Any] | None
    occurrence: tuple[int | None, int | None, int]


class FrozenFlows:
    """Flows that the snapshot in progress has not read yet; empty without a snapshot."""

    def __init__(self) -> None:
        self._waiting: dict[str, FlowState] = {}
        self._early: list[PackedFlow] = []
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

    def packed_flows(self) -> Iterator[PackedFlow]:
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

    def _pack(self, flow: FlowState) -> PackedFlow:
        self._documents += documents(flow, self._since_ms)
        return pack_flow(flow, None if flow.core is None else flow.core.frozen_pack())


def pack_flow(flow: FlowState, core: dict[str, Any] | None) -> PackedFlow:
    """Return a flow without its documents, with its packed core, as a snapshot stores it."""
    return PackedFlow(
        id=flow.id,
        created_ms=flow.created_ms,
        updated_ms=flow.updated_ms,
        revisions=flow.revisions,
        drafted=flow.draft is not None,
        versions=[PackedVersion(one.version, one.launched_ms, one.stopped_ms) for one in flow.versions],
        core=core,
        occurrence=(flow.next_ms, flow.occurred_ms, flow.skipped),
    )


def documents(flow: FlowState, since_ms: int) -> Iterator[Document]:
    """Yield the documents of a flow that were launched or saved at `since_ms` or later."""
    if flow.draft is not None and flow.draft.saved_ms >= since_ms:
        yield flow.id, DRAFT, flow.draft
    for version in flow.versions:
        if version.launched_ms >= since_ms:
            yield flow.id, version.version, (version.document, version.schema)
