"""Numbered names: what a dict and a list would say, over any names in any order; the bound, the growth, the bytes."""

from __future__ import annotations

import gc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.structures.name_table import Names

LENGTHS = (*range(34), 63, 64, 65, 255, 256, 257, 300)
"""In bytes: the hash goes by sixteen, eight and fewer."""


class Twin:
    """Numbers in order of first sight, up to a bound."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.numbers: dict[str, int] = {}

    def give(self, text: str) -> int | None:
        if text not in self.numbers and len(self.numbers) == self.most:
            return None
        return self.numbers.setdefault(text, len(self.numbers))


def agree(names: Names, twin: Twin) -> bool:
    """Whether both know the same names under the same numbers."""
    known = list(twin.numbers)
    assert names.texts == known
    return len(names) == len(known) and all(names.get(text) == n for n, text in enumerate(known))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.text("ab\x00é€🍮", max_size=4)
seeds = st.sampled_from([0, 1, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), texts), max_size=60), st.integers(0, 12), seeds)
def test_names_are_numbered_as_by_a_dict(steps: list[tuple[bool, str]], most: int, seed: int) -> None:
    names, twin = Names(most, seed), Twin(most)
    for giving, text in steps:
        if giving:
            assert names.give(text) == twin.give(text)
        assert names.get(text) == twin.numbers.get(text)
    assert agree(names, twin)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32), seeds)
def test_many_names_of_any_length(number: int, seed: int) -> None:
    """Names of one letter and of many, with equal beginnings or ends, and look-ups of many unknown names."""
    random = Random(number)
    names, twin = Names(1_000, seed), Twin(1_000)
    for turn in range(1_500):
        letters = random.choice(("a", "ab", "abcdefghij", "aé", "€🍮", "\x00a"))
        size = random.choice(LENGTHS)
        text = "".join(random.choices(letters, k=size))
        text = random.choice(("", "x" * 16, "x" * 8)) + text + random.choice(("", "y" * 16, "y"))
        if turn % 3:
            assert names.give(text) == twin.give(text)
        else:
            assert names.get(text) == twin.numbers.get(text)
    assert agree(names, twin)


@pytest.mark.parametrize("most", [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1_024, 5_000])
def test_the_bound_holds_and_those_before_it_stay(most: int) -> None:
    """The table grows at 32 names, at 64, at 128 and so on: every one of them is found before and after."""
    names = Names(most)
    for n in range(most):
        assert names.get(f"name {n}") is None
        assert names.give(f"name {n}") == n
        assert names.get(f"name {n}") == n
        if n < 200 or n % 500 == 0:
            assert all(names.get(f"name {before}") == before for before in range(n))
    for n in range(most, most + 100):
        assert names.give(f"name {n}") is None
        assert names.get(f"name {n}") is None
    assert all(names.give(f"name {n}") == n for n in range(most))
    assert len(names) == most == len(names.texts)


@pytest.mark.parametrize("length", LENGTHS)
def test_names_that_differ_in_one_byte_are_two(length: int) -> None:
    names = Names(1_000)
    base = "n" * length
    others = [base[:at] + "m" + base[at + 1 :] for at in range(length)] + [base + "n", base + "\x00"]
    numbers = [names.give(text) for text in [base, *others]]
    assert numbers == list(range(len(others) + 1))
    assert [names.get(text) for text in [base, *others]] == numbers


def test_numbers_do_not_depend_on_the_seed() -> None:
    words = [f"w{n * 7919 % 500}" for n in range(1_000)]
    numbered = {tuple(map(Names(400, seed).give, words)) for seed in (0, 1, 2, 1 << 63, (1 << 64) - 1)}
    assert len(numbered) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(texts, unique=True, max_size=150), seeds, seeds)
def test_a_table_that_takes_the_names_of_another_is_its_like(known: list[str], one: int, other: int) -> None:
    first, second = Names(1_000, one), Names(1_000, other)
    for text in known:
        first.give(text)
    second.take(list(first.texts))
    assert second.texts == first.texts == known
    assert [second.get(text) for text in known] == list(range(len(known)))
    assert second.give("x" * 301) == len(known)
    assert first.get("x" * 301) is None


def test_names_are_taken_into_a_fresh_table_only() -> None:
    names = Names(10)
    names.give("a")
    with pytest.raises(AssertionError, match="before any is given"):
        names.take(["b"])


def test_growing_changes_nothing_one_can_see() -> None:
    names = Names(100)
    numbers = {text: names.give(text) for text in ("", "a", "é", "x" * 300, *map(str, range(60)))}
    for _ in range(4):
        names.grow()
        assert {text: names.get(text) for text in numbers} == numbers
        assert names.get("b") is None


def test_the_names_are_kept_by_the_table_alone() -> None:
    """The table compares the bytes of its own strings: the caller's may be freed and their memory reused."""
    names = Names(10_000)
    for n in range(3_000):
        names.give("é" * (n % 5) + str(n))
    gc.collect()
    assert len([str(n) * 3 for n in range(5_000)]) == 5_000
    assert all(names.get("é" * (n % 5) + str(n)) == n for n in range(3_000))


def test_what_is_no_name_is_refused_and_nothing_changes() -> None:
    names = Names(10)
    for ask in (names.get, names.give):
        with pytest.raises(UnicodeEncodeError):
            ask("half a \ud800 character")
        for wrong in (None, b"bytes", 5):
            with pytest.raises(TypeError):
                ask(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        names.take([b"bytes"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        names.take([None])  # type: ignore[list-item]
    assert len(names) == 0
    assert names.give("a") == 0
