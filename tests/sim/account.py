"""The account outside the engine: lines and effects sent, acknowledged, durable and delivered, and their checks.

Every durable batch is read off the simulated disk as it becomes durable and applied by an undisturbed kernel, which
is never restarted and never restored. At the end the same batches go through `tests/reference/interpreter.py`, the
slow twin that shares no code with the kernel. A `Breach` names the promise that was broken.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from engine.errors import Refused
from engine.kernel import Kernel
from engine.model import Batch, Effect
from engine.simulation.simulator import render
from engine.store import frame
from engine.store.frame import Frame
from engine.store.recover import Recovered
from engine.wire import decode_lines
from tests.kernel.comparison import plain
from tests.reference import interpreter, local_time
from tests.sim.disk import Disk
from tests.sim.environment import Commit, newest

PROMISES = {
    1: "an acknowledged input survives",
    2: "state after recovery equals state without a crash",
    3: "an effect leaves at least once, under one id; everything else changes exactly once",
    4: "no wait ends early, none is forgotten, overdue ones go in order",
    5: "corruption is noticed, never served",
    6: "what is full or slow stops intake with a clear answer and loses nothing",
    7: "one bad contact, flow or message never stops the others",
    8: "a clock set back or forward makes nothing fire early or twice",
    9: "input of any shape gets a clear error; memory stays bounded",
    10: "without a key, nobody off this machine gets in",
}
INTRUDER = "intruder"
"""Every line of an intruder contains this name, or is one of FORBIDDEN."""
FORBIDDEN: tuple[dict[str, Any], ...] = (
    {"op": "pause", "flow": "paid"},
    {"op": "delete_contact", "contact": "p1"},
)
"""Operations that no authorised client sends."""
SEQ_BYTES = 8
"""A key of the journal of this length is the seq of a frame, perhaps compressed."""
REFERENCE_EVENTS_MAX = 800
RECORDS_MAX = 20_000
EFFECTS_MAX = 2_000
"""A life in which more happens is ended early: flows that launch each other can multiply for 16 generations."""
KNOWN_TO_THE_REFERENCE = ("launch", "pause", "resume", "schedule", "add_codes")
BEYOND_THE_REFERENCE = ("patch_contact", "delete_contact", "segment_add")
"""The slow twin does not know these, so a life in which one happened is not compared with it."""


class Breach(BaseException):
    """A promise was broken. Not an Exception: a channel may raise any of those, and delivery goes on."""

    def __init__(self, promise: int, detail: str) -> None:
        super().__init__(f"Promise {promise} ({PROMISES[promise]}) is broken: {detail}")
        self.promise = promise


def keep(promise: int, holds: bool, detail: str) -> None:
    if not holds:
        raise Breach(promise, detail)


class LifeAccount:
    """The account of one life. The world sets `latest_ms`, the latest time that the wall clock has shown."""

    def __init__(self) -> None:
        self.sent: dict[str, bytes] = {}
        """Every line that a client sent, by message id."""
        self.tolerated: dict[str, bytes] = {}
        """Lines that may be durable, or not."""
        self.frames: list[Frame] = []
        self.refused: set[tuple[int, int]] = set()
        """Operations that the kernel refused, by seq and place."""
        self.with_effects: set[int] = set()
        """Batches with a payment that was not seen before: its flow sends a message immediately."""
        self.durable_ids: set[str] = set()
        self.durable_payments: Counter[str] = Counter()
        self.durable_operations: Counter[bytes] = Counter()
        self.drafts: dict[str, Any] = {}
        self.versions: dict[str, Any] = {}
        self.beyond_the_reference = False
        self._forbidden = {operation(raw) for raw in FORBIDDEN}
        self.effects: dict[str, Effect] = {}
        self.delivered: Counter[str] = Counter()
        self.settled: dict[str, str] = {}
        self.trace: list[dict[str, Any]] = []
        self.key = bytes(16)
        self.shadow: Kernel | None = None
        self.met: Counter[str] = Counter()
        """Counts of what clients met: `requests` and `operations` answered over HTTP, `asked to retry`, `kept out`."""
        self.latest_ms = 0
        self.is_too_large = False
        self._in_doubt: dict[str, Commit] = {}
        self._newest: dict[str, int] = {}
        self._encoded: dict[int, bytes] = {}

    # What the disk says

    def watch(self, commit: Commit, durable: bool) -> None:
        """Note that a commit begins (it may or may not become durable), or has returned."""
        if not durable:
            self._in_doubt[commit.file] = commit
            return
        del self._in_doubt[commit.file]
        self._newest[commit.file] = commit.number
        self._take(commit)

    def mounted(self, disk: Disk) -> str:
        """Settle the commits in which a process ended. Return a sentence for the story, or ""."""
        sentences = []
        for name in sorted(disk.files):
            number, known = newest(disk, name), self._newest.get(name, 0)
            keep(1, number >= known, f"commit {known} of the {name} returned, and is not on the disk")
            commit = self._in_doubt.get(name)
            if commit is None:
                continue
            survived = number >= commit.number
            sentences.append(
                f"commit {commit.number} of the {name} {'is' if survived else 'is not'} on the disk"
            )
            if not survived:
                del self._in_doubt[name]
            elif not disk.files[name].unsynced:
                self._resolve(name)
        return ", ".join(sentences)

    @property
    def in_doubt(self) -> bool:
        """Whether a commit can be read that a loss of power may still take away. A start syncs before it reads."""
        return bool(self._in_doubt)

    def _resolve(self, name: str) -> None:
        commit = self._in_doubt.pop(name)
        self._newest[name] = commit.number
        self._take(commit)

    def _take(self, commit: Commit) -> None:
        if commit.file != "journal":
            return
        for key, value in sorted(commit.put.items()):
            if len(key) == SEQ_BYTES:
                seq = int.from_bytes(key)
                made = self._encoded[seq]
                keep(
                    1,
                    value == made or not value.startswith(frame.MAGIC),
                    f"batch {seq} differs from the frame that the engine made",
                )
                self._take_frame(frame.decode(made, seq))

    def _take_frame(self, taken: Frame) -> None:
        shadow = self.shadow
        assert shadow is not None, "a journal begins with its key"
        keep(1, taken.seq == shadow.seq + 1, f"batch {taken.seq} follows batch {shadow.seq}")
        keep(
            8, shadow.now_ms <= taken.now_ms <= max(self.latest_ms, shadow.now_ms), "a batch of another time"
        )
        same = taken.previous == shadow.outcome_digest
        keep(2, same, f"before batch {taken.seq} the engine and the undisturbed kernel differ")
        decoded = decode_lines(taken.body, control=True)
        keep(
            1, not decoded.rejected and len(decoded.inputs) == taken.count, f"batch {taken.seq} is unreadable"
        )
        outcome = shadow.apply(Batch(taken.seq, taken.now_ms, decoded.inputs))
        self.frames.append(taken)
        self.is_too_large |= len(self.trace) + len(outcome.trace) > RECORDS_MAX
        if not self.is_too_large:
            self.trace += [render(record) for record in outcome.trace]
        for place, answer in enumerate(outcome.answers):
            if isinstance(answer, Refused):
                self.refused.add((taken.seq, place))
        for line in taken.body.splitlines():
            self._take_line(line, taken.seq)
        for effect in outcome.effects:
            keep(3, effect.id not in self.effects, f"two effects have the id {effect.id}")
            self.effects[effect.id] = effect
        self.is_too_large |= len(self.effects) > EFFECTS_MAX

    def _take_line(self, line: bytes, seq: int) -> None:
        raw = msgspec.json.decode(line)
        own = raw["type"] != "control" or operation(raw) not in self._forbidden
        keep(10, own and INTRUDER.encode() not in line, f"batch {seq} holds what an intruder sent: {line!r}")
        if raw["type"] != "control":
            identity = raw["messageId"]
            sent = self.sent.get(identity) or self.tolerated.get(identity)
            keep(1, sent == line, f"batch {seq} holds a line that no client sent: {line!r}")
            if raw.get("event") == "Paid" and identity not in self.durable_ids:
                self.with_effects.add(seq)
                self.durable_payments[raw["userId"]] += 1
            self.durable_ids.add(identity)
            return
        self.durable_operations[operation(raw)] += 1
        self.beyond_the_reference |= raw["op"] in BEYOND_THE_REFERENCE
        if raw["op"] == "receipts":
            for receipt in raw["receipts"]:
                if receipt["effect"] in self.effects:
                    self.settled.setdefault(receipt["effect"], receipt["status"])

    # What the engine says

    def begun(self, key: bytes) -> Kernel:
        """Return a kernel for a start that has opened its journal."""
        if self.shadow is None:
            self.key, self.shadow = key, Kernel(trace=True, key=key)
        keep(2, key == self.key, "the journal's key has changed")
        return Kernel(key=key)

    def encoded(self, seq: int, value: bytes) -> None:
        """Note a frame of the engine, which may become durable in the journal or in a checkpoint."""
        self._encoded[seq] = value
        self._encoded.pop(seq - 10, None)

    def recovered(self, kernel: Kernel, found: Recovered) -> None:
        """Check that a start has recovered exactly to the last durable batch.

        A checkpoint may hold a batch that had been applied and never reached the journal: it is durable by that.
        """
        for name in sorted(self._in_doubt):
            self._resolve(name)
        shadow = self.shadow
        assert shadow is not None
        keep(
            1, kernel.seq >= shadow.seq, f"recovery ended at batch {kernel.seq}, of {shadow.seq} durable ones"
        )
        while shadow.seq < min(kernel.seq, found.checkpoint_seq):
            self._take_frame(frame.decode(self._encoded[shadow.seq + 1], shadow.seq + 1))
        self.compare(kernel)

    def compare(self, kernel: Kernel) -> None:
        shadow = self.shadow
        assert shadow is not None
        keep(2, kernel.seq == shadow.seq, f"the engine is at batch {kernel.seq}, the disk at {shadow.seq}")
        keep(2, kernel.outcome_digest == shadow.outcome_digest, f"other outcomes at batch {shadow.seq}")
        keep(4, kernel.next_due_ms() == shadow.next_due_ms(), "another timer is next after recovery")
        keep(2, kernel.digest() == shadow.digest(), f"another state at batch {shadow.seq}")

    def acknowledged(self, identities: list[str]) -> None:
        for identity in identities:
            keep(1, identity in self.durable_ids, f"{identity} was acknowledged and is not durable")

    def answered(self, raw: dict[str, Any], times: int) -> None:
        """Note that an operation was answered for the `times`-th time."""
        held = self.durable_operations[operation(raw)]
        keep(1, held >= times, f"operation {raw['op']} was answered and is not durable")

    def left(self, effect: Effect, settled: set[str] | None = None) -> None:
        """Note an effect that has reached the world; `settled`: the effects settled at its request, if not now."""
        known = self.effects.get(effect.id)
        keep(3, known is not None, f"effect {effect.id} left and is of no durable batch")
        keep(3, known == effect, f"effect {effect.id} has changed")
        again = effect.id in (self.settled if settled is None else settled)
        keep(3, not again, f"effect {effect.id} left again after its receipt was durable")
        self.delivered[effect.id] += 1

    # The end

    def conclude(self, kernel: Kernel, now_ms: int) -> None:
        """Check, at rest, that nothing is missing."""
        self.compare(kernel)
        missing = sorted(set(self.sent) - self.durable_ids)
        keep(1, not missing, f"{len(missing)} lines are missing, first {missing[:3]}")
        due = kernel.next_due_ms()
        keep(4, due is None or due > now_ms, "a wait is over and its run has not left")
        unsettled = sorted(set(self.effects) - set(self.settled))
        keep(3, not unsettled, f"{len(unsettled)} effects have no receipt, first {unsettled[:3]}")
        counted = {key[9:]: n for key, n in kernel.counts().items() if key.startswith("receipts_")}
        keep(3, counted == Counter(self.settled.values()), f"receipts counted {counted}")
        never = [
            id for id, status in self.settled.items() if status == "delivered" and not self.delivered[id]
        ]
        keep(3, not never, f"{never[:3]} were called delivered and never left")
        keep(
            3, self.paid(kernel) == self.paid_by_account(), "points for a payment were not given exactly once"
        )

    def paid_by_account(self) -> dict[str, int]:
        """Return the payments by contact, from the lines that clients sent."""
        raws = [msgspec.json.decode(line) for line in self.sent.values()]
        return dict(Counter(raw["userId"] for raw in raws if raw.get("event") == "Paid"))

    def paid(self, kernel: Kernel) -> dict[str, int]:
        """Return the payments by contact, as the engine counts them in a trait, step by step."""
        found = {
            contact: kernel.contact(contact)["traits"].get("paid", 0) for contact in self.paid_by_account()
        }
        return {contact: int(count) for contact, count in found.items()}

    def compare_with_reference(self) -> bool:
        """Compare the trace of all batches with the slow twin's. Return False for a life that it cannot play."""
        if self.beyond_the_reference or self.is_too_large:
            return False
        reference = interpreter.ReferenceEngine(self.frames[0].now_ms if self.frames else 0, self.key)
        reference.events_left = REFERENCE_EVENTS_MAX
        try:
            for batch in self.frames:
                self._play(reference, batch)
        except interpreter.CaseTooLarge:
            return False
        expected, happened = plain(reference.trace), plain(self.trace)
        pairs = zip(expected, happened, strict=False)
        wrong = next(((one, other) for one, other in pairs if one != other), None)
        keep(
            4,
            wrong is None,
            f"the slow twin says\n  {wrong and wrong[0]}\nthe engine\n  {wrong and wrong[1]}",
        )
        keep(4, len(expected) == len(happened), f"{len(happened)} things happened, not {len(expected)}")
        return True

    def _play(self, reference: interpreter.ReferenceEngine, batch: Frame) -> None:
        reference.now = max(reference.now, batch.now_ms)
        reference.fire(batch.now_ms)
        for place, line in enumerate(batch.body.splitlines()):
            raw = msgspec.json.decode(line)
            if (batch.seq, place) not in self.refused and self._is_known(raw):
                reference.take({"at": local_time.write(batch.now_ms), **raw})

    def _is_known(self, raw: dict[str, Any]) -> bool:
        """Whether the slow twin knows such a line. It has no drafts: they are kept here, and a launch is given its
        document."""
        match raw:
            case {"op": "create_flow", "document": document} | {"op": "save_draft", "document": document}:
                self.drafts[document["id"]] = document
            case {"op": "start_draft", "flow": id}:
                self.drafts[id] = self.versions[id]
            case {"op": "launch", "flow": flow}:
                document = flow if isinstance(flow, dict) else self.drafts.pop(flow)
                self.versions[document["id"]] = raw["flow"] = document
        return raw["type"] != "control" or raw["op"] in KNOWN_TO_THE_REFERENCE


def operation(raw: dict[str, Any]) -> bytes:
    """Return an operation as a hashable value."""
    return msgspec.json.encode({key: value for key, value in raw.items() if key != "type"}, order="sorted")
