"""A condition reads a map correctly, whatever maps it read before."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.cel.expression import Scope, compile_condition, compile_value
from engine.flow.schema import DEFAULT
from ext.expressions.plan import EvaluationError, View

SCOPE = Scope(event=True, entities=("order",), schema=DEFAULT)
READ = ["a", "b", "ab", "abcd", "abce", "seven_b", "eight_by", "of_exactly_sixteen", "of_exactly_sixteem"]
READ += [
    "a_name_of_twenty_four_bytes",
    "a_name_of_thirty_one_bytes_long",
    "a_name_longer_than_what_a_step_keeps",
]
UNREAD = ["c", "d", "cd", "wxyz", "seven_c", "eight_bz", "of_exactly_sixteeo", "x" * 31, "x" * 40, "é" * 9]
PLANS = {key: compile_value(f"customer.{key}", SCOPE) for key in READ}
THERE = {key: compile_condition(f"has(customer.{key})", SCOPE) for key in READ}

values = st.sampled_from(
    [0, 5, 127, 128, 70_000, -1, 1.5, True, None, "", "word", "w" * 40, [1, [2]], {"a": 1}]
)
maps = st.dictionaries(st.sampled_from(READ + UNREAD), values, max_size=14).flatmap(
    lambda found: st.permutations(list(found.items())).map(dict)
)
shapes = st.lists(maps, min_size=1, max_size=4)


def view(traits: dict[str, Any]) -> View:
    made = View()
    made.traits = msgspec.msgpack.encode(traits)
    made.changed()
    return made


def found(at: View, key: str) -> Any:
    try:
        return PLANS[key].value(at)
    except EvaluationError as error:
        return str(error).partition(":")[0]


@settings(max_examples=100, deadline=None)
@given(shapes, st.data())
def test_a_key_is_found_whatever_was_walked_before(few: list[dict[str, Any]], data: st.DataObject) -> None:
    """Some shapes of maps, met again and again so that trails are trusted, asked for keys in any order."""
    order = data.draw(st.lists(st.sampled_from(range(len(few))), min_size=1, max_size=12))
    asked = data.draw(st.lists(st.sampled_from(READ), min_size=1, max_size=6))
    for turn in order:
        at = view(few[turn])
        for key in asked:
            assert found(at, key) == few[turn].get(key, "no such key")
            assert THERE[key].test(at) is (key in few[turn])


@settings(max_examples=30, deadline=None)
@given(st.integers(55, 140), st.integers(0, 139), st.lists(st.integers(0, 139), max_size=8))
def test_maps_of_more_entries_than_a_trail_has_steps(size: int, place: int, absent: list[int]) -> None:
    traits: dict[str, Any] = {f"k{n}": n for n in range(size) if n not in absent}
    entries = list(traits.items())
    entries.insert(min(place, len(entries)), ("abcd", "here"))
    for _ in range(3):
        at = view(dict(entries))
        assert found(at, "abcd") == "here"
        assert found(at, "abce") == "no such key"


def test_a_trail_is_doubted_and_then_trusted_again() -> None:
    """More maps without the key than a trail stays doubted for, and those with it still found in between."""
    for turn in range(450):
        traits = {"c": 1, "abcd": turn, "d": 2} if turn % 7 else {"d": 2, "c": 1, "wxyz": 3}
        at = view(traits)
        assert found(at, "abcd") == traits.get("abcd", "no such key")


def test_a_key_of_another_of_the_same_length_in_its_place() -> None:
    for _ in range(5):
        assert found(view({"c": 0, "abcd": 1, "ab": 2}), "ab") == 2
    assert found(view({"c": 0, "wxyz": 1, "ab": 2}), "ab") == 2
    assert found(view({"b": 0, "abcd": 1, "ab": 2}), "b") == 0
    assert found(view({"ab": 0, "abcd": 1, "c": 2}), "ab") == 0


def test_a_key_that_a_plan_made_in_between_reads() -> None:
    """The walk has gone past the key before anybody asked for it."""
    at = view({"made_in_between": 1, "abcd": 2, "ab": 3})
    assert found(at, "abcd") == 2
    assert compile_value("customer.made_in_between", SCOPE).value(at) == 1
    assert found(at, "ab") == 3


def test_views_by_turns() -> None:
    one, other = view({"a": 1, "c": 0, "ab": 2}), view({"c": 0, "ab": 4, "a": 3})
    for _ in range(4):
        assert (found(one, "a"), found(other, "a")) == (1, 3)
        assert (found(one, "ab"), found(other, "ab")) == (2, 4)
