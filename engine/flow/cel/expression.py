"""Expressions: CEL text to a plan, and `tidemill eval`.

Google's compiler (`cel-expr-python`) parses and type-checks. `checked_ast` reads its result, `planner` makes terms of
that, `ext.expressions.node_group` builds the plan that `ext.expressions.evaluate` runs. Rejected: Google's evaluator,
which converts the whole context for every call. It is the oracle of the tests instead.

Bounds come first: a text is measured before the compiler sees it, and the compiler has a bound on nesting of its own,
which is met before its stack could be. What a person did wrong is an ExpressionError with line and column.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Final, TypeVar

import msgspec

import ext.expressions.conversions
from engine.errors import TidemillError
from engine.flow.cel.checked_ast import read_checked
from engine.flow.cel.environment import RESERVED_TRAITS, declarable, scope_environment, variables_environment
from engine.flow.cel.planner import Names, Unplannable, plan_term
from engine.flow.schema import ENTITIES, Schema
from engine.flow.tables.pointer import did_you_mean
from engine.flow.zone import is_zone, zone
from engine.limits import EXPRESSION_BYTES_MAX, JSON_DEPTH_MAX
from engine.tuning import EXPRESSION_ENVIRONMENTS_MAX, EXPRESSION_PLANS_MAX
from ext.expressions.plan import EvaluationError, Plan, View

__all__ = [
    "EvaluationError",
    "ExpressionError",
    "Scope",
    "compile_condition",
    "compile_date",
    "compile_value",
    "evaluate",
]

ext.expressions.conversions.use_zones(lambda name: zone(name) if is_zone(name) else None)


class ExpressionError(TidemillError):
    """A text that is no expression, or one that cannot be: `code` begins with `expression`; `line` and `column`
    count from 1 (0: it is about the whole)."""

    def __init__(self, code: str, detail: str, line: int = 0, column: int = 0) -> None:
        super().__init__(code, detail)
        self.line = line
        self.column = column


class Scope(msgspec.Struct, frozen=True):
    """What an expression sees. `customer` and `now` always; `event` unless the launch is a schedule; an entity
    (`order`, `session`, `product`) only where every event of the trigger carries it."""

    event: bool
    entities: tuple[str, ...]
    schema: Schema


class _Compiler:
    """A scope ready for use: the compiler that knows its names, and what the names mean to a plan."""

    def __init__(self, scope: Scope) -> None:
        schema = scope.schema
        self.environment = scope_environment(scope.event, scope.entities, schema)
        roots = {"customer": "customer", "now": "now"}
        if scope.event:
            roots["event"] = "event"
        roots.update((entity, "properties") for entity in scope.entities)
        traits = (
            {**schema.traits, "email": "string", "phone": "string", "timezone": "string"}
            if schema.traits
            else {}
        )
        self.names = Names(roots=roots, traits=traits, properties=schema.entities)
        self.known = (
            *roots,
            *schema.traits,
            *RESERVED_TRAITS,
            *(n for e in scope.entities for n in schema.entities.get(e, ())),
        )


K = TypeVar("K")
V = TypeVar("V")

_compilers: dict[bytes, _Compiler] = {}
_plans: dict[tuple[str, str, bytes], Plan] = {}

_DATES: Final = frozenset({"TIMESTAMP", "STRING", "DYN", "NULL"})
_CONDITIONS: Final = frozenset({"BOOL", "DYN"})


def compile_condition(text: str, scope: Scope) -> Plan:
    """Plan a condition. Equal text in an equal scope gives the same Plan. Raises ExpressionError.

    Its static type is bool, or unknown until there are values; a value that is then not a bool is an error, and so
    false (rule 20).
    """
    return _cached("condition", text, scope)


def compile_value(text: str, scope: Scope) -> Plan:
    """Plan an expression of any type. Raises ExpressionError."""
    return _cached("value", text, scope)


def compile_date(text: str, scope: Scope) -> Plan:
    """Plan the date of a dynamic wait (rule 5). Raises ExpressionError.

    `Plan.value` gives a datetime (UTC), or a str that is a date or an instant; anything else counts as no date.
    """
    return _cached("date", text, scope)


def evaluate(text: str, variables: dict[str, object]) -> object:
    """The value of an expression over these variables, as JSON can carry it. Raises ExpressionError, EvaluationError.

    Every variable may be of any type, and text stays text. Of a value: timestamps as RFC 3339 and durations as
    `3.5s` (CEL's own text), bytes in base64, types by name, NaN, Infinity and -Infinity by these names, map keys
    as text.
    """
    names = frozenset(name for name in variables if isinstance(name, str) and declarable(name))
    plan = _plan(text, variables_environment(names), Names(variables=names), "value", ())
    view = View()
    view.variables = _pack({name: variables[name] for name in sorted(names)})
    customer = variables.get("customer")
    if isinstance(customer, dict) and isinstance(customer.get("segments"), list):
        view.segments = tuple(name for name in customer["segments"] if isinstance(name, str))
    view.changed()
    return plan.json(view)


def _cached(use: str, text: str, scope: Scope) -> Plan:
    signature = msgspec.msgpack.encode((scope.event, scope.entities, scope.schema.signature()))
    key = (use, text, signature)
    plan = _plans.get(key)
    if plan is None:
        compiler = _compilers.get(signature)
        if compiler is None:
            compiler = _kept(_compilers, signature, _Compiler(scope), EXPRESSION_ENVIRONMENTS_MAX)
        plan = _plan(text, compiler.environment, compiler.names, use, compiler.known)
        _kept(_plans, key, plan, EXPRESSION_PLANS_MAX)
    return plan


def _kept(cache: dict[K, V], key: K, value: V, most: int) -> V:
    """Keep a value, forgetting the oldest beyond `most`."""
    if len(cache) >= most:
        del cache[next(iter(cache))]
    cache[key] = value
    return value


def _plan(text: str, environment: Any, names: Names, use: str, known: tuple[str, ...]) -> Plan:
    _measure(text)
    try:
        compiled = environment.compile(text)
        serialised = compiled.serialize()
        found = compiled.return_type().name()
    except (RuntimeError, ValueError) as error:
        raise _refusal(text, str(error), known) from None
    if use == "condition" and found not in _CONDITIONS:
        raise ExpressionError(
            "expression_not_bool", f"A condition gives true or false, this one gives {_kind(found)}.", 1, 1
        )
    if use == "date" and found not in _DATES:
        detail = f"A date is a timestamp or a text such as 2026-12-31, this expression gives {_kind(found)}."
        raise ExpressionError("expression_not_date", detail, 1, 1)
    checked = read_checked(serialised)
    try:
        term, offsets = plan_term(checked, names)
    except Unplannable as error:
        line, column = _place(text, checked.offsets.get(error.id, -1))
        raise ExpressionError(error.code, error.detail, line, column) from None
    return Plan(text, term, offsets)


def _measure(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line, column = _place(text, error.start)
        raise ExpressionError(
            "expression_syntax", "Half of a surrogate pair is no character.", line, column
        ) from None
    if size > EXPRESSION_BYTES_MAX:
        detail = f"An expression has at most {EXPRESSION_BYTES_MAX} bytes, this one has {size}."
        raise ExpressionError("expression_too_large", detail)


def _place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a code point, from 1; (0, 0) where it is not known."""
    if offset < 0:
        return 0, 0
    before = text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _kind(found: str) -> str:
    return f"a {found.lower()}"


# --- the compiler's words for a person ---

_ERROR: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_FIELD: Final = re.compile(r"undefined field '(.*)' not found in struct 'tidemill\.(.*)'")
_NAME: Final = re.compile(r"undeclared reference to '(.*)' \(in container ''\)")
_OPERATOR: Final = re.compile(r"'[_@]?(\S+?)_?' applied to '(.*)'")


def _refusal(text: str, message: str, known: tuple[str, ...]) -> ExpressionError:
    """The first of the compiler's errors as ours."""
    found = _ERROR.search(message)
    if found is None or "recursion" in found[3]:
        if "recursion" in message:
            return ExpressionError(
                "expression_too_deep", "The expression nests too deeply, at most 32 levels."
            )
        return ExpressionError("expression_syntax", f"The expression cannot be read: {message[:200]}")
    code, detail = _worded(found[3], known)
    line, column = max(int(found[1]), 0), max(int(found[2]), 0)
    return ExpressionError(code, detail, line, _column(text, line, column, found[3]))


def _column(text: str, line: int, column: int, message: str) -> int:
    """The compiler points at the dot of a selection; a person looks for the word that is wrong."""
    words = text.split("\n")[line - 1] if line else ""
    if field := _FIELD.match(message):
        return words.find(field[1], column) + 1 or column
    if name := _NAME.match(message):
        return words.rfind(name[1], 0, column + len(name[1]) - 1) + 1 or column
    return column


def _worded(message: str, known: tuple[str, ...]) -> tuple[str, str]:
    if message.startswith("Syntax error: "):
        reason = message.removeprefix("Syntax error: ").partition(" expecting {")[0]
        return "expression_syntax", f"Syntax error: {reason}."
    if field := _FIELD.match(message):
        detail = f"{field[2].lower()} has no field {field[1]!r}.{did_you_mean(field[1], known)}"
        return "expression_undefined", detail
    if name := _NAME.match(message):
        if name[1] in ENTITIES:
            return (
                "expression_undefined",
                f"{name[1]} is not there: not every event of the trigger carries one.",
            )
        if name[1] == "event":
            return "expression_undefined", "event is not there: the flow is launched by a schedule."
        return "expression_undefined", f"{name[1]!r} is not defined here.{did_you_mean(name[1], known)}"
    if overload := _OPERATOR.search(message):
        return "expression_type", f"{overload[1]} does not work on {overload[2]}."
    return "expression_invalid", f"{message[:1].upper()}{message[1:]}."


# --- variables of `evaluate` ---


def _pack(variables: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode({name: _packable(value, 1) for name, value in variables.items()})


def _packable(value: Any, depth: int) -> Any:
    """A value as the evaluator reads it; what JSON has no type for becomes one of our extensions."""
    if depth > JSON_DEPTH_MAX + 1:
        raise EvaluationError(f"A variable nests at most {JSON_DEPTH_MAX} deep.")
    if isinstance(value, bool | str | bytes | float) or value is None:
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else float(value)
    if isinstance(value, dict):
        return {key: _packable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packable(item, depth + 1) for item in value]
    if isinstance(value, datetime.timedelta):
        seconds = value // datetime.timedelta(seconds=1)
        nanos = (value - datetime.timedelta(seconds=seconds)) // datetime.timedelta(microseconds=1) * 1000
        return msgspec.msgpack.Ext(1, nanos.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True))
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
    return str(value)
