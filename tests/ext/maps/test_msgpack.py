"""MessagePack as the engine writes and skips it, beside the library."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ext.maps.msgpack import length, shortest

EDGES = [
    edge
    for power in (5, 7, 8, 15, 16, 31, 32, 63)
    for edge in (2**power - 1, 2**power, -(2**power), -(2**power) - 1)
    if -(2**63) <= edge < 2**63
]


@pytest.mark.parametrize("value", EDGES)
def test_an_integer_takes_its_shortest_form(value: int) -> None:
    assert shortest(value) == msgspec.msgpack.encode(value)


@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False))
@example(-0.0)
def test_a_number_is_written_as_the_library_writes_it(value: float) -> None:
    assert shortest(value) == msgspec.msgpack.encode(value)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
)


@given(json_values, st.binary(max_size=8))
@example("a" * 70_000, b"x")
@example([0] * 70_000, b"x")
@example({str(n): n for n in range(70_000)}, b"")
def test_an_element_ends_where_the_library_ends_it(value: Any, behind: bytes) -> None:
    packed = msgspec.msgpack.encode(value)
    assert length(packed + behind) == len(packed)
