"""The whole state as a sequence of parts, and back.

A snapshot is taken between two batches and read in slices while further batches are applied, so nothing may hold
the loop: what is small (flows, counters, pools' sizes) is packed at once, everything else a slice at a time. A
contact that is about to change before its turn is packed just before (`Path.touch`), an effect that is settled is put
aside (`Outbox.settle`), fingerprints that are forgotten stay readable (`Fingerprints.hold`), and documents of flows
and blocks of codes never change, so references taken at the start are enough.

Parts are MessagePack `[kind, payload]`: `state` comes first; `documents`, `recent` (fingerprints), `codes`, `outbox`
and `contacts` follow. Restoring reads the newest snapshot first, then the one before, down to the base, and builds as
it reads: the first `state`, the first document of each version and the first record of each contact count, whatever
is older is passed over. So a delta needs no second way in, and no part is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec

from engine.flow.schema import parse_schema
from engine.kernel import flows
from engine.kernel.state import Draft, FlowState, State, Sweep, Version
from engine.model import Effect
from ext.flow import FlowCore

FINGERPRINTS_PER_RECORD = 512
RECORDS_PER_BLOCK = 16
RECORDS_PER_DOCUMENT = 64
"""What packing takes: a contact as long as so many fingerprints, a block of codes or a document as long as so many
contacts."""

DRAFT = 0
"""In place of the number of a version."""

FOREVER_AGO = -(1 << 63)

Documents = dict[tuple[str, int], Any]

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_part = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_effects = msgspec.msgpack.Decoder(list[Effect])


class Snapshot:
    """The state as of batch `seq`; `full`, or only the contacts, documents and fingerprints that are new since the
    one before, which was at `since_ms` with the fingerprints up to `since`."""

    def __init__(self, state: State, *, full: bool, since: int, since_ms: int) -> None:
        self.seq = state.seq
        self.now_ms = state.now_ms
        self.full = full
        self.recent_mark = state.path.recent.mark
        self._state = state
        deleted = state.path.snapshot(full)
        anew = state.path.recent.hold(0 if full else since)
        state.outbox.hold()
        more = {"deleted": [] if full else deleted, "recent_anew": anew}
        self._small: bytes | None = _pack(["state", {**pack_state(state), **more}])
        self._documents = iter(_documents(state, FOREVER_AGO if full else since_ms))
        self._codes = iter(state.pools.blocks())
        self._done = False
        self.complete = False

    def part(self, records_max: int) -> bytes | None:
        """The next part, worth about `records_max` contacts; None when all were given."""
        if self._done:
            return None
        path = self._state.path
        if self._small is not None:
            small, self._small = self._small, None
            return small
        if documents := list(islice(self._documents, max(1, records_max // RECORDS_PER_DOCUMENT))):
            return _pack(["documents", documents])
        if (recent := path.recent.held_part(records_max * FINGERPRINTS_PER_RECORD)) is not None:
            return _pack(["recent", recent])
        if codes := list(islice(self._codes, max(1, records_max // RECORDS_PER_BLOCK))):
            return _pack(["codes", codes])
        if effects := self._state.outbox.held_part(records_max):
            return _pack(["outbox", effects])
        if contacts := path.snapshot_part(records_max):
            return _pack(["contacts", contacts])
        self._done = self.complete = True
        return None

    def abandon(self) -> None:
        """Give up: the next snapshot will be a full one."""
        if not self._done:
            self._done = True
            self._state.path.abandon_snapshot()
            self._state.path.recent.let_go()
            self._state.outbox.let_go()


def pack_state(state: State) -> dict[str, Any]:
    """Everything but contacts, codes, effects, documents and fingerprints."""
    return {
        "seq": state.seq,
        "now": state.now_ms,
        "path": state.path.pack(),
        "flows": [_pack_flow(flow) for _, flow in sorted(state.flows.items())],
        "dead": [core.pack() for _, core in sorted(state.path.flows.items()) if core.dead],
        "flow_numbers": state.flow_numbers,
        "issued": state.pools.issued(),
        "outbox_seq": state.outbox.last_seq,
        "sweeps": state.sweeps,
        "monitor": state.monitor.pack(),
        "schema": state.schema.document(),
        "channels": state.path.channels,
        "receipts": sorted(state.receipts.items()),
    }


def _pack_flow(flow: FlowState) -> list[Any]:
    core = None if flow.core is None else flow.core.pack()
    versions = [[version.version, version.launched_ms, version.stopped_ms] for version in flow.versions]
    occurrence = [flow.next_ms, flow.occurred_ms, flow.skipped]
    drafted = flow.draft is not None
    return [flow.id, flow.created_ms, flow.updated_ms, flow.revisions, drafted, versions, core, occurrence]


def _documents(state: State, since_ms: int) -> list[tuple[str, int, object]]:
    """`(flow, version, [document, schema])` and `(flow, DRAFT, draft)`, those launched or saved since then."""
    found: list[tuple[str, int, object]] = []
    for id, flow in sorted(state.flows.items()):
        if flow.draft is not None and flow.draft.saved_ms >= since_ms:
            found.append((id, DRAFT, flow.draft))
        for version in flow.versions:
            if version.launched_ms >= since_ms:
                found.append((id, version.version, (version.document, version.schema)))
    return found


def restore(state: State, parts: Iterable[bytes]) -> None:
    """Bring a fresh state to what a base and its deltas say, whose parts come newest snapshot first."""
    restoring = Restoring(state)
    for part in parts:
        kind, raw = _part.decode(part)
        restoring.take(kind, raw)
    restoring.end()


class Restoring:
    """A state that is being restored, snapshot by snapshot.

    Cores of flows are there as soon as the newest `state` is, for runs to refer to; the documents that they run may
    come with any older snapshot, so they are installed at the end. Fingerprints are remembered oldest first, so those
    of later snapshots wait until then.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._newest: dict[str, Any] = {}
        self._snapshots = 0
        self._deleted: list[str] = []
        self._gone: frozenset[str] = frozenset()
        self._documents: Documents = {}
        self._recent: list[list[bytes]] = []
        self._recent_done = self._anew = False
        self._codes: dict[str, list[str]] = {}
        self._effects: list[Effect] = []

    def take(self, kind: str, raw: msgspec.Raw) -> None:
        """The next part."""
        if kind == "contacts":
            self._state.path.restore(bytes(raw), self._gone)
        elif kind == "state":
            self._begin(_unpack(raw))
        elif kind == "documents":
            for flow, number, document in _unpack(raw):
                self._documents.setdefault((flow, number), document)
        elif kind == "recent":
            if not self._recent_done:
                self._recent[-1].append(_unpack(raw))
        elif kind == "outbox":
            if self._snapshots == 1:
                self._effects += _effects.decode(raw)
        else:
            assert kind == "codes", f"a snapshot has no part {kind!r}"
            if self._snapshots == 1:
                for pool, some in _unpack(raw):
                    self._codes.setdefault(pool, []).extend(some)

    def _begin(self, packed: dict[str, Any]) -> None:
        """A snapshot begins. Contacts deleted before it are in no older one."""
        self._snapshots += 1
        if self._snapshots == 1:
            self._newest = packed
            _restore_small(self._state, packed)
        self._gone = self._gone.union(self._deleted)
        self._deleted = packed["deleted"]
        self._recent_done = self._anew
        self._anew = self._anew or packed["recent_anew"]
        self._recent.append([])

    def end(self) -> None:
        """All parts were taken."""
        if not self._snapshots:
            return
        state, packed = self._state, self._newest
        for parts in reversed(self._recent):
            for part in parts:
                state.path.recent.unpack(part)
        state.pools.restore(packed["issued"], self._codes)
        state.outbox.restore(packed["outbox_seq"], self._effects)
        _restore_flows(state, packed, self._documents)
        state.path.restored_all()


def _restore_small(state: State, packed: dict[str, Any]) -> None:
    state.seq = packed["seq"]
    state.path.unpack(packed["path"], packed["now"])
    schema, _ = parse_schema(packed["schema"])
    assert schema is not None
    state.schema = schema
    state.flow_numbers = packed["flow_numbers"]
    state.monitor.unpack(packed["monitor"])
    state.path.channels = None if packed["channels"] is None else tuple(packed["channels"])
    state.receipts = dict(packed["receipts"])
    state.sweeps = [msgspec.convert(sweep, Sweep) for sweep in packed["sweeps"]]
    running = [flow[6] for flow in packed["flows"] if flow[6] is not None]
    for one in [*running, *packed["dead"]]:
        core = FlowCore(one["no"], one["id"])
        core.unpack(one)
        core.unpack_times(one)
        state.path.add_flow(core)


def _restore_flows(state: State, packed: dict[str, Any], documents: Documents) -> None:
    for id, created_ms, updated_ms, revisions, drafted, versions, running, occurrence in packed["flows"]:
        draft = msgspec.convert(documents[(id, DRAFT)], Draft) if drafted else None
        launched = []
        for number, launched_ms, stopped_ms in versions:
            document, schema = documents[(id, number)]
            launched.append(Version(number, document, schema, launched_ms, stopped_ms))
        flow = FlowState(id, created_ms, updated_ms, revisions, draft, launched)
        flow.next_ms, flow.occurred_ms, flow.skipped = occurrence
        state.flows[id] = flow
        if running is not None:
            core = state.path.flows[running["no"]]
            flows.install(state, flow, core)
            core.unpack_times(running)
    state.path.plan_triggers()


def digest(state: State) -> bytes:
    """16 bytes over everything, the same for states that behave the same."""
    whole = blake2b(digest_size=16)
    whole.update(_pack(pack_state(state)))
    for document in _documents(state, FOREVER_AGO):
        whole.update(_pack(document))
    for id, pool in sorted(state.pools.by_id.items()):
        whole.update(_pack([id, list(pool)]))
    for effect in state.outbox:
        whole.update(_pack(effect))
    whole.update(state.path.recent.pack_since(0))
    for contact in state.path.all_packed():
        whole.update(contact)
    return whole.digest()


__all__ = ["Snapshot", "digest", "restore"]
