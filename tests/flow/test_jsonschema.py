"""The JSON Schema of flows agrees with the checker, as far as a schema can say it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.jsonschema import flow_schema
from engine.flow.schema import DEFAULT
from engine.flow.validate import check
from tests.flow.documents import json_values, minimal, places, put, whole
from tests.reference.jsonschema import accepts

SCHEMA = flow_schema()


def accepted(raw: Any) -> bool:
    return accepts(SCHEMA, raw, SCHEMA)


def test_a_flow_that_uses_every_key_is_accepted() -> None:
    assert accepted(whole())
    assert accepted(minimal(a={"kind": "limit", "max": 1}))


def test_it_can_be_written_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"].endswith("2020-12/schema")


def test_every_key_has_a_description() -> None:
    def look(schema: Any) -> None:
        if isinstance(schema, dict):
            if schema.get("additionalProperties") is False:
                for name, inner in schema["properties"].items():
                    assert inner["description"], name
            for inner in schema.values():
                look(inner)

    look(SCHEMA["properties"])
    look(SCHEMA["$defs"])


@pytest.mark.parametrize("pointer", ["", "/frequency", "/schedule", *(place for place in places(whole()))])
def test_an_unknown_key_is_refused_where_the_checker_refuses_it(pointer: str) -> None:
    raw: Any = whole()
    inner: Any = raw
    for step in pointer.split("/")[1:]:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    if not isinstance(inner, dict):
        return
    inner["unheard-of"] = 1
    assert accepted(raw) == (not check(raw, DEFAULT).problems)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(places(whole())), json_values)
def test_the_schema_allows_all_that_the_checker_allows(pointer: str, value: Any) -> None:
    raw = put(whole(), pointer, value)
    if not check(raw, DEFAULT).problems:
        assert accepted(raw)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/id", "A"),
        ("/name", ""),
        ("/frequency/mode", "daily"),
        ("/frequency/every", "7 days"),
        ("/frequency/every", ""),
        ("/nodes/start/trigger", {}),
        ("/nodes/start/trigger", {"event": "A", "schedule": {"every": "day", "at": "09:00"}}),
        ("/nodes/wait/until", {"date": "now"}),
        ("/nodes/wait/window/from", "8:00"),
        ("/nodes/wait/window/days", []),
        ("/nodes/wait/missing", "end"),
        ("/nodes/date/until", {}),
        ("/nodes/nudge/kind", "stepp"),
        ("/nodes/nudge/actions", []),
        ("/nodes/nudge/actions/0", {"send": "email"}),
        ("/nodes/nudge/actions/0", {"points": {"add": 1}, "emit": {"event": "A"}}),
        ("/nodes/nudge/actions/0", {"points": {"add": 1.5}}),
        ("/nodes/split/branches/0/share", 101),
        ("/nodes/test/confidence", 1),
        ("/nodes/limit/max", 0),
        ("/nodes/limit", {"kind": "limit"}),
    ],
)
def test_both_refuse(pointer: str, value: object) -> None:
    raw = put(whole(), pointer, value)
    assert check(raw, DEFAULT).problems
    assert not accepted(raw)
