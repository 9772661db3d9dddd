"""The whole state as a sequence of parts, and back.

A snapshot is taken between two batches and read in slices while further batches are applied, so nothing may hold
the loop: what is small (flows, counters, pools' sizes) is packed at once, everything else a slice at a time. A
contact that is about to change before its turn is packed just before (`Path.touch`), an effect that is settled is put
aside (`Outbox.settle`), fingerprints that are forgotten stay readable (`Fingerprints.hold`), and documents of flows
and blocks of codes never change, so references taken at the start are enough.

Parts are MessagePack `[kind, payload]`: `state` comes first; `documents`, `recent` (fingerprints), `codes`, `outbox`
and `contacts` follow. Restoring reads all parts before it builds anything: the newest `state`, the newest document of
each version and the newest record of each contact count, so a delta needs no second way in.
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
_contacts = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


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
    """Bring a fresh state to what the parts of a base and of its deltas, in order, say."""
    packed: dict[str, Any] = {}
    contacts: dict[str, bytes] = {}
    codes: dict[str, list[str]] = {}
    effects: list[Effect] = []
    documents: Documents = {}
    for part in parts:
        kind, raw = _part.decode(part)
        if kind == "contacts":
            contacts.update(_contacts.decode(raw))
            continue
        if kind == "outbox":
            effects += _effects.decode(raw)
            continue
        payload = _unpack(raw)
        if kind == "state":
            packed = payload
            codes, effects = {}, []
            if payload["recent_anew"]:
                state.path.recent.forget()
            for id in payload["deleted"]:
                contacts.pop(id, None)
        elif kind == "documents":
            documents.update(((flow, number), document) for flow, number, document in payload)
        elif kind == "recent":
            state.path.recent.unpack(payload)
        else:
            assert kind == "codes", f"a snapshot has no part {kind!r}"
            for pool, some in payload:
                codes.setdefault(pool, []).extend(some)
    if not packed:
        return
    _restore_small(state, packed, codes, effects)
    _restore_flows(state, packed, documents)
    for id in list(contacts):
        state.path.restore(contacts.pop(id))
    state.path.restored_all()


def _restore_small(
    state: State, packed: dict[str, Any], codes: dict[str, list[str]], effects: list[Effect]
) -> None:
    state.seq = packed["seq"]
    state.path.unpack(packed["path"], packed["now"])
    schema, _ = parse_schema(packed["schema"])
    assert schema is not None
    state.schema = schema
    state.flow_numbers = packed["flow_numbers"]
    state.pools.restore(packed["issued"], codes)
    state.outbox.restore(packed["outbox_seq"], effects)
    state.monitor.unpack(packed["monitor"])
    state.path.channels = None if packed["channels"] is None else tuple(packed["channels"])
    state.receipts = dict(packed["receipts"])
    for dead in packed["dead"]:
        core = FlowCore(dead["no"], dead["id"])
        core.unpack(dead)
        core.unpack_times(dead)
        state.path.add_flow(core)
    state.sweeps = [msgspec.convert(sweep, Sweep) for sweep in packed["sweeps"]]


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
            _restore_core(state, flow, running)
    state.path.plan_triggers()


def _restore_core(state: State, flow: FlowState, packed: dict[str, Any]) -> None:
    core = FlowCore(packed["no"], packed["id"])
    core.unpack(packed)
    state.path.add_flow(core)
    flows.install(state, flow, core)
    core.unpack_times(packed)


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
