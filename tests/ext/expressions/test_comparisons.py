"""A clause on one key and a constant is decided in one step, and as the general way decides it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.flow.cel.expression import Scope, compile_condition
from engine.flow.schema import DEFAULT, Schema
from ext.expressions.plan import View

KINDS = ["string", "int", "double", "bool", "timestamp", "list", "map"]
DECLARED = Schema(traits={**{kind: kind for kind in KINDS}, "any": "any"})
WORDS = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "abcdefg",
    "abcdefgh",
    "abcdefghijklmnop",
    "abcdefghijklmnopq",
    "é",
    "z" * 40,
]
CONSTANTS = [
    "0",
    "1",
    "-1",
    "127",
    "128",
    "9007199254740993",
    "0.0",
    "1.0",
    "0.5",
    "-1.5",
    "9007199254740992.0",
    "5u",
    "true",
]

numbers = st.sampled_from(
    [0, 1, -1, 127, 128, 2**53, 2**53 + 1, 2**63, 0.0, 0.5, 1.0, -1.5, 1e300, float("nan")]
)
values = numbers | st.sampled_from([*WORDS, None, True, False, [], [1], {}, {"a": 1}, "2026-01-01T00:00:00Z"])
texts = st.sampled_from(WORDS).map(lambda word: f'"{word}"')
clauses = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from(CONSTANTS) | texts).map(
        " ".join
    ),
    st.lists(texts, max_size=18).map(lambda items: f"in [{', '.join(items)}]"),
    st.just('in ["a", 1]'),
)


def decided(text: str, scope: Scope, traits: dict[str, Any]) -> tuple[bool, str]:
    """The truth of a condition, alone and as a clause, and its error without the place."""
    view = View()
    view.traits = msgspec.msgpack.encode(traits)
    view.changed()
    plan = compile_condition(text, scope)
    held = plan.test(view)
    error = str(plan.error or "").partition(" (line")[0]
    assert compile_condition(f"{text} && true", scope).test(view) is held
    assert compile_condition(f"[{text}][0]", scope).test(view) is held
    return held, error


@settings(max_examples=150, deadline=None)
@given(clauses, values)
@example('== ""', "")
@example("!= 0.0", float("nan"))
def test_a_clause_is_decided_as_the_general_way_decides_it(clause: str, value: Any) -> None:
    """`dyn` around the key makes it no key for whoever looks for a short cut."""
    scope = Scope(event=True, entities=(), schema=DEFAULT)
    for traits in ({"key": value}, {"other": value}):
        assert decided(f"customer.key {clause}", scope, traits) == decided(
            f"dyn(customer.key) {clause}", scope, traits
        )


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["int", "double"]), st.sampled_from([">= 1", "< 1", "== 1", "!= 1"]), values)
def test_a_declared_number_is_one_in_a_shortcut_too(kind: str, clause: str, value: Any) -> None:
    scope = Scope(event=True, entities=(), schema=DECLARED)
    constant = clause + (".0" if kind == "double" else "")
    found = decided(f"customer.{kind} {constant}", scope, {kind: value})
    assert found == decided(f"[customer.{kind}][0] {constant}", scope, {kind: value})


@pytest.mark.parametrize("value", WORDS)
def test_a_word_is_itself_and_no_other(value: str) -> None:
    scope = Scope(event=True, entities=(), schema=DEFAULT)
    for word in WORDS:
        assert decided(f'customer.key == "{word}"', scope, {"key": value}) == (word == value, "")
        assert decided(f'customer.key != "{word}"', scope, {"key": value}) == (word != value, "")
        assert decided(f'customer.key in ["{word}", "never"]', scope, {"key": value}) == (word == value, "")
