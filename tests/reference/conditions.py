"""Expressions by Google's own evaluator, with the engine's functions as plain Python."""

from __future__ import annotations

import re
import weakref
from datetime import datetime, timedelta
from typing import Any, Protocol

from cel_expr_python import cel

MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)


class ReferenceFacts(Protocol):
    """Facts about the current contact, for the functions of expressions."""

    def count(self, name: str, within: timedelta | None) -> int: ...
    def last(self, name: str) -> datetime: ...
    def sum(self, name: str, field: str, within: timedelta | None) -> float: ...
    def in_segment(self, segment: str) -> bool: ...
    def available(self, pool: str) -> int: ...


class EvaluationFailed(Exception):
    """An error of an expression; the message names it."""


class Evaluator:
    """Compiles once per text, evaluates against whatever `facts` says at the time."""

    def __init__(self, facts: ReferenceFacts) -> None:
        facts = weakref.proxy(facts)  # the evaluator's cycles are hidden in C++ from Python's collector
        self._compiled: dict[str, Any] = {}
        types = cel.Type
        self._environment = cel.NewEnv(
            variables={
                "customer": MAP,
                "event": MAP,
                "event_timestamp": types.TIMESTAMP,
                "now": types.TIMESTAMP,
                "order": types.DYN,
                "session": types.DYN,
                "product": types.DYN,
            },
            functions=[
                _member(
                    "count",
                    types.INT,
                    ([types.STRING], lambda c, name: facts.count(name, None)),
                    ([types.STRING, types.DURATION], lambda c, name, within: facts.count(name, within)),
                ),
                _member("last", types.TIMESTAMP, ([types.STRING], lambda c, name: facts.last(name))),
                _member(
                    "sum",
                    types.DOUBLE,
                    ([types.STRING, types.STRING], lambda c, name, field: facts.sum(name, field, None)),
                    (
                        [types.STRING, types.STRING, types.DURATION],
                        lambda c, name, field, within: facts.sum(name, field, within),
                    ),
                ),
                _member("in_segment", types.BOOL, ([types.STRING], lambda c, id_: facts.in_segment(id_))),
                cel.FunctionDecl(
                    "promo.available",
                    [
                        cel.Overload(
                            "promo_available",
                            types.INT,
                            [types.STRING],
                            impl=lambda pool: facts.available(pool),
                        )
                    ],
                ),
            ],
        )

    def value(self, text: str, variables: dict[str, Any]) -> Any:
        """The value as Python has it. The evaluator takes no timestamp inside a map, hence a variable of
        its own for `event.timestamp`."""
        if text not in self._compiled:
            self._compiled[text] = self._environment.compile(
                re.sub(r"\bevent\.timestamp\b", "event_timestamp", text)
            )
        result = self._compiled[text].eval(data=variables)
        if result.type() == cel.Type.ERROR:
            raise EvaluationFailed(str(result.plain_value()))
        return result.plain_value()

    def test(self, text: str, variables: dict[str, Any]) -> tuple[bool, str | None]:
        """Return the result of a condition, and its error or None (rule 20: with an error it is false)."""
        try:
            result = self.value(text, variables)
        except EvaluationFailed as error:
            return False, str(error)
        if not isinstance(result, bool):
            return False, f"not a bool: {result!r}"
        return result, None


def _member(name: str, result: Any, *overloads: tuple[list[Any], Any]) -> Any:
    """Return a function of the map `customer` from the parameters and the implementation of each of its forms."""
    return cel.FunctionDecl(
        name,
        [
            cel.Overload(
                f"customer_{name}_{number}", result, [MAP, *parameters], is_member=True, impl=implementation
            )
            for number, (parameters, implementation) in enumerate(overloads)
        ],
    )
