"""SipHash, the memory of fingerprints when full, and the passages of a limit."""

from __future__ import annotations

import random
from functools import cache

import pytest

from bench.conftest import Measure, Record, Resident
from engine.limits import RECENT_MESSAGES_MAX
from ext.kernel.limit_window import Passages
from ext.structures.fingerprints import Fingerprints
from ext.structures.siphash import siphash24

ROUND = 10_000
HOUR_MS = 3_600_000


@pytest.mark.parametrize(("length", "what"), [(8, "a run id"), (36, "a UUID"), (1_024, "a kilobyte")])
def test_siphash(length: int, what: str, measure: Measure) -> None:
    key, data = bytes(range(16)), bytes(length)

    def work() -> None:
        for _ in range(ROUND):
            siphash24(key, data)

    measure(f"siphash24 of {length:,} bytes ({what})", work, each=ROUND)


@cache
def numbers() -> bytes:
    return random.Random(11).randbytes(8 * RECENT_MESSAGES_MAX)


@cache
def full() -> Fingerprints:
    seen = Fingerprints(RECENT_MESSAGES_MAX)
    seen.unpack(numbers())
    return seen


def test_a_new_fingerprint_and_the_oldest_forgotten(measure: Measure) -> None:
    seen, source = full(), random.Random(12)

    def setup() -> tuple[list[int]]:
        return ([source.getrandbits(64) for _ in range(ROUND)],)

    def work(fingerprints: list[int]) -> None:
        add = seen.add
        for fingerprint in fingerprints:
            add(fingerprint)

    measure(f"a new fingerprint among {RECENT_MESSAGES_MAX:,}", work, each=ROUND, setup=setup)
    assert len(seen) == RECENT_MESSAGES_MAX


def test_a_fingerprint_seen_before(measure: Measure) -> None:
    seen, source = full(), random.Random(13)
    packed = seen.pack_since(0)

    def setup() -> tuple[list[int]]:
        places = [8 * source.randrange(RECENT_MESSAGES_MAX) for _ in range(ROUND)]
        return ([int.from_bytes(packed[at : at + 8], "little") for at in places],)

    def work(fingerprints: list[int]) -> None:
        add = seen.add
        for fingerprint in fingerprints:
            add(fingerprint)

    mark = seen.mark
    measure(f"a fingerprint seen before among {RECENT_MESSAGES_MAX:,}", work, each=ROUND, setup=setup)
    assert seen.mark == mark


def test_packing_all_fingerprints(measure: Measure) -> None:
    seen = full()
    measure(
        f"pack {RECENT_MESSAGES_MAX:,} fingerprints", lambda: seen.pack_since(0), each=1, unit="ms", rounds=5
    )


def test_restoring_all_fingerprints(measure: Measure) -> None:
    data = numbers()

    def work() -> None:
        Fingerprints(RECENT_MESSAGES_MAX).unpack(data)

    measure(f"restore {RECENT_MESSAGES_MAX:,} fingerprints", work, each=1, unit="ms", rounds=3, warmup=0)


def test_bytes_of_a_fingerprint(resident: Resident, record: Record) -> None:
    """Resident memory of the process after twice as many as are remembered."""
    program = f"""
from ext.structures.fingerprints import Fingerprints
seen = Fingerprints({RECENT_MESSAGES_MAX})
before = held()
for n in range({2 * RECENT_MESSAGES_MAX}):
    seen.add(n * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
"""
    each = resident(program) / RECENT_MESSAGES_MAX
    record(f"bytes of a fingerprint, {RECENT_MESSAGES_MAX:,}, resident", each, "bytes")
    assert each < 26


@pytest.mark.parametrize("maximum", [1_000_000_000, 1_000], ids=["passes", "over"])
def test_a_passage(maximum: int, measure: Measure) -> None:
    """A window with 100,000 instants in it: the first may pass, the second meets a full one."""
    limit = Passages(1_000_000_000, HOUR_MS)
    for at in range(100_000):
        limit.pass_(at)
    limit.resize(maximum, HOUR_MS)

    def work() -> None:
        for at in range(100_000, 100_000 + ROUND):
            limit.pass_(at)

    what = "passes" if maximum > 1_000 else "is over the limit"
    measure(f"a contact {what} (100,000 in the window)", work, each=ROUND)
