"""The timing wheel: facts one by one, then any sequence of verbs against a sorted list."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.structures.wheel import Wheel
from tests.reference import wheel as twin

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
HOUR_MS = 3_600_000
ALL = 1 << 40


def test_an_empty_wheel_has_nothing() -> None:
    wheel = Wheel()
    assert (len(wheel), wheel.next_due(), wheel.expire(ALL, ALL)) == (0, None, [])


def test_a_timer_leaves_at_its_millisecond_and_not_before() -> None:
    wheel = Wheel(1_000)
    wheel.insert(5_000, 7)
    assert wheel.expire(4_999, ALL) == []
    assert wheel.expire(5_000, ALL) == [(5_000, 7)]
    assert len(wheel) == 0


def test_the_order_is_due_then_key_whatever_the_order_of_insertion() -> None:
    timers = [(due, key) for due in (10, 70, 70_000, 5 * 10**9) for key in (-3, 0, 5, 1 << 60)]
    for seed in range(20):
        wheel = Wheel()
        for due, key in random.Random(seed).sample(timers, len(timers)):
            wheel.insert(due, key)
        assert wheel.expire(10**12, ALL) == timers


def test_the_worked_example_of_the_header() -> None:
    wheel = Wheel(74)
    for due in (5000, 170, 130, 127, 75):
        wheel.insert(due, due)
    levels = wheel.statistics()["levels"]
    assert isinstance(levels, list)
    assert levels[:4] == [2, 2, 1, 0]
    assert wheel.expire(200, 3) == [(75, 75), (127, 127), (130, 130)]
    assert wheel.statistics()["elapsed_ms"] == 130
    assert wheel.expire(200, 3) == [(170, 170)]
    assert wheel.next_due() == 5000


def test_a_limit_gives_the_smallest_first() -> None:
    wheel = Wheel()
    for due in range(100, 0, -1):
        wheel.insert(due * 1_000, 0)
    got = [wheel.expire(10**6, limit) for limit in (1, 0, 3, 1_000)]
    assert [pair[0] for part in got for pair in part] == [due * 1_000 for due in range(1, 101)]
    assert [len(part) for part in got] == [1, 0, 3, 96]


def test_a_timer_inserted_between_slices_of_its_millisecond_takes_its_place() -> None:
    wheel = Wheel()
    for key in (10, 20, 30):
        wheel.insert(500, key)
    assert wheel.expire(600, 1) == [(500, 10)]
    wheel.insert(500, 5)
    wheel.insert(500, 25)
    wheel.insert(400, 99)
    wheel.insert(550, 1)
    assert wheel.expire(600, ALL) == [(400, 99), (500, 5), (500, 20), (500, 25), (500, 30), (550, 1)]


def test_timers_that_were_due_when_inserted_leave_in_order_too() -> None:
    wheel = Wheel(10**6)
    dues = random.Random(3).sample(range(-(10**6), 10**6), 500)
    for due in dues:
        wheel.insert(due, -due)
    assert wheel.statistics()["late"] == 500
    assert wheel.next_due() == min(dues)
    assert wheel.expire(10**6, ALL) == [(due, -due) for due in sorted(dues)]


def test_a_cancelled_timer_does_not_leave() -> None:
    wheel = Wheel(100)
    late, soon, far = wheel.insert(50, 1), wheel.insert(150, 2), wheel.insert(10**9, 3)
    assert [wheel.cancel(handle) for handle in (late, soon, far)] == [True, True, True]
    assert (len(wheel), wheel.next_due(), wheel.expire(10**10, ALL)) == (0, None, [])


def test_one_of_the_millisecond_being_given_out_can_be_cancelled() -> None:
    wheel = Wheel()
    handles = [wheel.insert(500, key) for key in range(100)]
    assert len(wheel.expire(500, 10)) == 10
    assert wheel.statistics()["run"] == 90
    assert [wheel.cancel(handle) for handle in handles[:20]] == [False] * 10 + [True] * 10
    assert wheel.expire(500, ALL) == [(500, key) for key in range(20, 100)]


def test_an_old_handle_cancels_nothing() -> None:
    wheel = Wheel()
    handles = set()
    for due in range(1, 201):
        handle = wheel.insert(due, 0)
        assert handle not in handles
        handles.add(handle)
        assert wheel.expire(due, 1) == [(due, 0)]
    other = wheel.insert(10_000, 1)
    assert not any(wheel.cancel(handle) for handle in handles)
    assert wheel.cancel(other)
    assert not wheel.cancel(other)


@pytest.mark.parametrize("handle", [0, 1, 1 << 32, (1 << 64) - 1, 2 << 32 | 1])
def test_a_handle_never_given_cancels_nothing(handle: int) -> None:
    wheel = Wheel()
    assert not wheel.cancel(handle)
    wheel.cancel(wheel.insert(5, 5))
    wheel.insert(6, 6)
    assert not wheel.cancel(handle)
    assert len(wheel) == 1


def test_the_next_due_is_exact_after_the_smallest_of_a_slot_was_cancelled() -> None:
    wheel = Wheel()
    first, second = wheel.insert(9_000, 0), wheel.insert(9_500, 0)
    wheel.insert(9_700, 0)
    assert wheel.next_due() == 9_000
    wheel.cancel(first)
    assert wheel.next_due() == 9_500
    wheel.cancel(second)
    wheel.insert(9_600, 0)
    assert wheel.next_due() == 9_600


def test_every_instant_of_64_bits_is_legal() -> None:
    wheel = Wheel(INT64_MIN)
    dues = sorted({INT64_MIN, INT64_MAX, -1, 0, 1, *(sign << bit for bit in range(63) for sign in (1, -1))})
    for due in reversed(dues):
        wheel.insert(due, due)
    for due in dues:
        assert wheel.next_due() == due
        assert wheel.expire(due - 1 if due > INT64_MIN else due, 0) == []
        assert wheel.expire(due, ALL) == [(due, due)]


def test_a_clock_that_goes_back_makes_nothing_early() -> None:
    wheel = Wheel()
    wheel.insert(100, 1)
    wheel.insert(100, 2)
    assert wheel.expire(200, 1) == [(100, 1)]
    assert wheel.expire(50, ALL) == []
    wheel.insert(150, 3)
    assert wheel.expire(120, ALL) == [(100, 2)]
    assert wheel.expire(150, ALL) == [(150, 3)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_many_of_one_millisecond_leave_in_slices(shuffled: bool) -> None:
    keys = list(range(-50_000, 50_000))
    if shuffled:
        random.Random(1).shuffle(keys)
    wheel = Wheel()
    for key in keys:
        wheel.insert(HOUR_MS, key)
    got: list[tuple[int, int]] = []
    while part := wheel.expire(HOUR_MS, 7_000):
        got += part
    assert got == [(HOUR_MS, key) for key in range(-50_000, 50_000)]


@pytest.mark.parametrize("now_ms", [0, 2 * HOUR_MS], ids=["waiting", "late"])
def test_a_timer_takes_at_most_40_bytes(now_ms: int) -> None:
    wheel = Wheel(now_ms)
    for key in range(100_000):
        wheel.insert(HOUR_MS + key, key)
    held = wheel.statistics()["bytes"]
    assert isinstance(held, int)
    assert held / len(wheel) <= 40


def test_three_hundred_thousand_wait_wherever_their_memory_moves() -> None:
    wheel, dues = Wheel(), list(range(1, 300_001))
    random.Random(1).shuffle(dues)
    for due in dues:
        wheel.insert(due, -due)
    assert wheel.expire(ALL, ALL) == [(due, -due) for due in range(1, 300_001)]


def test_places_are_used_again() -> None:
    wheel, held = Wheel(), []
    for begin in range(0, 20_000, 1_000):
        for key in range(1_000):
            wheel.insert(begin + key, key)
        wheel.expire(begin + 1_000, ALL)
        held.append(wheel.statistics()["bytes"])
    assert len(wheel) == 0
    assert held == [held[0]] * 20


# Any sequence of verbs. Delays are of all sizes, so every level is reached; keys are unique, not in order.

delays = st.one_of(
    st.integers(-100, 200),
    st.integers(-(10**7), 10**7),
    st.builds(lambda bit, more: (1 << bit) + more, st.integers(0, 52), st.integers(-2, 2)),
)
inserts = st.tuples(st.just("insert"), delays, st.integers(0, 9))
cancels = st.tuples(st.just("cancel"), st.integers(0, 10**6), st.just(0))
expiries = st.tuples(st.just("expire"), delays.map(abs), st.sampled_from([0, 1, 2, 5, ALL]))


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([0, 63, 64, 1_786_368_000_000]),
    verbs=st.lists(st.one_of(inserts, inserts, cancels, expiries), max_size=80),
)
def test_it_does_what_a_sorted_list_does(start: int, verbs: list[tuple[str, int, int]]) -> None:
    wheel, slow, now = Wheel(start), twin.ReferenceWheel(), start
    handles: list[tuple[int, int]] = []
    for number, (verb, amount, more) in enumerate(verbs):
        if verb == "insert":
            due, key = now + amount, more * 1_000 + number
            handles.append((wheel.insert(due, key), slow.insert(due, key)))
        elif verb == "cancel" and handles:
            fast_handle, slow_handle = handles[amount % len(handles)]
            assert wheel.cancel(fast_handle) == slow.cancel(slow_handle)
        elif verb == "expire":
            now += amount
            assert wheel.expire(now, more) == slow.expire(now, more)
        assert len(wheel) == len(slow)
        assert wheel.next_due() == slow.next_due()
    assert wheel.expire(INT64_MAX, ALL) == slow.expire(INT64_MAX, ALL)


@settings(max_examples=100, deadline=None)
@given(
    timers=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), max_size=300),
    now=st.integers(0, 300),
    limit=st.integers(1, 20),
)
def test_equal_timers_all_leave(timers: list[tuple[int, int]], now: int, limit: int) -> None:
    wheel = Wheel(150)
    for due, key in timers:
        wheel.insert(due, key)
    got: list[tuple[int, int]] = []
    while part := wheel.expire(now, limit):
        got += part
    assert got == sorted(timer for timer in timers if timer[0] <= now)
    assert len(wheel) == len(timers) - len(got)


@settings(max_examples=50, deadline=None)
@given(
    keys=st.lists(st.integers(INT64_MIN, INT64_MAX), min_size=1, max_size=400),
    due=st.integers(1, 10**13),
)
def test_a_millisecond_is_sorted_by_any_keys(keys: list[int], due: int) -> None:
    wheel = Wheel()
    for key in keys:
        wheel.insert(due, key)
    assert wheel.expire(due, ALL) == [(due, key) for key in sorted(keys)]


@settings(max_examples=100, deadline=None)
@given(
    dues=st.lists(st.integers(0, 10**9), min_size=1, max_size=60, unique=True),
    rebuilt_at=st.integers(0, 10**9),
    seed=st.integers(0, 10),
)
def test_a_wheel_rebuilt_from_state_fires_the_same(dues: list[int], rebuilt_at: int, seed: int) -> None:
    """Not persisted: what still waits is inserted again, in another order, when the engine starts."""
    lived, rebuilt = Wheel(), Wheel(rebuilt_at)
    for due in dues:
        lived.insert(due, due % 7)
    lived.expire(rebuilt_at // 2, ALL)
    waiting = [due for due in dues if due > rebuilt_at // 2]
    for due in random.Random(seed).sample(waiting, len(waiting)):
        rebuilt.insert(due, due % 7)
    for now in (rebuilt_at, rebuilt_at + 1, 10**9):
        assert rebuilt.next_due() == lived.next_due()
        assert rebuilt.expire(now, 10) == lived.expire(now, 10)
        assert rebuilt.expire(now, ALL) == lived.expire(now, ALL)


@settings(max_examples=300, deadline=None)
@given(
    verbs=st.lists(st.one_of(inserts, inserts, cancels, cancels, expiries), max_size=200),
)
def test_those_cancelled_soon_are_gone_before_anything_is_asked(verbs: list[tuple[str, int, int]]) -> None:
    """Nothing is asked but by `expire`, so up to some dozens wait to be cancelled while others are inserted."""
    wheel, slow, now = Wheel(), twin.ReferenceWheel(), 0
    handles: list[tuple[int, int]] = []
    for number, (verb, amount, more) in enumerate(verbs):
        if verb == "insert":
            due, key = now + amount, more * 1_000 + number
            handles.append((wheel.insert(due, key), slow.insert(due, key)))
        elif verb == "cancel" and handles:
            fast_handle, slow_handle = handles.pop(amount % len(handles))
            if slow.cancel(slow_handle):
                wheel.cancel_soon(fast_handle)
        elif verb == "expire":
            now += amount
            assert wheel.expire(now, more) == slow.expire(now, more)
    assert wheel.next_due() == slow.next_due()
    assert len(wheel) == len(slow)


@pytest.mark.parametrize("asked", [len, Wheel.next_due, Wheel.statistics, lambda wheel: wheel.expire(0, 1)])
@pytest.mark.parametrize("others", [0, 1, 31, 32, 100])
def test_cancelling_soon_what_is_not_there_is_a_mistake(
    asked: Callable[[Wheel], object], others: int
) -> None:
    wheel = Wheel()
    gone = wheel.insert(5, 5)
    assert wheel.cancel(gone)
    wheel.cancel_soon(gone)

    def go_on() -> None:
        for number in range(others):
            wheel.cancel_soon(wheel.insert(number, number))
        asked(wheel)

    with pytest.raises(AssertionError, match="not in the wheel"):
        go_on()


def test_one_that_is_cancelled_soon_cannot_be_cancelled_again() -> None:
    wheel = Wheel()
    handle = wheel.insert(1, 1)
    wheel.cancel_soon(handle)
    assert not wheel.cancel(handle)
    assert wheel.statistics()["timers"] == 0
