"""What is written down of a soak: its plan, its samples, what they are judged to be, and the counts at its end."""

from __future__ import annotations

import msgspec

from api.measure.flatness import MINIMUM_S, Quantity, Verdict, judge

CONTACTS = 100_000
WAIT_S_MAX, WAITS = 20, 9
"""A run waits a ninth of the time, this long at most."""
SAMPLE_S, SAMPLE_S_MIN, SAMPLES, SAMPLES_MAX = 5.0, 0.25, 40, 2_000
"""A sample every SAMPLE_S; in short soaks more often, to get SAMPLES; in long ones less, to keep SAMPLES_MAX."""
WARM_SHARE, WARM_S = 0.2, 60.0
CHECKPOINTS_MIN = 3
"""While it is judged: what a checkpoint leaves behind must have come and gone."""
REQUEST_CONNECTIONS = 8
MEGA = 1e-6

QUANTITIES = (
    Quantity("resident_bytes", "memory, resident", "MB", 0.03, 16, MEGA),
    Quantity("own_bytes", "— without pages of files", "MB", 0.03, 16, MEGA),
    Quantity("disk_bytes", "data directory", "MB", 0.05, 32, MEGA),
    Quantity("files", "— its files", "", 0, 0),
    Quantity("descriptors", "open descriptors", "", 0, REQUEST_CONNECTIONS),
    Quantity("waiting", "waiting runs", "", 0.05, 100),
    Quantity("pending", "messages without a receipt", "", 0.5, 1_000),
    Quantity("cpu_us", "processor time of an event", "µs", 0.1, 0.1),
    Quantity("p50_ms", "acknowledgement, median", "ms", 0.25, 1),
    Quantity("p99_ms", "— 99 of 100", "ms", 0.5, 5),
    Quantity("late_p99_ms", "lateness of a step, 99 of 100", "ms", 0.5, 5),
    Quantity("request_p99_ms", "single request, 99 of 100", "ms", 0.5, 5),
)


class Plan(msgspec.Struct, frozen=True):
    """`contacts`: a multiple of 100. `rate`: events a second; 0: half of the maximum, which is measured."""

    minutes: float
    contacts: int = CONTACTS
    rate: float = 0.0

    @property
    def seconds(self) -> float:
        return self.minutes * 60

    @property
    def wait_s(self) -> int:
        return max(1, min(WAIT_S_MAX, round(self.seconds / WAITS)))

    @property
    def sample_s(self) -> float:
        return max(min(SAMPLE_S, self.seconds / SAMPLES), SAMPLE_S_MIN, self.seconds / SAMPLES_MAX)

    @property
    def warm_s(self) -> float:
        return min(max(WARM_S, self.seconds * WARM_SHARE), self.seconds / 2)


class Sample(msgspec.Struct, frozen=True):
    """One interval, which ended at `at_s` since the pace began. Rates a second; delays and lateness in milliseconds,
    None where there were none; the rest as it was at its end. `cpu_us`: of the engine, for an event acknowledged.
    `engine_busy`, `sender_busy`: cores used; `others_busy`: by everything else on the machine. `deltas`: of the newest
    checkpoint, over its base."""

    at_s: float
    sent: float
    acknowledged: float
    p50_ms: float | None
    p99_ms: float | None
    worst_ms: float | None
    request_p99_ms: float | None
    late_p99_ms: float | None
    cpu_us: float | None
    engine_busy: float
    sender_busy: float
    others_busy: float
    resident_bytes: int
    own_bytes: int
    descriptors: int
    files: int
    disk_bytes: int
    waiting: int
    pending: int
    checkpoints: int
    deltas: int


class Check(msgspec.Struct, frozen=True):
    """A count at the end, as the events sent demand it and as it was found."""

    what: str
    expected: int
    found: int


class Report(msgspec.Struct, frozen=True):
    """`maximum`: None where it was not measured. `broken`: what ended it before its time; then nothing was counted.
    `unfit`: why nothing is judged, sentences; empty where the verdicts stand."""

    plan: Plan
    maximum: float | None
    rate: float
    warm_s: float
    broken: str
    unfit: list[str]
    samples: list[Sample]
    verdicts: list[Verdict]
    checks: list[Check]

    @property
    def failed(self) -> bool:
        """Whether something is not flat, or was lost or doubled, or it did not come to its end."""
        rises = any(one.flat is False for one in self.verdicts)
        return bool(self.broken) or rises or any(one.expected != one.found for one in self.checks)


def verdicts(plan: Plan, samples: list[Sample], *, is_full: bool) -> tuple[list[Verdict], list[str]]:
    """On every quantity, from what came after warming up; and why none of them counts, if so."""
    judged = [one for one in samples if one.at_s > plan.warm_s]
    unfit = []
    lasted_s = judged[-1].at_s - judged[0].at_s if judged else 0.0
    if lasted_s < MINIMUM_S:
        unfit.append(f"{lasted_s:.0f} s after warming up are judged by, and {MINIMUM_S:.0f} are wanted.")
    if not is_full:
        unfit.append(
            "What has a bound was not full when the soak began: histories, or the message ids remembered."
        )
    made = judged[-1].checkpoints - judged[0].checkpoints if judged else 0
    if made < CHECKPOINTS_MIN:
        unfit.append(
            f"{made} checkpoints were made in the time that is judged; {CHECKPOINTS_MIN} are wanted."
        )
    found = []
    for quantity in QUANTITIES:
        points = [(one.at_s, getattr(one, quantity.name)) for one in judged]
        verdict = judge(quantity, points)
        if verdict is not None:
            found.append(msgspec.structs.replace(verdict, flat=None) if unfit else verdict)
    return found, unfit
