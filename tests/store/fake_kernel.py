"""A small deterministic kernel with the surface of `engine.kernel.Kernel` that the store needs.

- an event `wait` with `{"ms": n}` sets a timer; when it fires the contact gets an effect on channel `email`,
- an event `send` with `{"channel": name}` makes an effect immediately,
- operations: `channels`, `receipts`, `echo` (answers its args), `refuse`, and `crash` (an assertion fails).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, cast

import msgspec

from engine.errors import Conflict, Refused
from engine.kernel import Kernel
from engine.model import Batch, Control, Effect, Outcome
from engine.service import Service
from ext.wire.event import Event

TIMERS_PER_BATCH = 3


class FakeKernel:
    def __init__(self, key: bytes = bytes(16)) -> None:
        self.key = key
        self.seq = self.now_ms = self.erasures = 0
        self.outcome_digest = int.from_bytes(key[:4])
        self.counted: dict[str, int] = {}
        self.seen: set[str] = set()
        self.timers: list[tuple[int, str]] = []
        self.pending: dict[int, Effect] = {}
        self.effect_seq = 0
        self.receipts: dict[str, str] = {}
        self.channel_names: list[str] = []
        self.changed: set[str] = set()
        self.snapshots: list[bool] = []

    def apply(self, batch: Batch) -> Outcome:
        assert batch.seq == self.seq + 1
        assert batch.now_ms >= self.now_ms
        self.seq, self.now_ms = batch.seq, batch.now_ms
        effects: list[Effect] = []
        for _ in range(TIMERS_PER_BATCH):
            if self.timers and self.timers[0][0] <= self.now_ms:
                due, contact = heapq.heappop(self.timers)
                effects.append(self._effect(contact, "email", due))
        more = bool(self.timers) and self.timers[0][0] <= self.now_ms
        answers = [self._take(one, effects) for one in batch.inputs]
        summary = repr((batch.seq, batch.now_ms, [effect.id for effect in effects], answers)).encode()
        digest = blake2b(self.outcome_digest.to_bytes(8) + summary, digest_size=8)
        self.outcome_digest = int.from_bytes(digest.digest())
        return Outcome(effects, [], answers, more)

    def _take(self, one: Event | Control, effects: list[Effect]) -> dict[str, Any] | Refused | None:
        if isinstance(one, Control):
            return self._control(one)
        if one.message_id is not None and one.message_id in self.seen:
            return None
        if one.message_id is not None:
            self.seen.add(one.message_id)
        self.counted[one.contact] = self.counted.get(one.contact, 0) + 1
        self.changed.add(one.contact)
        body = msgspec.json.decode(one.body)
        if one.name == "wait":
            heapq.heappush(self.timers, (self.now_ms + body["ms"], one.contact))
        if one.name == "send":
            effects.append(self._effect(one.contact, body["channel"], self.now_ms))
        return None

    def _control(self, one: Control) -> dict[str, Any] | Refused:
        assert one.op != "crash", "an operation asked for a crash"
        if one.op == "channels":
            self.channel_names = one.args["channels"]
        elif one.op == "receipts":
            for receipt in one.args["receipts"]:
                self.receipts[receipt["effect"]] = receipt["status"]
                seq = int(receipt["effect"].removeprefix("e"))
                self.pending.pop(seq, None)
        elif one.op == "refuse":
            return Conflict("conflict", "It is refused.")
        return {"op": one.op, **one.args}

    def _effect(self, contact: str, channel: str, at: int) -> Effect:
        self.effect_seq += 1
        effect = Effect(
            self.effect_seq, f"e{self.effect_seq}", at, contact, "f", 1, 1, "n", channel, contact, {}
        )
        self.pending[effect.seq] = effect
        return effect

    def next_due_ms(self) -> int | None:
        return self.timers[0][0] if self.timers else None

    def channels(self) -> list[str]:
        return self.channel_names

    def outbox(self, after: int, limit: int) -> list[Effect]:
        return [effect for seq, effect in sorted(self.pending.items()) if seq > after][:limit]

    def is_pending(self, effect: Effect) -> bool:
        return effect.seq in self.pending

    def counts(self) -> dict[str, int]:
        return {"contacts": len(self.counted), "effects_pending": len(self.pending)}

    def digest(self) -> bytes:
        return blake2b(repr(self._everything(sorted(self.counted))).encode(), digest_size=16).digest()

    def _everything(self, contacts: Iterable[str]) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "now_ms": self.now_ms,
            "outcome_digest": self.outcome_digest,
            "seen": sorted(self.seen),
            "timers": sorted(self.timers),
            "pending": [msgspec.to_builtins(effect) for _, effect in sorted(self.pending.items())],
            "effect_seq": self.effect_seq,
            "receipts": self.receipts,
            "channels": self.channel_names,
            "counted": {contact: self.counted[contact] for contact in contacts},
        }

    def snapshot(self, *, full: bool) -> FakeSnapshot:
        everything = self._everything(sorted(self.counted if full else self.changed))
        self.changed.clear()
        self.snapshots.append(full)
        return FakeSnapshot(self.seq, full, everything)

    def restore(self, parts: Iterable[bytes]) -> None:
        """Restore from parts, of which those of the newest snapshot come first."""
        for part in parts:
            raw = msgspec.msgpack.decode(part)
            self.counted = {**raw.pop("counted"), **self.counted}
            if raw and not self.seq:
                self.seq, self.now_ms = raw["seq"], raw["now_ms"]
                self.outcome_digest = raw["outcome_digest"]
                self.seen = set(raw["seen"])
                self.timers = [(due, contact) for due, contact in raw["timers"]]
                effects = msgspec.convert(raw["pending"], list[Effect])
                self.pending = {effect.seq: effect for effect in effects}
                self.effect_seq = raw["effect_seq"]
                self.receipts = raw["receipts"]
                self.channel_names = raw["channels"]


class FakeSnapshot:
    """The first part holds all but the contacts, each further one some contacts."""

    def __init__(self, seq: int, full: bool, everything: dict[str, Any]) -> None:
        self.seq = seq
        self.full = full
        contacts = list(everything["counted"].items())
        self._parts = [contacts[at : at + 4] for at in range(0, len(contacts), 4)]
        self._head: dict[str, Any] | None = {**everything, "counted": {}}

    def abandon(self) -> None:
        self._head, self._parts = None, []

    def part(self, records_max: int) -> bytes | None:
        assert records_max >= 1
        if self._head is not None:
            head, self._head = self._head, None
            return msgspec.msgpack.encode(head)
        return msgspec.msgpack.encode({"counted": dict(self._parts.pop(0))}) if self._parts else None


def as_kernel(fake: FakeKernel) -> Kernel:
    """Return the fake under the type that the store's signatures name."""
    return cast(Kernel, fake)


def fake_of(service: Service) -> FakeKernel:
    """Return the fake kernel that a service of `tests.store.helpers.config` works on."""
    kernel: object = service.kernel
    assert isinstance(kernel, FakeKernel)
    return kernel
