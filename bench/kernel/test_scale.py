"""The longest pauses of a large engine: the longest batch, the longest part of a snapshot.

The ordinary form has 20,000 of each, to show that it runs; `-m nightly` has a million contacts, a million waiting
runs, a million codes and a million pending effects. The nightly form asserts two bounds: a launch that removes a
million runs blocks the loop for at most 50 ms, a part of a snapshot for 10 ms.

A figure is the wall-clock time of the longest of some thousand batches; on a shared machine that is often the time
slice of another program. So the bounds apply to CPU time, and to the median of five rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import pytest

from bench.conftest import Record, Resident
from bench.crowd import DAY_MS, SECOND_MS, ContactCrowd, Timed, flow, message, parts_of, start
from engine.gc_tuning import spared
from engine.kernel import Kernel

MILLION = 1_000_000
SIZES = [
    pytest.param(20_000, id="20k"),
    pytest.param(MILLION, id="1M", marks=pytest.mark.nightly),
]
LAUNCH_MS_MAX, PART_MS_MAX = 50, 10
PAIR_BYTES_MAX = 700
"""Of a contact and its waiting run, with small events."""
TEN_MILLION_GB_MAX = 8
"""Of a process with ten million of each."""
ROUNDS = 5

Once = Callable[[Callable[[], object]], None]
Report = Callable[..., None]


@pytest.fixture(scope="module", params=SIZES)
def crowd(request: pytest.FixtureRequest) -> Iterator[ContactCrowd]:
    """Return the crowd that the tests share; each test has flows of its own and leaves them without runs."""
    with spared():
        yield ContactCrowd(request.param)


@pytest.fixture
def once(benchmark: Any) -> Once:
    """Run something that times itself."""
    return lambda work: benchmark.pedantic(work, rounds=1)


@pytest.fixture
def report(record: Record, crowd: ContactCrowd) -> Report:
    """Record the longest timed part, by the clock and by CPU time, and the sum of all, as medians of several rounds."""

    def reported(what: str, *rounds: Timed, each: str = "batch") -> None:
        named = f"{what} ({crowd.size:,})"
        longest_ms = median(timed.longest_ms for timed in rounds)
        record(f"{named}: longest {each}", longest_ms, "ms")
        record(f"{named}: longest {each}, CPU", median(timed.longest_cpu_ms for timed in rounds), "ms")
        record(f"{named}: all {len(rounds[0].wall):,}, CPU", median(sum(timed.cpu) for timed in rounds), "s")

    return reported


def with_wait(id: str, event: str, **more: Any) -> dict[str, Any]:
    nodes = {
        "start": start(event, "wait"),
        "wait": {"kind": "wait", "for": "3d", "next": "late"},
        "late": message(),
    }
    return flow(id, nodes, **more)


def test_launching_a_version_without_the_wait(
    crowd: ContactCrowd, once: Once, record: Record, report: Report
) -> None:
    """Also `impact`, which says so beforehand."""
    rounds: list[Timed] = []
    asking = Timed()

    def launches() -> None:
        for _ in range(ROUNDS):
            crowd.control("launch", flow=with_wait("removed", "A"))
            crowd.all_send("A")
            crowd.control("start_draft", flow="removed")
            without = flow("removed", {"start": start("A", "late"), "late": message()})
            crowd.control("save_draft", flow="removed", document=without)
            with asking:
                impact = crowd.kernel.impact("removed")
            assert impact["removed"]["total"] == crowd.size
            timed = Timed()
            crowd.control("launch", flow="removed", timed=timed)
            crowd.settle_down(timed)
            rounds.append(timed)
            assert crowd.kernel.stats("removed")["nodes"]["wait"]["removed"] == crowd.size * len(rounds)

    once(launches)
    record(f"impact of a launch ({crowd.size:,})", median(asking.wall) * 1e3, "ms")
    report("a launch without the wait where all are", *rounds)
    assert crowd.kernel.counts()["waiting"] == 0
    if crowd.size == MILLION:
        assert median(timed.longest_cpu_ms for timed in rounds) <= LAUNCH_MS_MAX


def test_waits_that_end_while_the_flow_is_paused(crowd: ContactCrowd, once: Once, report: Report) -> None:
    def holds() -> None:
        crowd.control("launch", flow=with_wait("held", "B", when_paused="hold"))
        crowd.all_send("B")
        crowd.control("pause", flow="held")
        report("waits due in a paused flow, held", crowd.settle_down(Timed(), pass_ms=4 * DAY_MS))
        assert crowd.waiting("held") == crowd.size
        timed = Timed()
        crowd.control("resume", flow="held", timed=timed)
        report("a flow with held runs goes on, a step each", crowd.settle_down(timed))
        assert crowd.waiting("held") == 0
        crowd.receive_all()

    once(holds)
    assert crowd.kernel.stats("held")["nodes"]["late"]["executed"] == crowd.size


def test_a_scheduled_launch_with_events_between(crowd: ContactCrowd, once: Once, report: Report) -> None:
    daily = {"kind": "launch", "trigger": {"schedule": {"every": "day", "at": "09:00"}}, "next": "wait"}
    document = flow("daily", {"start": daily, "wait": {"kind": "wait", "for": "1h"}})

    def sweeps() -> None:
        crowd.control("launch", flow=document)
        due = crowd.kernel.next_due_ms()
        assert due is not None
        crowd.now_ms = due
        report("a scheduled launch, 500 events a batch between", crowd.settle_down(Timed(), meanwhile="C"))
        assert crowd.waiting("daily") == crowd.size
        crowd.control("pause", flow="daily")
        report("waits due at once that end a run", crowd.settle_down(Timed(), pass_ms=2 * 3_600 * SECOND_MS))

    once(sweeps)
    assert crowd.kernel.counts()["waiting"] == 0


def test_waits_due_in_the_same_second(crowd: ContactCrowd, once: Once, report: Report) -> None:
    def fires() -> None:
        crowd.control("launch", flow=with_wait("second", "D"))
        report("an event that starts a run and waits", crowd.all_send("D", within_ms=SECOND_MS))
        report("waits due in one second, a step each", crowd.settle_down(Timed(), pass_ms=4 * DAY_MS))
        crowd.receive_all()

    once(fires)
    assert crowd.kernel.stats("second")["nodes"]["late"]["executed"] == crowd.size


def test_a_full_snapshot(crowd: ContactCrowd, once: Once, record: Record, report: Report) -> None:
    """A snapshot of contacts who all wait, with as many pending effects and codes of one pool."""
    document = flow(
        "kept", {"start": start("E", "now"), "now": message("wait"), "wait": {"kind": "wait", "for": "3d"}}
    )
    rounds: list[Timed] = []

    def snapshots() -> None:
        crowd.control("launch", flow=document)
        for first in range(0, crowd.size, 10_000):
            codes = [f"SPRING-{n:08}" for n in range(first, first + 10_000)]
            crowd.control("add_codes", pool="spring", codes=codes)
        crowd.all_send("E")
        parts: list[bytes] = []
        for _ in range(ROUNDS):
            parts.clear()
            timed = Timed()
            with timed:
                snapshot = crowd.kernel.snapshot(full=True)
            parts = parts_of(snapshot, timed)
            rounds.append(timed)
        report("a full snapshot", *rounds, each="part")
        record(f"a full snapshot ({crowd.size:,})", sum(map(len, parts)) / 1e6, "MB")
        restored = Kernel(key=bytes(range(16)))
        with Timed() as restoring:
            restored.restore(parts)
        record(f"restoring it ({crowd.size:,}), CPU", sum(restoring.cpu), "s")
        assert restored.counts() == crowd.kernel.counts()

    once(snapshots)
    if crowd.size == MILLION:
        assert median(timed.longest_cpu_ms for timed in rounds) <= PART_MS_MAX


MEMORY = {
    "a contact with ten traits": ["crowd = Crowd(0)", "before = held()", "crowd.grow({size})"],
    "a waiting run": [
        "crowd = Crowd({size})",
        "crowd.control('launch', flow=FLOW)",
        "before = held()",
        "crowd.all_send('A')",
        "give_back()",
    ],
    "both": [
        "crowd = Crowd(0)",
        "before = held()",
        "crowd.grow({size})",
        "crowd.control('launch', flow=FLOW)",
        "crowd.all_send('A')",
        "give_back()",
    ],
}
IN_NO_ORDER = """
from api.measure.work import PRIME
from bench.crowd import BATCH
for first in range(0, {size}, BATCH):
    crowd.apply(crowd.events('A', [n * PRIME % {size} for n in range(first, first + BATCH)]))
"""
"""An event of every contact, without a list of all numbers, whose memory would count as well."""


def program(size: int, *lines: str) -> str:
    """Return the program of a process whose flow has runs that wait immediately."""
    waiting = {"start": start("A", "wait"), "wait": {"kind": "wait", "for": "3d"}}
    first = [
        "from bench.crowd import Crowd",
        "from ext.structures.memory import give_back",
        f"FLOW = {flow('waiting', waiting)}",
    ]
    return "\n".join([*first, *lines]).replace("{size}", str(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", MEMORY)
def test_memory(what: str, size: int, record: Record, resident: Resident) -> None:
    """Memory of a process of its own. The run's event is in the contact's history as well, and its id is remembered."""
    grown = resident(program(size, *MEMORY[what]))
    record(f"resident bytes of {what} ({size:,})", grown / size, "bytes")
    assert 100 < grown / size < 3_000
    if what == "both" and size == MILLION:
        assert grown / size <= PAIR_BYTES_MAX


@pytest.mark.parametrize(
    "size", [pytest.param(20_000, id="20k"), pytest.param(10 * MILLION, id="10M", marks=pytest.mark.nightly)]
)
def test_ten_million_of_each(size: int, record: Record, resident: Resident) -> None:
    """All of a process: Python, the engine, contacts with ten traits, as many waiting runs, the last four million
    message ids."""
    crowd = ["crowd = Crowd({size})", "crowd.control('launch', flow=FLOW)", IN_NO_ORDER, "give_back()"]
    taken = resident(program(size, *crowd, "assert crowd.waiting('waiting') == {size}"))
    record(f"resident memory with {size:,} contacts and waiting runs", taken / 1e9, "GB")
    assert taken / 1e9 <= TEN_MILLION_GB_MAX
