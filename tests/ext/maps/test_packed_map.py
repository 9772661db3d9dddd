"""Maps that are kept, beside their slow twin; read in place; and spelled out again, whatever has a number."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.cel.expression import evaluate
from engine.limits import TRAITS_BYTES_MAX
from ext.expressions.view import View
from ext.kernel.contact import Contact
from ext.maps.json_to_map import as_kept_json
from ext.maps.key_numbers import number_of, numbered
from ext.maps.packed_map import as_given, as_kept
from tests.kernel.kernel_bench import Bench
from tests.reference import packed_map as twin

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
keys = texts | st.sampled_from(
    ["city", "é" * 15, "é" * 16, *("k" * n for n in (0, 1, 2, 31, 32, 63, 64, 65, 255, 256))]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.sampled_from([0, 1, 2, 127, 128, 255, 256, 65_535, 65_536])
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["x" * 31, "x" * 32, "x" * 300])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=12,
)
maps = st.dictionaries(keys, values, max_size=8)


def name_of(number: int) -> str:
    return numbered()[number - 1]


@given(maps)
def test_it_is_what_the_slow_twin_writes_and_reads(value: dict[str, Any]) -> None:
    kept = as_kept(pack(value))
    assert kept == twin.kept(value, number_of)
    assert repr(twin.spelled(kept, name_of)) == repr((value, b""))


@given(maps)
def test_spelled_out_it_is_what_was_given(value: dict[str, Any]) -> None:
    packed = pack(value)
    assert as_given(as_kept(packed)) == packed


@given(maps, st.booleans())
def test_json_is_kept_as_the_same_packed_is(value: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert as_kept_json(text) == as_kept(pack(value))
    assert repr(unpack(as_given(as_kept_json(text)))) == repr(value)


@pytest.mark.parametrize("is_numbered", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        '{"KEY":{"KEY":1},"KEY":2}',
        '{"KEY":1,"a":{"KEY":{"KEY":2}},"KEY":{"KEY":3,"KEY":4}}',
        '{"a":[{"KEY":1},{"KEY":2}],"KEY":3,"a":4}',
        '{"KEY":"' + "\\u00e9" * 6 + '","a":"' + "\\n" * 40 + '","b":"' + "\\t" * 300 + '"}',
        json.dumps({"KEY": 0} | {f"n{n}": n for n in range(63)}),
        json.dumps({"KEY": 0} | {f"n{n}": "é" * 12 for n in range(64)}),
        json.dumps({f"{n:066}": "é" * 12 for n in range(64)} | {"KEY": 0}),
    ],
)
def test_how_json_is_kept_is_the_same_whatever_has_a_number(text: str, is_numbered: bool) -> None:
    """With numbers and without: by the text alone, as the library understands it."""
    number_of("city")
    text = text.replace("KEY", numbered()[0] if is_numbered else "k" * 70)
    assert as_given(as_kept_json(text.encode())) == pack(json.loads(text))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 300, 70_000])
def test_maps_of_any_length(size: int) -> None:
    value = {f"key {n}": n for n in range(size)}
    packed = pack({"inner": value, "list": [value]})
    kept = as_kept(packed)
    assert as_given(kept) == packed
    assert kept == twin.kept({"inner": value, "list": [value]}, number_of)


@pytest.mark.parametrize("size", [31, 32, 255, 256, 65_535, 65_536])
def test_texts_of_any_length(size: int) -> None:
    value = {"x" * size: "x" * size, "city": ["x" * size]}
    assert as_given(as_kept(pack(value))) == pack(value)
    assert as_kept(pack(value)) == twin.kept(value, number_of)


def test_keys_given_twice_stay() -> None:
    packed = b"\x83" + 3 * (pack("city") + pack("Oslo"))
    assert as_given(as_kept(packed)) == packed


def test_deep_nesting() -> None:
    value: dict[str, Any] = {}
    for _ in range(255):
        value = {"deeper": value}
    assert as_given(as_kept(pack(value))) == pack(value)
    with pytest.raises(ValueError, match="256 levels"):
        as_kept(pack({"deeper": [value]}))


@given(
    st.dictionaries(
        st.integers(-3, 70_000) | st.sampled_from([0, 127, 128, 255, 256, 65_535, 65_536]) | texts,
        st.integers(0, 9),
    )
)
def test_keys_that_are_no_texts_are_told_from_numbers(value: dict[Any, int]) -> None:
    """JSON has none, but what is given to `evaluate` may."""
    packed = pack(value)
    assert as_given(as_kept(packed)) == packed
    assert as_kept(packed) == twin.kept(value, number_of)
    for key, item in value.items():
        assert evaluate("x[key]", {"x": value, "key": key}) == item


@settings(max_examples=60, deadline=None)
@given(maps, maps)
def test_expressions_see_keys_as_texts(one: dict[str, Any], other: dict[str, Any]) -> None:
    both: dict[str, object] = {"x": one, "y": other}
    assert repr(evaluate("x", both)) == repr(one)
    assert evaluate("x.filter(k, true)", both) == list(one)
    assert evaluate("x.all(k, k in x)", both) is True
    assert evaluate("size(x)", both) == len(one)
    assert evaluate("[x] == [x] && {'m': x} == {'m': x}", both) is True
    for key in [*one, *other]:
        assert evaluate("k in x", {**both, "k": key}) is (key in one)
        if key in one:
            assert repr(evaluate("x[k]", {**both, "k": key})) == repr(one[key])


@given(maps)
def test_contacts_and_views_give_back_what_they_were_given(value: dict[str, Any]) -> None:
    packed = pack(value)
    contact, view = Contact("c", 0), View()
    assert (contact.traits, view.traits, view.properties, view.variables) == (b"\x80", b"\x80", None, None)
    contact.traits = view.traits = view.properties = view.variables = packed
    assert contact.traits == view.traits == view.properties == view.variables == packed
    contact.traits, view.properties = b"\x80", None
    assert (contact.traits, view.properties, view.traits) == (b"\x80", None, packed)


@pytest.mark.parametrize("name", ["traits", "properties", "variables"])
def test_a_view_that_refuses_a_map_keeps_what_it_had(name: str) -> None:
    packed, deep = pack({"city": "Oslo" * 20}), b"\x81\xa1k" * 300 + b"\x80"
    views = [View() for _ in range(8)]
    for view in views:
        setattr(view, name, packed)
        with pytest.raises(ValueError, match="256 levels"):
            setattr(view, name, deep)
    others = [View() for _ in range(8)]
    for other in others:
        setattr(other, name, pack({"city": "Rome" * 20}))
    assert {getattr(view, name) for view in views} == {packed}


LONG_KEY = "k" * 62
"""With its place in a list of keys: 64 bytes, as much as a key with a number may have."""


@pytest.mark.parametrize("more", [0, 1])
def test_the_bound_on_traits_is_of_the_bytes_given(more: int) -> None:
    """However few they are where they are kept."""
    traits: dict[str, Any] = {f"{LONG_KEY}{n:02}": n for n in range(50)}
    room = TRAITS_BYTES_MAX + more - len(pack({**traits, "numbers": [1.5] * 256, "rest": ""}))
    traits |= {"numbers": [1.5] * (256 + room // 9), "rest": "x" * (room % 9)}
    assert len(pack(traits)) == TRAITS_BYTES_MAX + more
    bench = Bench()
    for body in (traits, {"rest": None}):
        bench.line(msgspec.json.encode({"type": "identify", "userId": "c", "traits": body}).decode())
    contact = bench.kernel._core.registry.contact("c")
    assert contact is not None
    assert bool(unpack(contact.traits)) is (more == 0)
