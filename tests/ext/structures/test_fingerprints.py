"""The newest fingerprints (rule 8): facts, then any sequence of verbs against a list."""

from __future__ import annotations

import struct
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.structures.fingerprints import Fingerprints
from tests.reference import fingerprints as twin

UINT64_MAX = (1 << 64) - 1


def numbers(packed: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(packed) // 8}Q", packed))


def test_the_first_time_is_new_the_second_is_not() -> None:
    seen = Fingerprints(10)
    assert [seen.add(fp) for fp in (5, 6, 5)] == [True, True, False]
    assert (5 in seen, 7 in seen, len(seen)) == (True, False, 2)


@pytest.mark.parametrize("fingerprint", [0, 1, UINT64_MAX])
def test_every_64_bit_number_is_legal(fingerprint: int) -> None:
    seen = Fingerprints(1)
    assert fingerprint not in seen
    assert seen.add(fingerprint)
    assert fingerprint in seen
    assert not seen.add(fingerprint)
    assert seen.add(fingerprint ^ 2)
    assert fingerprint not in seen


@pytest.mark.parametrize("number", [-1, UINT64_MAX + 1])
def test_a_fingerprint_has_64_bits(number: int) -> None:
    with pytest.raises(OverflowError):
        Fingerprints(1).add(number)


def test_the_oldest_is_forgotten_beyond_the_capacity() -> None:
    seen = Fingerprints(3)
    for fp in (1, 2, 3, 4):
        seen.add(fp)
    assert ([fp in seen for fp in (1, 2, 3, 4)], len(seen)) == ([False, True, True, True], 3)


def test_seeing_one_again_does_not_make_it_younger() -> None:
    seen = Fingerprints(2)
    for fp in (1, 2, 1, 3):
        seen.add(fp)
    assert [fp in seen for fp in (1, 2, 3)] == [False, True, True]


def test_a_capacity_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Fingerprints(0)


def test_memory_grows_with_use() -> None:
    seen = Fingerprints(1 << 22)
    assert seen.bytes_used < 1_000
    for fp in range(1_000):
        seen.add(fp)
    assert 8_000 < seen.bytes_used < 60_000  # the next table may be taken beforehand
    full = Fingerprints(1_000)
    for fp in range(1_000_000, 1_010_000):
        full.add(fp)
    used = full.bytes_used
    for fp in range(50_000):
        full.add(fp)
    assert full.bytes_used == used < 40_000


def test_a_million_are_remembered_in_order_wherever_their_memory_moves() -> None:
    seen, number = Fingerprints(1 << 21), 1_200_000
    for fp in range(number):
        seen.add(fp * 0x9E3779B97F4A7C15 & UINT64_MAX)
    packed = seen.pack_since(0)
    assert numbers(packed) == [fp * 0x9E3779B97F4A7C15 & UINT64_MAX for fp in range(number)]
    assert not any(seen.add(fp) for fp in numbers(packed[:80_000] + packed[-80_000:]))


def test_a_delta_holds_what_was_added_since() -> None:
    seen = Fingerprints(100)
    seen.add(1)
    mark = seen.mark
    assert seen.pack_since(mark) == b""
    for fp in (3, 2, 3):
        seen.add(fp)
    assert numbers(seen.pack_since(mark)) == [3, 2]
    assert numbers(seen.pack_since(0)) == [1, 3, 2]


def test_a_delta_that_lost_its_beginning_replaces_everything() -> None:
    seen, restored = Fingerprints(2), Fingerprints(2)
    seen.add(2)
    restored.unpack(seen.pack_since(0))
    mark = seen.mark
    for fp in (0, 1, 2):
        seen.add(fp)
    restored.unpack(seen.pack_since(mark))
    assert numbers(restored.pack_since(0)) == [1, 2]
    assert 0 not in restored


def test_a_mark_is_not_ahead() -> None:
    with pytest.raises(ValueError, match="ahead"):
        Fingerprints(1).pack_since(1)


def test_packed_fingerprints_have_8_bytes_each() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        Fingerprints(1).unpack(b"123456789")


fingerprints = st.one_of(st.integers(0, 40), st.integers(0, UINT64_MAX))


@settings(max_examples=200, deadline=None)
@given(capacity=st.integers(1, 60), added=st.lists(fingerprints, max_size=300))
def test_it_does_what_a_list_does(capacity: int, added: list[int]) -> None:
    seen, slow = Fingerprints(capacity), twin.ReferenceFingerprints(capacity)
    for fp in added:
        assert seen.add(fp) == slow.add(fp)
    assert len(seen) == len(slow)
    assert seen.mark == slow.mark
    for fp in {*added, *range(45)}:
        assert (fp in seen) == (fp in slow)
    for mark in range(0, slow.mark + 1, 7):
        assert seen.pack_since(mark) == slow.pack_since(mark)


@settings(max_examples=100, deadline=None)
@given(
    capacity=st.integers(1, 40),
    parts=st.lists(st.lists(fingerprints, max_size=60), min_size=1, max_size=5),
    after=st.lists(fingerprints, max_size=60),
)
def test_a_base_and_its_deltas_bring_back_the_same_memory(
    capacity: int, parts: list[list[int]], after: list[int]
) -> None:
    seen, restored, mark = Fingerprints(capacity), Fingerprints(capacity), 0
    for part in parts:
        for fp in part:
            seen.add(fp)
        restored.unpack(seen.pack_since(mark))
        mark = seen.mark
    assert restored.pack_since(0) == seen.pack_since(0)
    assert [restored.add(fp) for fp in after] == [seen.add(fp) for fp in after]


def test_what_is_held_is_read_in_slices_while_more_is_added() -> None:
    seen = Fingerprints(4, slack=2)
    for fp in (1, 2, 3, 4, 5):
        seen.add(fp)
    seen.hold(0)
    assert numbers(seen.held_part(1) or b"") == [2]
    seen.add(6)
    seen.add(7)
    assert 3 not in seen
    assert numbers(seen.held_part(2) or b"") == [3, 4]
    assert numbers(seen.held_part(2) or b"") == [5]
    assert seen.held_part(2) is None
    assert numbers(seen.pack_since(0)) == [4, 5, 6, 7]


def test_nothing_is_held_once_let_go() -> None:
    seen = Fingerprints(4)
    seen.add(1)
    seen.hold(0)
    seen.let_go()
    assert seen.held_part(1) is None


def test_slack_is_not_negative() -> None:
    with pytest.raises(ValueError, match="slack"):
        Fingerprints(1, slack=-1)


added_or_read = st.one_of(
    fingerprints, st.tuples(st.sampled_from(["hold", "part", "let_go"]), st.integers(0, 30))
)


@settings(max_examples=300, deadline=None)
@given(
    capacity=st.integers(1, 60),
    slack=st.integers(0, 60),
    verbs=st.lists(added_or_read, min_size=20, max_size=300),
)
def test_slices_interleaved_with_adding_give_what_was_there(
    capacity: int, slack: int, verbs: list[int | tuple[str, int]]
) -> None:
    """Whether the slack is enough or not."""
    seen, slow = Fingerprints(capacity, slack), twin.ReferenceFingerprints(capacity)
    for verb in verbs:
        if isinstance(verb, int):
            assert seen.add(verb) == slow.add(verb)
        elif verb[0] == "hold":
            mark = slow.mark * verb[1] // 30
            assert seen.hold(mark) == slow.hold(mark)
        elif verb[0] == "part":
            assert seen.held_part(verb[1] + 1) == slow.held_part(verb[1] + 1)
        else:
            seen.let_go()
            slow.let_go()
    while (part := seen.held_part(7)) is not None:
        assert part == slow.held_part(7)
    assert slow.held_part(7) is None
    assert seen.pack_since(0) == slow.pack_since(0)


@settings(max_examples=200, deadline=None)
@given(
    capacity=st.integers(1, 40),
    slack=st.integers(0, 20),
    parts=st.lists(st.lists(fingerprints, max_size=80), min_size=1, max_size=5),
    slice_size=st.integers(1, 20),
)
def test_a_base_and_deltas_read_in_slices_while_more_is_added_bring_back_each_state(
    capacity: int, slack: int, parts: list[list[int]], slice_size: int
) -> None:
    seen, slow = Fingerprints(capacity, slack), twin.ReferenceFingerprints(capacity)
    restored, mark = Fingerprints(capacity), 0
    adding = iter([fp for part in parts for fp in part])
    for part in parts:
        for fp in islice(adding, len(part) // 2):
            assert seen.add(fp) == slow.add(fp)
        then = slow.pack_since(0)
        if seen.hold(mark):
            restored.forget()
        mark = seen.mark
        while (piece := seen.held_part(slice_size)) is not None:
            restored.unpack(piece)
            for fp in islice(adding, 3):
                assert seen.add(fp) == slow.add(fp)
        assert restored.pack_since(0) == then


@settings(max_examples=30, deadline=None)
@given(stride=st.integers(0, 64).map(lambda bit: 1 << bit), start=st.integers(0, 1000))
def test_numbers_that_are_alike_do_not_get_lost(stride: int, start: int) -> None:
    """Clusters form and are closed again, whichever bits the fingerprints differ in."""
    seen = Fingerprints(50)
    added = list(dict.fromkeys((start + n * stride) & UINT64_MAX for n in range(200)))
    assert all(seen.add(fp) for fp in added)
    assert [fp in seen for fp in added] == [n >= len(added) - 50 for n in range(len(added))]
