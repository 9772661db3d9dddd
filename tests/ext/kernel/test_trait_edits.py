"""Edits of a packed map beside the same made to a dict, byte for byte."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from engine.kernel.contacts import same
from ext.kernel.trait_edits import EDITS_MAX, Edits

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode

EDGES = [
    edge + by
    for bits in (5, 7, 8, 15, 16, 31, 32, 63)
    for edge in (1 << bits, -(1 << bits))
    for by in (-1, 0, 1)
]
whole = st.sampled_from([edge for edge in EDGES if -(1 << 63) <= edge < 1 << 63]) | st.integers(-3, 3)
numbers = (
    whole
    | st.sampled_from([0.0, -0.0, 0.5, 1e308, -1e308, 3.0])
    | st.floats(allow_nan=False, allow_infinity=False)
)
scalars = (
    numbers
    | st.booleans()
    | st.sampled_from(["", "York", "x" * 31, "x" * 32, "x" * 300])
    | st.just((1 << 64) - 1)
)
values = (
    scalars | st.lists(scalars, max_size=20) | st.dictionaries(st.sampled_from("abc"), scalars, max_size=3)
)
names = st.sampled_from(["a", "b", "é", "name", "n" * 31, "n" * 32, "n" * 255, *(f"n{n}" for n in range(20))])
maps = st.dictionaries(names, values, max_size=25)


def slowly(
    before: dict[str, Any], changes: dict[str, Any], sums: dict[str, Any]
) -> tuple[bytes, list[str]] | None:
    """By way of a dict; None where a sum is none."""
    changes = dict(changes)
    for name, by in sums.items():
        had = before.get(name, 0)
        if isinstance(had, bool) or not isinstance(had, int | float):
            return None
        total = had + by
        if not (isfinite(total) if isinstance(total, float) else -(1 << 63) <= total < 1 << 63):
            return None
        changes[name] = total
    after = {name: value for name, value in {**before, **changes}.items() if value is not None}
    changed = sorted(name for name in before | after if not same(before.get(name), after.get(name)))
    return (pack(after) if changed else pack(before)), changed


def is_undecided(one: Any, other: Any) -> bool:
    """Pairs of values that the bytes alone do not tell apart."""
    boxes = isinstance(one, list | dict) and isinstance(other, list | dict)
    return boxes or (isinstance(one, float) and isinstance(other, float) and one == other == 0.0)


@given(
    maps, st.dictionaries(names, values | st.none(), max_size=8), st.dictionaries(names, numbers, max_size=8)
)
@example({}, {}, {})
@example({f"n{n}": n for n in range(15)}, {"a": 1}, {"b": 1})
@example({f"n{n}": n for n in range(16)}, {"n3": None, "n9": None}, {})
@example({"a": 1.5, "b": "York"}, {"b": "York"}, {"a": 0})
def test_edits_do_what_a_dict_would(
    before: dict[str, Any], changes: dict[str, Any], sums: dict[str, Any]
) -> None:
    sums = {name: by for name, by in sums.items() if name not in changes}
    expected = slowly(before, changes, sums)
    done = Edits(changes, sums).apply(pack(before))
    if done is None:
        pairs = [(before[name], changes[name]) for name in changes if name in before]
        zero = any(is_undecided(before.get(name), before.get(name)) for name in sums)
        large = any(isinstance(before.get(name), int) and before[name] >= 1 << 63 for name in sums)
        assert expected is None or large or zero or any(is_undecided(*pair) for pair in pairs)
    else:
        assert done == expected
        assert repr(unpack(done[0])) == repr(unpack(expected[0] if expected else b""))


@given(maps)
def test_what_changes_nothing_gives_the_same_object(before: dict[str, Any]) -> None:
    packed = pack(before)
    some = dict(list(before.items())[:EDITS_MAX])
    done = Edits(some, {}).apply(packed)
    assert done is not None
    assert done[0] is packed
    assert done[1] == []


def test_a_map_too_large_to_look_through_for_every_key_is_left_to_others() -> None:
    wide = pack({f"n{n}": n for n in range(2_000)})
    assert Edits({"n1999": None}, {}).apply(wide) is not None
    assert Edits({"a": 1, "b": 2, "c": 3}, {}).apply(wide) is None
