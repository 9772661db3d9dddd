"""A packed contact is what the library would decode to its fields, whatever they are."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.kernel.contact import Contact
from ext.kernel.contact_writer import pack_contact
from ext.kernel.run import live_runs
from tests.kernel.kernel_bench import Bench, flow

EDGES = [2**bits + more for bits in (0, 5, 7, 8, 15, 16, 31, 32, 62) for more in (-1, 0, 1)]
integers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([*EDGES, *(-edge for edge in EDGES)]))
LONG = [31, 32, 255, 256, 65_535, 65_536]
texts = st.one_of(st.text(max_size=40), st.sampled_from(["x" * n for n in LONG] + ["é" * n for n in LONG]))


def packed(contact: Contact) -> list[Any]:
    data = pack_contact(contact)
    fields: list[Any] = msgspec.msgpack.decode(data)
    assert msgspec.msgpack.encode(fields) == data, "numbers and headers are as short as the library has them"
    return fields


@given(
    id=texts,
    created_ms=integers,
    points=integers,
    traits=st.dictionaries(texts, texts | integers).map(msgspec.msgpack.encode),
    segments=st.lists(texts),
)
def test_every_field_comes_back(
    id: str, created_ms: int, points: int, traits: bytes, segments: list[str]
) -> None:
    contact = Contact(id, created_ms)
    contact.points, contact.traits, contact.segments = points, traits, tuple(segments)
    assert packed(contact) == [id, created_ms, traits, segments, points, [], [], [], [], [], []]


@pytest.mark.parametrize("size", LONG)
def test_large_traits_and_many_segments(size: int) -> None:
    contact = Contact("c", 0)
    traits = msgspec.msgpack.encode({"k": "x" * (size - 5)})
    contact.traits, contact.segments = traits, tuple(map(str, range(size)))
    fields = packed(contact)
    assert (fields[2], fields[3]) == (traits, list(contact.segments))


HEARD = flow(
    {
        "start": {"kind": "launch", "trigger": {"event": "X"}, "next": "halves"},
        "halves": {
            "kind": "ab_test",
            "variants": [
                {"name": "one", "share": 50, "control": True, "next": "step"},
                {"name": "other", "share": 50, "next": "step"},
            ],
            "goal": {"event": "Y", "within": "7d"},
            "metric": "conversion_rate",
        },
        "step": {"kind": "step", "actions": [{"points": {"add": 1}}], "next": "w"},
        "w": {"kind": "wait", "for": "1h"},
    }
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("XXYZ"), st.sampled_from("ab"), st.floats(), st.integers(0, 50)),
        max_size=40,
    )
)
def test_what_came_of_events_is_packed_as_it_is_told(heard: list[tuple[str, str, float, int]]) -> None:
    """Histories with numbers, frequencies, trials and ended runs, in whatever order they came to be."""
    bench = Bench()
    bench.control("launch", flow=HEARD)
    for event, property, number, minutes in heard:
        bench.now_ms += minutes * 60_000
        bench.track("c", event, f'{{"{property}": {json.dumps(number) if isfinite(number) else 0}}}')
    bench.track("c", "X")
    contact = bench.kernel._core.registry.contact("c")
    assert contact is not None
    told = [contact.packed_history(), contact.frequency(), contact.packed_trials(), contact.ended_runs()]
    fields = packed(contact)
    assert msgspec.msgpack.encode(fields[5:9]) == msgspec.msgpack.encode(told)
    assert [run[0] for run in fields[10]] == [run.id for run in live_runs(contact)]
