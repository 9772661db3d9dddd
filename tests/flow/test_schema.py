"""Entities of events, and schema documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from engine.flow.schema import DEFAULT, ENGINE_EVENTS, Schema, parse_schema
from tests.flow.documents import json_values


@pytest.mark.parametrize(
    ("event", "entity"),
    [
        ("Order Completed", "order"),
        ("Order Refunded", "order"),
        ("Cart Viewed", "order"),
        ("Checkout Started", "order"),
        ("Product Viewed", "product"),
        ("Product List Viewed", "product"),
        ("Session Ended", "session"),
        ("Orders Exported", None),
        ("Order", None),
        ("Products Searched", None),
        ("Signed Up", None),
        ("", None),
    ],
)
def test_the_built_in_schema_knows_the_events_of_a_shop(event: str, entity: str | None) -> None:
    assert DEFAULT.entity_of(event) == entity


def test_events_of_the_engine_carry_no_entity() -> None:
    assert {DEFAULT.entity_of(event) for event in ENGINE_EVENTS} == {None}


def test_an_entity_is_there_where_every_event_carries_it() -> None:
    assert DEFAULT.entities_of(("Order Completed", "Cart Viewed")) == ("order",)
    assert DEFAULT.entities_of(("Order Completed", "Product Viewed")) == ()
    assert DEFAULT.entities_of(("Order Completed", "Signed Up")) == ()
    assert DEFAULT.entities_of(()) == ()


def test_a_document_adds_to_the_built_in_events() -> None:
    raw = {
        "traits": {"city": "string", "birthday": "date"},
        "entities": {"order": {"total": "double"}},
        "events": {"Order Archived": None, "Visit *": "session", "Visit Product *": "product"},
    }
    schema, problems = parse_schema(raw)
    assert problems == ()
    assert schema is not None
    assert schema.traits == raw["traits"]
    assert schema.entity_of("Order Completed") == "order"
    assert schema.entity_of("Order Archived") is None
    assert schema.entity_of("Visit Ended") == "session"
    assert schema.entity_of("Visit Product Page") == "product"


@pytest.mark.parametrize("raw", [None, {}, {"traits": None}])
def test_no_document_is_the_built_in_schema(raw: object) -> None:
    assert parse_schema(raw) == (DEFAULT, ())


def test_a_schema_reads_back_its_own_document() -> None:
    schema = Schema({"city": "string"}, {"session": {"pages": "int"}}, {"Order *": "", "A": "product"})
    again, problems = parse_schema(schema.document())
    assert problems == ()
    assert again is not None
    assert again.traits == schema.traits
    assert again.entities == schema.entities
    assert again.entity_of("Order Completed") is None
    assert again.entity_of("A") == "product"


def test_equal_schemas_have_equal_signatures() -> None:
    one = Schema({"a": "int", "b": "int"})
    assert one.signature() == Schema({"b": "int", "a": "int"}).signature()
    assert one.signature() != DEFAULT.signature()


@pytest.mark.parametrize(
    ("raw", "pointer", "code"),
    [
        ([], "", "wrong_type"),
        ({"trait": {}}, "/trait", "unknown_key"),
        ({"traits": []}, "/traits", "wrong_type"),
        ({"traits": {"first name": "string"}}, "/traits/first name", "invalid_name"),
        ({"traits": {"a/b": "string"}}, "/traits/a~1b", "invalid_name"),
        ({"traits": {"city": "text"}}, "/traits/city", "invalid_choice"),
        ({"entities": {"basket": {}}}, "/entities/basket", "unknown_key"),
        ({"entities": {"order": {"total": 1}}}, "/entities/order/total", "invalid_choice"),
        ({"events": {"A": "basket"}}, "/events/A", "invalid_choice"),
        ({"events": {"A * B": "order"}}, "/events/A * B", "invalid_name"),
        ({"events": {"": "order"}}, "/events/", "invalid_name"),
        ({"traits": {f"t{n}": "int" for n in range(1001)}}, "/traits", "too_long"),
    ],
)
def test_problems_are_named_with_their_place(raw: object, pointer: str, code: str) -> None:
    schema, problems = parse_schema(raw)
    assert schema is None
    assert [(problem.pointer, problem.code) for problem in problems] == [(pointer, code)]


def test_all_problems_are_listed() -> None:
    _, problems = parse_schema({"traits": {"a b": "int", "c": "number"}, "event": {}})
    assert [problem.code for problem in problems] == ["unknown_key", "invalid_name", "invalid_choice"]
    assert "Did you mean events?" in problems[0].detail


@given(json_values)
def test_no_document_makes_it_raise(raw: Any) -> None:
    schema, problems = parse_schema(raw)
    assert (schema is None) == bool(problems)
