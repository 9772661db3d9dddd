"""The passages of a limit node (rule 23): facts, then any sequence of verbs against a list of them all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.limits import LIMIT_PASSAGES_KEPT_MIN
from ext.kernel.limit_window import Passages
from tests.reference import limit_window as twin

HOUR = 3_600_000
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1


def test_two_an_hour() -> None:
    limit = Passages(2, HOUR)
    passed = [limit.pass_(at) for at in (0, 1_800_000, 3_599_999, 3_600_000, 3_600_000, 5_399_999, 5_400_000)]
    assert passed == [True, True, False, True, False, False, True]


def test_the_window_is_open_at_its_beginning() -> None:
    limit = Passages(5, 1_000)
    limit.pass_(0)
    assert [limit.count(at) for at in (0, 999, 1_000)] == [1, 1, 0]


def test_a_refused_one_is_not_counted() -> None:
    limit = Passages(1, HOUR)
    assert [limit.pass_(at) for at in (0, 1, 2, HOUR)] == [True, False, False, True]
    assert limit.total == 2


def test_over_all_time_the_total_decides() -> None:
    limit = Passages(3)
    assert [limit.pass_(at) for at in (0, 10**9, 10**12, 10**15)] == [True, True, True, False]
    assert limit.count(INT64_MAX) == 3


def test_a_max_of_zero_lets_nobody_pass() -> None:
    assert not Passages(0, HOUR).pass_(5)
    assert not Passages(0).pass_(5)


def test_time_does_not_go_back() -> None:
    limit = Passages(2, HOUR)
    limit.pass_(HOUR)
    assert limit.pass_(0)
    assert [limit.count(at) for at in (0, HOUR, 2 * HOUR - 1, 2 * HOUR)] == [2, 2, 2, 0]


def test_passages_of_one_instant_share_an_entry() -> None:
    limit = Passages(5_000, HOUR)
    one = Passages(5_000, HOUR)
    one.pass_(7)
    for _ in range(5_000):
        assert limit.pass_(7)
    assert not limit.pass_(7)
    assert len(limit.pack()) == len(one.pack())


@pytest.mark.parametrize("at", [INT64_MIN, INT64_MIN + 5, 0, INT64_MAX])
def test_every_instant_of_64_bits_is_legal(at: int) -> None:
    limit = Passages(1, HOUR)
    assert [limit.pass_(at), limit.pass_(at)] == [True, False]
    assert limit.count(at) == 1


@pytest.mark.parametrize(("maximum", "per"), [(-1, HOUR), (1, 0), (1, -2)])
def test_a_limit_makes_sense(maximum: int, per: int) -> None:
    with pytest.raises(ValueError, match="max"):
        Passages(maximum, per)
    limit = Passages(1, HOUR)
    with pytest.raises(ValueError, match="max"):
        limit.resize(maximum, per)
    assert (limit.max, limit.per_ms) == (1, HOUR)


def test_an_edit_that_widens_the_window_finds_the_passages() -> None:
    limit = Passages(2, HOUR)
    for at in range(0, 10 * HOUR, HOUR):
        assert limit.pass_(at)
    limit.resize(10, 24 * HOUR)
    assert limit.count(10 * HOUR) == 10
    assert [limit.pass_(at) for at in (10 * HOUR, 24 * HOUR - 1, 24 * HOUR)] == [False, False, True]


def test_an_edit_to_all_time_and_back() -> None:
    limit = Passages(2, HOUR)
    for at in (0, HOUR, 2 * HOUR):
        limit.pass_(at)
    limit.resize(4)
    assert [limit.pass_(2 * HOUR), limit.pass_(9 * HOUR)] == [True, False]
    limit.resize(2, HOUR)
    assert limit.count(2 * HOUR) == 2


def test_what_is_kept_is_bounded() -> None:
    limit = Passages(1, 1)
    for at in range(3 * LIMIT_PASSAGES_KEPT_MIN):
        assert limit.pass_(at)
    packed = len(limit.pack())
    for at in range(3 * LIMIT_PASSAGES_KEPT_MIN, 4 * LIMIT_PASSAGES_KEPT_MIN):
        assert limit.pass_(at)
    assert len(limit.pack()) == packed
    limit.resize(1, 1 << 40)
    assert limit.count(4 * LIMIT_PASSAGES_KEPT_MIN) == LIMIT_PASSAGES_KEPT_MIN


def test_a_larger_max_keeps_more_also_when_lowered_again() -> None:
    kept = LIMIT_PASSAGES_KEPT_MIN + 500
    limit = Passages(kept, 1 << 40)
    for at in range(kept):
        limit.pass_(at)
    limit.resize(5, 10)
    for at in range(1_000_000, 1_000_100, 10):
        limit.pass_(at)
    limit.resize(kept, 1 << 40)
    assert limit.count(1_000_100) == kept


@pytest.mark.parametrize("data", [b"", b"1" * 39, b"1" * 41, b"1" * 48])
def test_what_is_not_packed_passages_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not packed passages"):
        Passages(1).unpack(data)


verbs = st.one_of(
    st.tuples(st.just("pass"), st.integers(-3, 20), st.just(0)),
    st.tuples(st.just("pass"), st.integers(0, 400), st.just(0)),
    st.tuples(st.just("resize"), st.integers(0, 8), st.sampled_from([-1, 1, 10, 50, 500])),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(
    maximum=st.integers(0, 8),
    per=st.sampled_from([-1, 1, 7, 100]),
    sequence=st.lists(verbs, max_size=80),
)
def test_it_does_what_a_list_does(maximum: int, per: int, sequence: list[tuple[str, int, int]]) -> None:
    limit, slow, now = Passages(maximum, per), twin.ReferencePassages(maximum, per), 0
    for verb, amount, more in sequence:
        if verb == "pass":
            now += amount
            assert limit.pass_(now) == slow.pass_(now)
        elif verb == "resize":
            limit.resize(amount, more)
            slow.resize(amount, more)
        else:
            packed = limit.pack()
            limit = Passages(1)
            limit.pass_(-5)
            limit.unpack(packed)
            assert limit.pack() == packed
        assert (limit.max, limit.per_ms, limit.total) == (slow.max, slow.per_ms, len(slow.all))
        for at in (now - 30, now, now + 9, now + 1_000):
            assert limit.count(at) == slow.count(at)


@settings(max_examples=100, deadline=None)
@given(
    maximum=st.integers(1, 5),
    per=st.integers(1, 50),
    steps=st.lists(st.integers(0, 20), max_size=150),
)
def test_at_no_instant_more_than_max(maximum: int, per: int, steps: list[int]) -> None:
    """The rule itself, not the way it is kept."""
    limit, passed, now = Passages(maximum, per), twin.ReferencePassages(maximum, per), 0
    for step in steps:
        now += step
        if limit.pass_(now):
            passed.all.append(now)
    assert passed.most_in_a_window(per) <= maximum
