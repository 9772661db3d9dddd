"""From the checked expression to terms: what `ext.expressions.node_group` builds a plan of.

A term is `(op, data, kids, shared)`, nested tuples and nothing else, so that two conditions that say the same are the
same term wherever they stand. Places go into a list beside it: one offset for each term from the root down.

What happens on the way:
- `customer.city`, `order.total`, `event.properties.total` become paths: a root map and a key, found in one walk.
- `a && b && c`, which the compiler nests in pairs, becomes one `and` of three, so that each clause can be shared.
- Macros, which arrive expanded into folds, become loops again: a fold over a list that grows by one costs its square.
- A variable of a macro becomes a slot, numbered by depth, so that its name does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from engine.flow.cel.checked_ast import Call, Checked, Const, Expr, Ident, ListOf, Loop, MapOf, Select
from engine.limits import EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX
from engine.model import ENGINE_TRAITS, STANDING_TRAITS
from ext.expressions.value import Kind

Term = tuple[str, tuple[Any, ...], tuple["Term", ...], bool]

TRAITS, PROPERTIES, VARIABLES = 0, 1, 2
SLOTS_MAX: Final = 32
"""Macros within macros; as many as the compiler's own bound on nesting lets through."""

TYPE_NAMES: Final[dict[str, int]] = {
    "null_type": Kind.NULL_,
    "bool": Kind.BOOL,
    "int": Kind.INT,
    "uint": Kind.UINT,
    "double": Kind.DOUBLE,
    "string": Kind.STRING,
    "bytes": Kind.BYTES,
    "google.protobuf.Timestamp": Kind.TIMESTAMP,
    "google.protobuf.Duration": Kind.DURATION,
    "type": Kind.TYPE,
    "list": Kind.LIST,
    "map": Kind.MAP,
}
DECLARED_KINDS: Final[dict[str, int]] = {
    "string": Kind.STRING,
    "date": Kind.STRING,
    "int": Kind.INT,
    "double": Kind.DOUBLE,
    "bool": Kind.BOOL,
    "timestamp": Kind.TIMESTAMP,
    "list": Kind.LIST,
    "map": Kind.MAP,
}
PREDICATES: Final = frozenset(
    ["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "contains", "startsWith", "endsWith", "matches"]
)
FACTS: Final = {"count": 0, "last": 1, "sum": 2, "in_segment": 3, "promo.available": 4}


class Unplannable(Exception):
    """A checked expression that is not evaluated here: a code, a sentence, and the id of the part."""

    def __init__(self, code: str, detail: str, id: int) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.id = id


@dataclass(frozen=True)
class Names:
    """What identifiers mean. `roots` maps a name to the op of its term (`customer`, `event`, `now`, `properties`);
    `variables` are read from the view's variables; `traits` and `properties` are the declared types, by name."""

    roots: dict[str, str] = field(default_factory=dict)
    variables: frozenset[str] = frozenset()
    traits: dict[str, str] = field(default_factory=dict)
    properties: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    """A term in the making: with its place, the slots it depends on and, for an entity, its name."""

    op: str
    id: int
    data: tuple[Any, ...] = ()
    kids: list[Draft] = field(default_factory=list)
    free: frozenset[int] = frozenset()
    entity: str = ""


def plan_term(checked: Checked, names: Names) -> tuple[Term, list[int]]:
    """The term of an expression, and the offsets of its parts (-1: not known). Raises Unplannable."""
    draft = Planner(names).plan(checked.expr, 1)
    offsets: list[int] = []
    return _finished(draft, checked.offsets, offsets, 1), offsets


def _finished(draft: Draft, places: dict[int, int], offsets: list[int], depth: int) -> Term:
    offsets.append(places.get(draft.id, -1))
    if len(offsets) > EXPRESSION_NODES_MAX:
        detail = f"An expression has at most {EXPRESSION_NODES_MAX} parts."
        raise Unplannable("expression_too_large", detail, draft.id)
    kids = tuple(_finished(kid, places, offsets, depth + 1) for kid in draft.kids)
    return (draft.op, draft.data, kids, _is_condition(draft) and not draft.free)


def _is_condition(draft: Draft) -> bool:
    if draft.op == "call":
        return draft.data[0] in PREDICATES
    return draft.op in ("and", "or", "not", "has", "all", "exists", "exists_one")


class Planner:
    """Walks a checked expression; `slots` are the variables of the macros around the present place."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.slots: list[str] = []

    def plan(self, expr: Expr, depth: int) -> Draft:
        if depth > EXPRESSION_DEPTH_MAX:
            detail = f"An expression nests at most {EXPRESSION_DEPTH_MAX} deep."
            raise Unplannable("expression_too_deep", detail, expr.id)
        match expr:
            case Const():
                return Draft("constant", expr.id, (int(expr.kind), expr.value))
            case Ident():
                return self.ident(expr)
            case Select():
                return self.selected(expr.id, self.plan(expr.operand, depth + 1), expr.field, expr.test)
            case Call():
                return self.call(expr, depth)
            case ListOf():
                return self.node("list", expr.id, (), [self.plan(kid, depth + 1) for kid in expr.elements])
            case MapOf():
                return self.map(expr, depth)
            case Loop():
                return self.loop(expr, depth)

    def node(self, op: str, id: int, data: tuple[Any, ...], kids: list[Draft]) -> Draft:
        return Draft(op, id, data, kids, frozenset().union(*(kid.free for kid in kids)))

    def ident(self, expr: Ident) -> Draft:
        name = expr.name.removeprefix(".")
        for slot in reversed(range(len(self.slots))):
            if self.slots[slot] == expr.name:
                return Draft("slot", expr.id, (slot,), free=frozenset({slot}))
        if name in self.names.variables:
            return Draft("path", expr.id, (VARIABLES, name, 0))
        if name in self.names.roots:
            return Draft(self.names.roots[name], expr.id, entity=name)
        if name in TYPE_NAMES:
            return Draft("constant", expr.id, (int(Kind.TYPE), int(TYPE_NAMES[name])))
        raise Unplannable("expression_undefined", f"{name} is not defined here.", expr.id)

    def selected(self, id: int, operand: Draft, key: str, test: bool) -> Draft:
        """`operand.key`, `operand["key"]` or `has(operand.key)`."""
        if operand.op == "customer":
            if key in STANDING_TRAITS and test:
                return Draft("constant", id, (int(Kind.BOOL), True))
            if key in ENGINE_TRAITS:
                return Draft(key, id)
            return self.path(id, TRAITS, key, self.names.traits.get(key), test)
        if operand.op == "properties":
            kinds = self.names.properties.get(operand.entity, {})
            return self.path(id, PROPERTIES, key, kinds.get(key), test)
        if operand.op == "event" and not test and key in ("name", "timestamp", "properties"):
            return Draft({"name": "event_name", "timestamp": "event_time"}.get(key, key), id)
        return self.node("has" if test else "select", id, (key,), [operand])

    def path(self, id: int, root: int, key: str, declared: str | None, test: bool) -> Draft:
        kind = int(DECLARED_KINDS[declared]) if declared else 0
        return Draft("has_path" if test else "path", id, (root, key, 0 if test else kind))

    def call(self, expr: Call, depth: int) -> Draft:
        name = expr.function
        if name in ("_&&_", "_||_"):
            return self.junction(expr, depth)
        if name in FACTS and (expr.target is not None or "." in name):
            return self.fact(expr, depth)
        parts = expr.args if expr.target is None else (expr.target, *expr.args)
        kids = [self.plan(part, depth + 1) for part in parts]
        if name == "_?_:_":
            return self.node("choice", expr.id, (), kids)
        if name == "!_":
            return self.node("not", expr.id, (), kids)
        if name == "_[_]" and kids[0].op in ("customer", "properties") and _is_text(kids[1]):
            return self.selected(expr.id, kids[0], kids[1].data[1], test=False)
        if name == "@in" and kids[1].op == "segments" and _is_text(kids[0]):
            return self.node("fact", expr.id, ("in_segment", FACTS["in_segment"]), [kids[0]])
        return self.node("call", expr.id, (name,), kids)

    def junction(self, expr: Call, depth: int) -> Draft:
        """One node for a chain of `&&` (or of `||`), in order."""
        op = "and" if expr.function == "_&&_" else "or"
        kids: list[Draft] = []
        for part in expr.args:
            kid = self.plan(part, depth + 1)
            kids.extend(kid.kids if kid.op == op else [kid])
        return self.node(op, expr.id, (), kids)

    def fact(self, expr: Call, depth: int) -> Draft:
        """A question to the view: `customer.count(…)`, `promo.available(…)`."""
        if expr.target is not None:
            target = self.plan(expr.target, depth + 1)
            if target.op != "customer" and target.data[:2] != (VARIABLES, "customer"):
                detail = f"{expr.function}() is asked of customer, as in customer.{expr.function}(…)."
                raise Unplannable("expression_type", detail, expr.id)
        kids = [self.plan(part, depth + 1) for part in expr.args]
        return self.node("fact", expr.id, (expr.function, FACTS[expr.function]), kids)

    def map(self, expr: MapOf, depth: int) -> Draft:
        if expr.message:
            detail = f"{expr.message}{{…}} makes a message; expressions here make lists and maps only."
            raise Unplannable("expression_unsupported", detail, expr.id)
        kids = [self.plan(part, depth + 1) for entry in expr.entries for part in entry]
        return self.node("map", expr.id, (), kids)

    def loop(self, expr: Loop, depth: int) -> Draft:
        """A macro's fold, told by its step, as a loop of its own."""
        parts = _macro_of(expr)
        slot = len(self.slots)
        if parts is None or slot >= SLOTS_MAX:
            raise Unplannable("expression_unsupported", "This macro is not known here.", expr.id)
        op, inner = parts
        outer = self.plan(expr.range, depth + 1)
        self.slots.append(expr.variable)
        kids = [outer, *(self.plan(part, depth + 1) for part in inner)]
        self.slots.pop()
        draft = self.node(op, expr.id, (slot,), kids)
        draft.free = outer.free | (draft.free - {slot})
        return draft


def _is_text(draft: Draft) -> bool:
    return draft.op == "constant" and draft.data[0] == Kind.STRING


def _macro_of(loop: Loop) -> tuple[str, tuple[Expr, ...]] | None:
    """The op of a fold and the expressions inside: the condition and, for `map`, what is made of an element."""
    step = loop.step
    if loop.second or not isinstance(step, Call):
        return None
    if step.function == "_&&_":
        return "all", (step.args[1],)
    if step.function == "_||_":
        return "exists", (step.args[1],)
    if step.function == "_+_":
        return "transform", (Const(step.id, Kind.BOOL, True), _appended(step))
    if step.function != "_?_:_" or not isinstance(step.args[1], Call):
        return None
    if isinstance(loop.start, Const):
        return "exists_one", (step.args[0],)
    made = _appended(step.args[1])
    if isinstance(made, Ident) and made.name == loop.variable:
        return "filter", (step.args[0],)
    return "transform", (step.args[0], made)


def _appended(step: Call) -> Expr:
    """The x of `accumulator + [x]`."""
    made = step.args[1]
    assert isinstance(made, ListOf)
    return made.elements[0]
