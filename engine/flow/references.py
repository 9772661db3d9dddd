"""What expressions and templates refer to: it compiles, and what it names is there.

An entity (`order`, `session`, `product`) is there only where every event that launches the flow carries it; a
flow with a schedule has no event at all. A name that a template reads and that cannot be there would be an empty
text in a message for ever, so it is a problem here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

import msgspec

from engine.flow.cel.environment import RESERVED_TRAITS
from engine.flow.cel.expression import ExpressionError, Scope, compile_condition, compile_date, compile_value
from engine.flow.document import EventTrigger, Launch
from engine.flow.liquid.template import Name, TemplateError, compile_template
from engine.flow.schema import ENTITIES, Schema
from engine.flow.tables.findings import Expression, Reader, Templated, Use
from engine.flow.tables.pointer import did_you_mean, quoted
from ext.expressions.plan import Plan

_EVENT_FIELDS: Final = ("name", "timestamp", "properties")
_LIQUID_FIELDS: Final = ("size", "first", "last")
_ENTITY: Final = re.compile(rf"(?<![\w.])({'|'.join(ENTITIES)})\b")


_COMPILE: Final[dict[Use, Callable[[str, Scope], Plan]]] = {
    "condition": compile_condition,
    "date": compile_date,
    "value": compile_value,
}


def check_references(reader: Reader, schema: Schema) -> None:
    """Compile all that the reader has gathered, and note what is wrong with it."""
    launch = reader.launches[0] if len(reader.launches) == 1 else None
    visible = _Visible(launch, schema)
    signature = schema.signature()
    for expression in reader.expressions:
        _check_expression(expression, visible, signature, reader)
    for templated in reader.templates:
        _check_template(templated, visible, reader)


class _Visible:
    """What can be seen from inside the flow; everything, where it is not known what launches it."""

    def __init__(self, launch: Launch | None, schema: Schema) -> None:
        trigger = None if launch is None else launch.trigger
        self.schema = schema
        self.events = trigger.events if isinstance(trigger, EventTrigger) else ()
        self.event = launch is None or bool(self.events)
        self.entities = schema.entities_of(self.events) if launch is not None else ENTITIES

    def names(self) -> tuple[str, ...]:
        """The names a template can begin with."""
        return ("customer", *(("event",) if self.event else ()), *self.entities, "codes", "now")

    def why_not(self, entity: str, looked_at: tuple[str, ...] | None = None) -> str:
        """Why an entity is not there; `looked_at` are the events, where it is not those of the launch."""
        if looked_at is not None:
            without = next((name for name in looked_at if self.schema.entity_of(name) != entity), None)
            if without is None:
                return f" It is looked at on any event; name the events that carry `{entity}`."
            return f" The event {quoted(without)} does not carry `{entity}`."
        if not self.events:
            return f" A flow that is launched by a schedule has no {entity}."
        without = next((name for name in self.events if self.schema.entity_of(name) != entity), "")
        return (
            f" `{entity}` is there only where every launching event carries it; {quoted(without)} does not."
        )


def _check_expression(expression: Expression, visible: _Visible, signature: bytes, reader: Reader) -> None:
    event, entities = visible.event, visible.entities
    if expression.events is not None:
        event, entities = True, visible.schema.entities_of(expression.events) if expression.events else ()
    wrong = _compiled(expression.text, expression.use, event, entities, signature)
    if wrong is None:
        return
    code, detail, line, column = wrong
    absent = next((entity for entity in _ENTITY.findall(expression.text) if entity not in entities), None)
    if absent is not None and code == "expression_undefined":
        detail += visible.why_not(absent, expression.events)
    reader.problem(expression.pointer, code, detail, node=expression.node, line=line, column=column)


@lru_cache(maxsize=8192)
def _compiled(
    text: str, use: Use, event: bool, entities: tuple[str, ...], signature: bytes
) -> tuple[str, str, int, int] | None:
    """What is wrong with an expression: code, sentence, line, column; None if nothing is."""
    scope = Scope(event=event, entities=entities, schema=_schema(signature))
    try:
        _COMPILE[use](text, scope)
    except ExpressionError as error:
        code = error.code if error.code.startswith("expression") else f"expression_{error.code}"
        return code, error.detail, error.line, error.column
    return None


@lru_cache(maxsize=16)
def _schema(signature: bytes) -> Schema:
    return msgspec.json.decode(signature, type=Schema)


def _check_template(templated: Templated, visible: _Visible, reader: Reader) -> None:
    try:
        template = compile_template(templated.text)
    except TemplateError as error:
        reader.problem(
            templated.pointer,
            error.code,
            error.detail,
            node=templated.node,
            line=error.line,
            column=error.column,
        )
        return
    for name in template.names:
        detail = _missing(name, visible, reader.codes)
        if detail is not None:
            reader.problem(
                templated.pointer,
                "template_unknown_name",
                detail,
                node=templated.node,
                line=name.line,
                column=name.column,
            )


def _missing(name: Name, visible: _Visible, codes: Iterable[str]) -> str | None:
    """Why a name cannot be there, a sentence; None if it can."""
    root, field = name.path[0], name.path[1] if len(name.path) > 1 else None
    if root not in visible.names():
        hint = visible.why_not(root) if root in ENTITIES else did_you_mean(root, visible.names())
        return f"There is no {quoted(root)} here.{hint or ' Known are ' + ', '.join(visible.names()) + '.'}"
    if field is None or field in _LIQUID_FIELDS:
        return None
    known = _fields(root, visible.schema, codes)
    if known is None or field in known:
        return None
    if root == "codes":
        hint = did_you_mean(field, known) or " Issue one with issue_promo_code, `as` that name."
        return f"No step issues a promo code as {quoted(field)}.{hint}"
    return f"{root!r} has no {quoted(field)}.{did_you_mean(field, known)}"


def _fields(root: str, schema: Schema, codes: Iterable[str]) -> tuple[str, ...] | None:
    """The fields of a name, None where any will do."""
    if root == "event":
        return _EVENT_FIELDS
    if root == "codes":
        return tuple(sorted(codes))
    if root == "customer":
        return (*schema.traits, *RESERVED_TRAITS) if schema.traits else None
    return tuple(schema.entities.get(root, ())) or None
