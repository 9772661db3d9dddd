"""The timing wheel with a million timers waiting (ten million by name: `-m nightly`).

Due times lie evenly over the next 30 days, in random order, so timers lie at all levels and far apart in memory.
"""

from __future__ import annotations

import random
from functools import cache
from time import perf_counter

import pytest

from bench.conftest import Measure, Record, Resident
from ext.structures.wheel import Wheel

DAY_MS = 86_400_000
SPAN_MS = 30 * DAY_MS
START_MS = 1_786_320_000_000
ROUND = 10_000
SLICE = 5_000

LARGE_PAGE_BYTES = 2 << 20

MILLION = 1_000_000
SIZES = [
    pytest.param(MILLION, id="1M"),
    pytest.param(10 * MILLION, id="10M", marks=pytest.mark.nightly),
]


class Waiting:
    """A wheel kept at its size: what a round takes out, the next setup puts in again."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.random = random.Random(size)
        self.now_ms = START_MS
        self.wheel = Wheel(START_MS)
        self.handles = [self.insert() for _ in range(size)]
        self.gone: list[int] = []

    def due(self) -> int:
        return self.now_ms + self.random.randrange(1, SPAN_MS)

    def insert(self) -> int:
        return self.wheel.insert(self.due(), self.random.getrandbits(40))


@cache
def waiting(size: int) -> Waiting:
    return Waiting(size)


@pytest.mark.parametrize("size", SIZES)
def test_insert(size: int, measure: Measure) -> None:
    state = waiting(size)
    added: list[int] = []

    def setup() -> tuple[list[tuple[int, int]]]:
        for handle in added:
            state.wheel.cancel(handle)
        added.clear()
        return ([(state.due(), state.random.getrandbits(40)) for _ in range(ROUND)],)

    def work(timers: list[tuple[int, int]]) -> None:
        insert = state.wheel.insert
        added.extend([insert(due, key) for due, key in timers])

    measure(f"insert into a wheel of {size:,}", work, each=ROUND, setup=setup)
    setup()
    assert len(state.wheel) == size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("soon", [True, False], ids=["soon", "at once"])
def test_cancel(size: int, soon: bool, measure: Measure) -> None:
    """Soon, as runs have their timers cancelled: all are gone when the wheel is asked how many there are. At once, as
    the Python method that says whether one was there: each waits for the memory of its timer and of those beside it."""
    state = waiting(size)

    def setup() -> tuple[list[int]]:
        while len(state.wheel) < size:
            state.handles.append(state.insert())
        chosen = []
        for _ in range(ROUND):
            place = state.random.randrange(len(state.handles))
            state.handles[place], state.handles[-1] = state.handles[-1], state.handles[place]
            state.gone.append(state.handles.pop())
            chosen.append(state.gone[-1] + 0)
        return (chosen,)

    def work(handles: list[int]) -> None:
        cancel = state.wheel.cancel_soon if soon else state.wheel.cancel
        for handle in handles:
            cancel(handle)
        len(state.wheel)

    name = f"cancel in a wheel of {size:,}, {'soon' if soon else 'at once'}"
    measure(name, work, each=ROUND, setup=setup)
    assert len(state.wheel) == size - ROUND


def test_the_call_from_python_alone(measure: Measure) -> None:
    cancel = Wheel().cancel

    def work() -> None:
        for _ in range(ROUND):
            cancel(1)

    measure("cancel in an empty wheel: the call from Python", work, each=ROUND)


@pytest.mark.parametrize("size", SIZES)
def test_expire(size: int, measure: Measure) -> None:
    """Time goes on by as much as makes 10,000 timers due; cascades are in the figure."""
    state = waiting(size)
    step_ms = SPAN_MS * ROUND // size
    expired: list[int] = []

    def setup() -> tuple[int]:
        while len(state.wheel) < size:
            state.insert()
        state.now_ms += step_ms
        return (state.now_ms,)

    def work(now_ms: int) -> None:
        count = 0
        while part := state.wheel.expire(now_ms, SLICE):
            count += len(part)
        expired.append(count)

    rounds = 15
    measure(f"expire in a wheel of {size:,}", work, each=ROUND, setup=setup, rounds=rounds)
    assert ROUND * 0.9 < sum(expired) / len(expired) < ROUND * 1.1
    waiting.cache_clear()


def test_next_due_after_every_change(measure: Measure) -> None:
    wheel = Waiting(100_000).wheel
    soonest = wheel.next_due()
    assert soonest is not None

    def work() -> None:
        for back in range(ROUND):
            wheel.cancel(wheel.insert(soonest - 1 - (back & 1), 0))
            wheel.next_due()

    measure("insert, cancel and ask for the next due", work, each=ROUND)


@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "shuffled"])
def test_a_million_due_at_one_millisecond(shuffled: bool, measure: Measure, record: Record) -> None:
    """Slices of 5,000: the first one pays for cascades and sorting, the others do not."""
    keys = list(range(MILLION))
    if shuffled:
        random.Random(5).shuffle(keys)
    wheel = Wheel(START_MS)
    due = START_MS + DAY_MS
    for key in keys:
        wheel.insert(due, key)
    order = "shuffled" if shuffled else "in order"
    begin = perf_counter()
    first = wheel.expire(due, SLICE)
    record(f"a million at one millisecond, keys {order}: first slice", (perf_counter() - begin) * 1e3, "ms")
    assert first == [(due, key) for key in range(SLICE)]
    measure(
        f"a million at one millisecond, keys {order}: later slices",
        lambda: wheel.expire(due, SLICE),
        each=1,
        unit="ms",
        rounds=100,
    )


@pytest.mark.parametrize("size", SIZES)
def test_rebuild(size: int, measure: Measure) -> None:
    """The work of a recovery: all timers into a new wheel, which then turns."""
    state = random.Random(7)
    dues = [START_MS + state.randrange(SPAN_MS) for _ in range(MILLION)]

    def work() -> None:
        wheel = Wheel(START_MS)
        for again in range(size // MILLION):
            for key, due in enumerate(dues, again):
                wheel.insert(due, key)
        wheel.expire(START_MS, 1)

    measure(f"rebuild a wheel of {size:,}", work, each=size, rounds=3, warmup=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("late", [False, True], ids=["waiting", "late"])
def test_bytes_of_a_timer(
    size: int,
    late: bool,
    resident: Resident,
    record: Record,
) -> None:
    """Resident memory of the process, not what the wheel says of itself."""
    program = f"""
from ext.structures.wheel import Wheel
wheel = Wheel({SPAN_MS if late else 0})
before = held()
for n in range({size}):
    wheel.insert(n * 7_919_777 % {SPAN_MS}, n)
"""
    each = resident(program) / size
    record(f"bytes of a timer, {size:,} {'late' if late else 'waiting'}, resident", each, "bytes")
    assert each <= 40 + 2 * LARGE_PAGE_BYTES / size, "its arrays may end in pages that are not full"
