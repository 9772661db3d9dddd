"""The whole state as a sequence of parts, and back.

A snapshot is taken between two batches and read in slices while further batches are applied, so nothing may hold
the loop: what is small (counters of the engine, pools' sizes, problems) is packed at once, everything else a slice at
a time, of so many records and bytes at most. A contact or a flow that is about to change before its turn is packed
just before (`Registry.touch`, `FrozenFlows.touch`), an effect that is settled is put aside (`PendingEffects.settle`),
fingerprints that are forgotten stay readable (`Fingerprints.hold`), and documents of flows and
blocks of codes never change, so references taken at the start are enough.

Parts are MessagePack `[kind, payload]`: `state` comes first; `flows`, `documents`, `recent` (fingerprints), `codes`,
`outbox` and `contacts` follow. Restoring reads the newest snapshot first, then the one before, down to the base, and
builds as it reads: the first `state` with its flows, the first document of each version and the first record of each
contact count, whatever is older is passed over. So a delta needs no second way in, and no part is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from engine.flow.schema import parse_schema
from engine.kernel import flows
from engine.kernel.flow_snapshot import DRAFT, PackedFlow, documents, pack_flow
from engine.kernel.outbox import PendingEffects
from engine.kernel.state import FlowDraft, FlowState, State, Sweep, Version
from engine.model import Effect
from engine.tuning import CHECKPOINT_PART_BYTES
from ext.kernel.flow import FlowCore

FINGERPRINTS_PER_RECORD = 512
RECORDS_PER_BLOCK = 16
RECORDS_PER_FLOW = 16
RECORDS_PER_DOCUMENT = 64
"""What packing takes: a contact as long as so many fingerprints; a block of codes, a flow or a document as long as so
many contacts."""
EFFECTS_AT_ONCE = 256
"""Taken from the outbox at one go; they are packed one by one."""

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
        self.recent_mark = state.core.recent.mark
        self._state = state
        deleted = state.core.registry.snapshot.begin(full, CHECKPOINT_PART_BYTES)
        anew = state.core.recent.hold(0 if full else since)
        state.outbox.hold()
        state.frozen.freeze(state.flows.values(), FOREVER_AGO if full else since_ms)
        more = {"deleted": [] if full else deleted, "recent_anew": anew, "flows": []}
        self._small: bytes | None = _pack(["state", {**_pack_small(state), **more}])
        self._flows = map(_pack, state.frozen.packed_flows())
        self._documents = map(_pack, state.frozen.documents())
        self._codes = map(_pack, state.pools.blocks())
        self._effects = map(_pack, _held(state.outbox))
        self._done = False
        self.complete = False

    def part(self, records_max: int) -> bytes | None:
        """Return the next part, None after the last.

        It has about `records_max` contacts, and CHECKPOINT_PART_BYTES at most unless one record is larger.
        """
        if self._done:
            return None
        if self._small is not None:
            small, self._small = self._small, None
            return small
        core = self._state.core
        if (flows := _slice("flows", self._flows, records_max // RECORDS_PER_FLOW)) is not None:
            return flows
        most = records_max // RECORDS_PER_DOCUMENT
        if (documents := _slice("documents", self._documents, most)) is not None:
            return documents
        fingerprints = min(records_max * FINGERPRINTS_PER_RECORD, CHECKPOINT_PART_BYTES // 8)
        if (recent := core.recent.held_part(fingerprints)) is not None:
            return _pack(["recent", recent])
        if (codes := _slice("codes", self._codes, records_max // RECORDS_PER_BLOCK)) is not None:
            return codes
        if (effects := _slice("outbox", self._effects, records_max)) is not None:
            return effects
        if (contacts := core.registry.snapshot.part(records_max)) is not None:
            return contacts
        self._done = self.complete = True
        return None

    def abandon(self) -> None:
        """Drop the snapshot, even if all of it was read: the next one will be a full one."""
        self.complete = False
        if not self._done:
            self._done = True
            self._state.core.registry.snapshot.abandon()
            self._state.core.recent.let_go()
            self._state.outbox.let_go()
            self._state.frozen.let_go()


def _slice(kind: str, packed: Iterator[bytes], most: int) -> bytes | None:
    """Return a part of the next records, as many as fit; None after the last."""
    taken: list[msgspec.Raw] = []
    size = 0
    for record in packed:
        taken.append(msgspec.Raw(record))
        size += len(record)
        if len(taken) >= most or size >= CHECKPOINT_PART_BYTES:
            break
    return _pack([kind, taken]) if taken else None


def _held(outbox: PendingEffects) -> Iterator[Effect]:
    """Return what a snapshot holds of the outbox; effects never change."""
    while some := outbox.held_part(EFFECTS_AT_ONCE):
        yield from some


def pack_state(state: State) -> dict[str, Any]:
    """Return everything but contacts, codes, effects, documents and fingerprints."""
    every = [flow for _, flow in sorted(state.flows.items())]
    packed = [pack_flow(flow, None if flow.core is None else flow.core.pack()) for flow in every]
    return {**_pack_small(state), "flows": packed}


def _pack_small(state: State) -> dict[str, Any]:
    dead_letters = {"dead_letters": state.dead_letters.pack()} if state.dead_letters else {}
    return {
        **dead_letters,
        "seq": state.seq,
        "now": state.now_ms,
        "path": state.core.pack(),
        "dead": [core.pack() for _, core in sorted(state.core.registry.flows.items()) if core.dead],
        "flow_numbers": state.flow_numbers,
        "issued": state.pools.issued(),
        "outbox_seq": state.outbox.last_seq,
        "sweeps": state.sweeps,
        "monitor": state.monitor.pack(),
        "schema": state.schema.document(),
        "channels": state.core.channels,
        "receipts": sorted(state.receipts.items()),
    }


def restore(state: State, parts: Iterable[bytes]) -> None:
    """Bring a fresh state to what a base and its deltas say, whose parts come newest snapshot first."""
    restoring = Restoring(state)
    for part in parts:
        kind, raw = _part.decode(part)
        restoring.take(kind, raw)
    restoring.end()


class Restoring:
    """A state that is being restored, snapshot by snapshot.

    Cores of flows are there as soon as the flows of the newest snapshot are, for runs to refer to; the documents that
    they run may come with any older snapshot, so they are installed at the end. Fingerprints are remembered oldest
    first, so those of later snapshots wait until then.
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
        """Take the next part."""
        if kind == "contacts":
            self._state.core.registry.restore(bytes(raw), self._gone)
        elif kind == "state":
            self._begin(_unpack(raw))
        elif kind == "flows":
            if self._snapshots == 1:
                self._take_flows(_unpack(raw))
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

    def _take_flows(self, packed: list[Any]) -> None:
        taken = msgspec.convert(packed, list[PackedFlow])
        self._newest["flows"] += taken
        for flow in taken:
            if flow.core is not None:
                _restore_core(self._state, flow.core)

    def _begin(self, packed: dict[str, Any]) -> None:
        """Begin with a snapshot's first part. Contacts deleted before it are in no older one."""
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
        """Finish after the last part."""
        if not self._snapshots:
            return
        state, packed = self._state, self._newest
        for parts in reversed(self._recent):
            for part in parts:
                state.core.recent.unpack(part)
        state.pools.restore(packed["issued"], self._codes)
        state.outbox.restore(packed["outbox_seq"], self._effects)
        _restore_flows(state, packed, self._documents)
        state.core.registry.restored_all()


def _restore_small(state: State, packed: dict[str, Any]) -> None:
    state.seq = packed["seq"]
    state.core.unpack(packed["path"], packed["now"])
    schema, _ = parse_schema(packed["schema"])
    assert schema is not None
    state.schema = schema
    state.flow_numbers = packed["flow_numbers"]
    state.monitor.unpack(packed["monitor"])
    state.dead_letters.unpack(packed.get("dead_letters", []))
    state.core.channels = None if packed["channels"] is None else tuple(packed["channels"])
    state.receipts = dict(packed["receipts"])
    state.sweeps = [msgspec.convert(sweep, Sweep) for sweep in packed["sweeps"]]
    for dead in packed["dead"]:
        _restore_core(state, dead)


def _restore_core(state: State, packed: dict[str, Any]) -> None:
    core = FlowCore(packed["no"], packed["id"])
    core.unpack(packed)
    core.unpack_times(packed)
    state.core.add_flow(core)


def _restore_flows(state: State, packed: dict[str, Any], documents: Documents) -> None:
    for row in sorted(packed["flows"], key=attrgetter("id")):
        draft = msgspec.convert(documents[(row.id, DRAFT)], FlowDraft) if row.drafted else None
        launched = []
        for version in row.versions:
            document, schema = documents[(row.id, version.version)]
            launched.append(
                Version(version.version, document, schema, version.launched_ms, version.stopped_ms)
            )
        flow = FlowState(row.id, row.created_ms, row.updated_ms, row.revisions, draft, launched)
        flow.next_ms, flow.occurred_ms, flow.skipped = row.occurrence
        state.flows[row.id] = flow
        if row.core is not None:
            core = state.core.registry.flows[row.core["no"]]
            flows.install(state, flow, core)
            core.unpack_times(row.core)
    state.core.plan()


def digest(state: State) -> bytes:
    """Return 16 bytes over the whole state, the same for states that behave the same."""
    whole = blake2b(digest_size=16)
    whole.update(_pack(pack_state(state)))
    for _, flow in sorted(state.flows.items()):
        for document in documents(flow, FOREVER_AGO):
            whole.update(_pack(document))
    for id, pool in sorted(state.pools.by_id.items()):
        whole.update(_pack([id, list(pool)]))
    for effect in state.outbox:
        whole.update(_pack(effect))
    whole.update(state.core.recent.pack_since(0))
    for contact in state.core.registry.all_packed():
        whole.update(contact)
    return whole.digest()


__all__ = ["Snapshot", "digest", "restore"]
