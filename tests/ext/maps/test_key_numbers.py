"""Numbers of keys: a key has the same one for ever, or none for ever."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from engine.tuning import KEY_NUMBERED_BYTES_MAX, KEYS_NUMBERED_MAX
from ext.maps.key_numbers import number_of, numbered

keys = st.text(max_size=80)


def in_a_process_of_its_own(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@given(st.lists(keys, max_size=30))
def test_a_number_is_of_one_key_and_stays(some: list[str]) -> None:
    first = [number_of(key) for key in some]
    assert [number_of(key) for key in some] == first
    known = numbered()
    for key, number in zip(some, first, strict=True):
        assert number is None or known[number - 1] == key


@given(st.text(min_size=KEY_NUMBERED_BYTES_MAX + 1, max_size=300))
def test_a_long_key_has_none(key: str) -> None:
    assert number_of(key) is None


def test_numbers_go_up_from_one() -> None:
    program = """
from ext.maps.key_numbers import number_of
print(*[number_of(key) for key in ['b', 'a', 'b', 'é', 'x' * 64]])
"""
    assert in_a_process_of_its_own(program) == "1 2 1 3 4"


def test_a_key_that_its_number_would_not_shorten_has_none() -> None:
    """A number takes a byte below 128, two below 256, then three; a string one more than its text."""
    program = """
from ext.maps.key_numbers import number_of
print(number_of(""), number_of("a"))
for n in range(2, 128):
    number_of(f"key {n}")
print(number_of("b"), number_of("cd"), number_of("a"))
for n in range(129, 256):
    number_of(f"key {n}")
print(number_of("ef"), number_of("ghi"), number_of("b"), number_of("a"))
"""
    assert in_a_process_of_its_own(program).split() == [
        "None",
        "1",
        "None",
        "128",
        "1",
        "None",
        "256",
        "None",
        "1",
    ]


def test_there_are_no_more_than_the_bound() -> None:
    program = f"""
from ext.maps.key_numbers import number_of, numbered
first = [number_of(f"key {{n}}") for n in range({KEYS_NUMBERED_MAX} * 3)]
assert [number_of(f"key {{n}}") for n in range({KEYS_NUMBERED_MAX} * 3)] == first
print(len(numbered()), sum(number is not None for number in first), max(n for n in first if n is not None))
"""
    assert in_a_process_of_its_own(program) == " ".join([str(KEYS_NUMBERED_MAX)] * 3)


def test_most_keys_of_a_thousand_find_a_place() -> None:
    program = """
from ext.maps.key_numbers import number_of
print(sum(number_of(f'property {n}') is None for n in range(1_000)))
"""
    assert in_a_process_of_its_own(program) == "0"


def test_keys_that_differ_only_in_their_middle_are_told_apart() -> None:
    some = [f"a_beginning_{x}{y}{z}_and_an_end" for x, y, z in product("abc", repeat=3)]
    numbers = [number_of(key) for key in some]
    given = [number for number in numbers if number is not None]
    assert len(set(given)) == len(given)
