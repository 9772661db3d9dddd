"""Plans over packed data: every width of msgpack is read, equal conditions are evaluated once, times are exact."""

from __future__ import annotations

import datetime
import gc
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.cel.expression import Scope, compile_condition, compile_value, evaluate
from engine.flow.schema import DEFAULT
from ext.expressions.cel_time import duration_text, read_duration, read_timestamp, timestamp_text
from ext.expressions.node_group import shared_groups
from ext.expressions.plan import View

SCOPE = Scope(event=True, entities=("order",), schema=DEFAULT)


class CountingFacts:
    """Facts that count how often they were asked."""

    def __init__(self) -> None:
        self.asked = 0

    def count(self, name: str, since_ms: int, until_ms: int) -> int:
        self.asked += 1
        return 3

    def last(self, name: str) -> int | None:
        self.asked += 1
        return None

    def sum(self, name: str, property: str, since_ms: int, until_ms: int) -> float:
        raise AssertionError("nobody asks for a sum here")

    def available(self, pool: str) -> int:
        raise AssertionError("nobody asks for codes here")


def view(**traits: Any) -> tuple[View, CountingFacts]:
    made = View()
    made.traits = msgspec.msgpack.encode(traits)
    made.facts = facts = CountingFacts()
    made.changed()
    return made, facts


# --- reading in place ---

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["x" * 255, "y" * 300]),
    lambda inner: st.lists(inner, max_size=18) | st.dictionaries(st.text(max_size=34), inner, max_size=18),
    max_leaves=20,
)


@settings(max_examples=60)
@given(json)
def test_what_was_packed_is_read_back(value: Any) -> None:
    assert repr(evaluate("x", {"x": value})) == repr(value)


@settings(max_examples=60)
@given(st.dictionaries(st.text(min_size=1, max_size=40), json, min_size=1, max_size=20), st.data())
def test_a_key_is_found_behind_any_other_values(traits: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(traits)))
    assert (
        evaluate("x[name] == value && name in x", {"x": traits, "name": name, "value": traits[name]}) is True
    )


@settings(max_examples=60)
@given(json, json)
def test_equality_is_that_of_json(left: Any, right: Any) -> None:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, bool) != isinstance(b, bool):
            return False
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        if {type(a), type(b)} == {int, float}:
            return float(a) == float(b)
        return bool(a == b)

    assert evaluate("x == y", {"x": left, "y": right}) is same(left, right)


def test_lists_and_maps_of_every_width() -> None:
    assert evaluate("size(x) + size(y)", {"x": "z" * 70_000, "y": "é" * 40_000}) == 110_000
    for size in (15, 16, 65_535, 65_536):
        assert evaluate("size(x)", {"x": [0] * size}) == size
        assert evaluate("size(x)", {"x": {str(n): 0 for n in range(size)}}) == size
        assert evaluate("x[size(x) - 1]", {"x": [*range(size)]}) == size - 1


# --- sharing ---


def test_a_condition_in_two_plans_is_evaluated_once_in_a_generation() -> None:
    asked = "customer.count('Order Completed') > 2"
    first = compile_condition(f"{asked} && customer.a == 1", SCOPE)
    second = compile_condition(f"customer.b == 1 || {asked}", SCOPE)
    contact, facts = view(a=1, b=2)
    assert first.test(contact)
    assert second.test(contact)
    assert facts.asked == 1
    contact.changed()
    assert second.test(contact)
    assert facts.asked == 2


def test_what_a_view_remembered_is_not_taken_for_anothers() -> None:
    one = compile_condition("customer.a == 1 && customer.c == 1", SCOPE)
    two = compile_condition("customer.a == 1 || customer.c == 7", SCOPE)
    yes, no = view(a=1, c=1)[0], view(a=2, c=1)[0]
    for _ in range(2):
        assert one.test(yes)
        assert two.test(yes)
        assert not one.test(no)
        assert not two.test(no)


def test_an_error_is_remembered_with_its_place_in_each_plan() -> None:
    asked = "customer.last('Unheard') > now"
    first = compile_condition(f"{asked} && customer.a == 1", SCOPE)
    second = compile_condition(f"customer.a == 2 ||\n {asked}", SCOPE)
    contact, facts = view(a=1)
    assert not first.test(contact)
    assert not second.test(contact)
    assert facts.asked == 1
    assert first.error == "no such event: the contact has no 'Unheard' yet (line 1, column 14)"
    assert second.error == "no such event: the contact has no 'Unheard' yet (line 2, column 15)"


def test_constants_that_python_takes_for_equal_are_not_shared() -> None:
    contact, _ = view(a=1)
    texts = ["type(1) == int", "type(1.0) == int", "type(1u) == int", "type(true) == int"]
    plans = [compile_condition(f"({text}) && customer.a == 1", SCOPE) for text in texts]
    assert [plan.test(contact) for plan in plans] == [True, False, False, False]
    signs = [compile_value(f"1.0 / {zero} > 0.0", SCOPE) for zero in ("0.0", "-0.0")]
    assert [plan.value(contact) for plan in signs] == [True, False]


def test_what_depends_on_a_loops_variable_is_evaluated_for_each_element() -> None:
    first = compile_condition("customer.l.all(x, x > 2) || customer.l.exists(x, x > 2)", SCOPE)
    second = compile_condition("customer.l.all(x, [1, 5].exists(y, x > 2 && y > x))", SCOPE)
    contact, _ = view(l=[1, 3])
    assert first.test(contact)
    assert not second.test(contact)
    contact, _ = view(l=[3, 4])
    assert second.test(contact)


def test_a_shared_condition_goes_with_its_last_plan() -> None:
    gc.collect()
    before = shared_groups()
    from engine.flow.cel import expression

    kept = dict(expression._plans)
    plans = [compile_condition(f"customer.zz == {n} && customer.yy == 1", SCOPE) for n in range(10)]
    assert shared_groups() == before + 10 + 10 + 1  # ten plans, ten clauses of their own, one of all
    expression._plans.clear()
    expression._plans.update(kept)
    del plans
    assert shared_groups() == before


def test_the_bound_on_steps_does_not_depend_on_who_shares() -> None:
    costly = "customer.l.all(x, customer.l.exists(y, y == x))"
    alone = compile_condition(f"{costly} && customer.l.all(x, customer.l.exists(y, y == x + 0))", SCOPE)
    contact, _ = view(l=[*range(110)])
    assert not alone.test(contact)
    assert "steps" in str(alone.error)
    sharer = compile_condition(f"{costly} || customer.a == 1", SCOPE)
    assert sharer.test(contact)
    assert not alone.test(contact)
    assert "steps" in str(alone.error)


# --- times ---

seconds = st.integers(-62_135_596_800, 253_402_300_799)
nanos = st.sampled_from([0, 1, 500_000_000, 999_999_999]) | st.integers(0, 999_999_999)
EPOCH = datetime.datetime(1970, 1, 1)


@given(seconds, nanos)
def test_a_timestamp_is_read_back(second: int, nano: int) -> None:
    text = timestamp_text(second, nano)
    assert text.startswith((EPOCH + datetime.timedelta(seconds=second)).isoformat())
    assert read_timestamp(text.encode()) == (second, nano)


@given(st.integers(-315_575_999_999, 315_575_999_999), nanos)
def test_a_duration_is_read_back(second: int, nano: int) -> None:
    assert read_duration(duration_text(second, nano).encode()) == (second, nano)


@given(seconds)
def test_the_parts_of_a_date_are_those_of_the_calendar(second: int) -> None:
    at = EPOCH + datetime.timedelta(seconds=second)
    found = evaluate(
        "[t.getFullYear(), t.getMonth(), t.getDate(), t.getDayOfWeek(), t.getDayOfYear(), t.getHours(), t.getMinutes(),"
        " t.getSeconds()].map(part, part)".replace("t.", "timestamp(s)."),
        {"s": second},
    )
    weekday, yearday = at.isoweekday() % 7, at.timetuple().tm_yday - 1
    assert found == [at.year, at.month - 1, at.day, weekday, yearday, at.hour, at.minute, at.second]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-1-01T00:00:00Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00Zx",
        "2026-01-32T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00+01:0",
    ],
)
def test_a_text_that_is_no_instant(text: str) -> None:
    assert read_timestamp(text.encode()) is None


@pytest.mark.parametrize(
    "text", ["", "-", "1", "s", "1x", "1.s.", "--1s", "1h-1m", "1 h", ".s", "315576000000.1s"]
)
def test_a_text_that_is_no_duration(text: str) -> None:
    assert read_duration(text.encode()) is None
