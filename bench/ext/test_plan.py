"""Conditions of three and of thirty clauses, beside a lambda in Python and Google's evaluator.

A round evaluates the condition once for each of 1,000 contacts, whose data is packed as the kernel holds it; every
view has changed since the round before, so that no result is cached. The lambda and the evaluator of cel-expr-python
get dictionaries made beforehand; the engine would have to unpack its records for either.

Each condition is measured twice: "as the kernel calls it", from a compiled loop (`Plan.test_all`), and "from Python",
where each call of `Plan.test` costs as much again as `true` does ("the call"). The lambda and cel-expr-python can only
be called from Python; both figures of ours are set against them. The ratios are of the medians of this run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cel_expr_python import cel

from bench.conftest import Measure, Record
from engine.flow.cel.expression import Scope, compile_condition
from engine.flow.schema import DEFAULT
from ext.expressions.plan import View

CONTACTS = 1_000
SCOPE = Scope(event=True, entities=("order",), schema=DEFAULT)
Row = tuple[dict[str, Any], dict[str, Any]]

THREE = 'order.total >= 50 && customer.city in ["London","Paris"] && customer.orders_count > 2'
THIRTY = " && ".join(
    [
        THREE,
        *(f"customer.score_{n} < {n + 100}" for n in range(25)),
        'customer.email.endsWith(".com")',
        "order.items != 0",
    ]
)


def by_hand_3(order: dict[str, Any], customer: dict[str, Any]) -> bool:
    return bool(
        order["total"] >= 50 and customer["city"] in ("London", "Paris") and customer["orders_count"] > 2
    )


def by_hand_30() -> Callable[[dict[str, Any], dict[str, Any]], bool]:
    """Return the thirty clauses as a person would write them: one expression, compiled once."""
    clauses = [
        'order["total"] >= 50 and customer["city"] in ("London", "Paris") and customer["orders_count"] > 2',
        *(f'customer["score_{n}"] < {n + 100}' for n in range(25)),
        'customer["email"].endswith(".com")',
        'order["items"] != 0',
    ]
    made: Callable[[dict[str, Any], dict[str, Any]], bool] = eval(
        f"lambda order, customer: {' and '.join(clauses)}"
    )
    return made


def contacts() -> list[Row]:
    """Return contacts for whom every clause holds, so that no clause is skipped, with keys that no clause reads."""
    source = random.Random(5)
    rows = []
    for n in range(CONTACTS):
        order = {"order_id": f"o-{n}", "currency": "GBP", "total": 50.0 + n, "items": 3, "coupon": None}
        customer = {
            "email": f"contact-{n}@example.com",
            "first_name": "Ann",
            "city": source.choice(["London", "Paris"]),
            "timezone": "Europe/London",
            "orders_count": source.randrange(3, 50),
            "plan": "gold",
        }
        rows.append((order, customer | {f"score_{k}": source.randrange(100) for k in range(25)}))
    return rows


def few(rows: list[Row]) -> list[Row]:
    """Return contacts without the scores, of usual size."""
    return [(order, {key: customer[key] for key in list(customer)[:6]}) for order, customer in rows]


ROWS = {THREE: few(contacts()), THIRTY: contacts(), "true": few(contacts())}
FIGURES: dict[tuple[str, str], float] = {}
CASES = pytest.mark.parametrize(
    ("text", "clauses"), [(THREE, 3), (THIRTY, 30)], ids=["3 clauses", "30 clauses"]
)


def views(rows: list[Row]) -> list[View]:
    made = []
    for order, customer in rows:
        view = View()
        view.traits = msgspec.msgpack.encode(customer)
        view.properties = msgspec.msgpack.encode(order)
        made.append(view)
    return made


def ours(text: str, name: str, measure: Measure, *, compiled: bool) -> float:
    plan = compile_condition(text, SCOPE)
    packed = views(ROWS[text])
    assert plan.test_all(packed) == CONTACTS

    def setup() -> tuple[list[View]]:
        for view in packed:
            view.changed()
        return (packed,)

    def from_python(rows: list[View]) -> None:
        test = plan.test
        for view in rows:
            test(view)

    work = plan.test_all if compiled else from_python
    return measure(name, work, each=CONTACTS, setup=setup, rounds=200, warmup=20)


def test_the_call(measure: Measure) -> None:
    ours("true", "the call, as the kernel calls", measure, compiled=True)


def test_the_call_from_python(measure: Measure) -> None:
    ours("true", "the call, from Python", measure, compiled=False)


@CASES
def test_a_condition(text: str, clauses: int, measure: Measure) -> None:
    name = f"{clauses} clauses, as the kernel calls it"
    FIGURES["kernel", text] = ours(text, name, measure, compiled=True)


@CASES
def test_a_condition_from_python(text: str, clauses: int, measure: Measure) -> None:
    FIGURES["python", text] = ours(text, f"{clauses} clauses, from Python", measure, compiled=False)


@CASES
def test_by_hand(text: str, clauses: int, measure: Measure) -> None:
    by_hand = by_hand_3 if text == THREE else by_hand_30()
    rows = ROWS[text]
    assert all(by_hand(order, customer) for order, customer in rows)

    def work() -> None:
        for order, customer in rows:
            by_hand(order, customer)

    name = f"{clauses} clauses by hand in Python, on dictionaries"
    FIGURES["by hand", text] = measure(name, work, each=CONTACTS, rounds=200, warmup=20)


@CASES
def test_googles_evaluator(text: str, clauses: int, measure: Measure) -> None:
    anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    program = cel.NewEnv(variables={"order": anything, "customer": anything}).compile(text)
    rows = [{"order": order, "customer": customer} for order, customer in ROWS[text]]
    assert all(program.eval(data=row).value() is True for row in rows)

    def work() -> None:
        for row in rows:
            program.eval(data=row)

    name = f"{clauses} clauses by cel-expr-python, on dictionaries"
    FIGURES["cel", text] = measure(name, work, each=CONTACTS, rounds=15)


@CASES
def test_ratios(text: str, clauses: int, benchmark: Any, record: Record) -> None:
    """Ratios of the others' times to ours; the cost of the call is not subtracted."""
    benchmark.pedantic(lambda: None, rounds=1)
    for how, said in (("kernel", "ours as the kernel calls it"), ("python", "ours from Python")):
        mine = FIGURES.get((how, text))
        for other in ("by hand", "cel"):
            figure = FIGURES.get((other, text))
            if mine is None or figure is None:
                pytest.skip("the ratios need the figures of this file's other tests")
            record(f"{clauses} clauses: {other} ÷ {said}", figure / mine, "times")
