"""JSON to MessagePack: what the library makes of it, by another way."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext.maps.json_to_map import pack_json, pack_object

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
whole = st.integers(-(1 << 63), (1 << 63) - 1)
values = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts, inner, max_size=20),
    max_leaves=40,
)


@given(st.dictionaries(texts, values, max_size=20), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_it_says_what_the_library_says(
    value: dict[str, object], ascii_only: bool, indent: int | str | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    packed = pack_json(text)
    expected = msgspec.json.decode(text)
    if packed is not None:
        assert repr(msgspec.msgpack.decode(packed)) == repr(expected)
    assert repr(msgspec.msgpack.decode(pack_object(text))) == repr(expected)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":0,"b":-0,"c":-1,"d":-32,"e":-33,"f":-128,"g":-129,"h":127,"i":128,"j":255,"k":256,"l":65535,"m":65536}',
        '{"a":4294967295,"b":4294967296,"c":-32768,"d":-32769,"e":-2147483648,"f":-2147483649,"g":99999999999999999}',
        '{"a":1.0,"b":-0.0,"c":1e3,"d":1E-3,"e":123456789012345678.5,"f":0.1,"g":5e-324}',
        r'{"a":"\"\\\/\b\f\n\r\t","b":"\u00e4\u20ac\ud83d\ude00","\u006b":1}',
        '{"a":[],"b":{},"c":[[[]]],"d":{"e":{"f":[{"g":null}]}}}',
        '{ "a" : [ 1 , 2 , { "b" : true } , false , null ] , "c" : "x:y,z" }',
        json.dumps({"list": list(range(300)), "long": "x" * 300, "longer": "y" * 70_000}),
        json.dumps({f"key-{n}": n for n in range(40)}),
        json.dumps({f"{n:065}": n for n in range(64)}),
    ],
)
def test_every_kind_of_value(text: str) -> None:
    packed = pack_json(text.encode())
    assert packed is not None
    assert repr(msgspec.msgpack.decode(packed)) == repr(msgspec.json.decode(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"b":{"a":1,"c":2,"a":3}}',
        r'{"a":1,"\u0061":2}',
        '{"a":1234567890123456789}',
        '{"a":123456789012345678901234567890}',
        json.dumps({f"{n:065}": n for n in range(65)}),
        '{"a":' + "[" * 45 + "]" * 45 + "}",
    ],
)
def test_what_it_declines_the_library_does(text: str) -> None:
    assert pack_json(text.encode()) is None
    expected = msgspec.json.decode(text)
    if isinstance(expected.get("a"), int) and expected["a"] > 1 << 64:
        expected["a"] = float(expected["a"])
    assert msgspec.msgpack.decode(pack_object(text.encode())) == expected
