"""A checked flow, planned: expressions compiled, templates compiled, actions in the form the kernel carries out.

`plan` is the last thing definition time does; what comes out is all that run time needs, and equal documents
plan to equal programs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.flow.cel.expression import ExpressionError, Scope, compile_condition, compile_date, compile_value
from engine.flow.document import (
    AbTest,
    Action,
    ChangeSegments,
    Condition,
    Emit,
    EventMatch,
    EventTrigger,
    Flow,
    IssuePromoCode,
    Launch,
    Limit,
    Node,
    Points,
    Send,
    Split,
    Step,
    UpdateCustomer,
    Wait,
)
from engine.flow.liquid.template import Template, compile_template
from engine.flow.schema import Schema
from ext.expressions.plan import Plan

KIND_OF: dict[type[Node], str] = {
    Launch: "launch",
    Step: "step",
    Wait: "wait",
    Condition: "condition",
    Split: "split",
    AbTest: "ab_test",
    Limit: "limit",
}

VERB_OF: dict[type[Action], str] = {
    Send: "send",
    IssuePromoCode: "issue_promo_code",
    Points: "points",
    UpdateCustomer: "update_customer",
    ChangeSegments: "segment",
    Emit: "emit",
}


class PlannedAction(msgspec.Struct, frozen=True):
    """`verb` is the action's key in the document; `body` what is to be filled in: the message of a `send`, the
    `set` and `increment` of an `update_customer`, the properties of an `emit`, the number of `points`. Strings in
    it that hold Liquid are `Template`s; `filled` says that there are none, so that `body` can be used as it is."""

    verb: str
    action: Action
    body: Any = None
    filled: bool = True


class PlannedNode(msgspec.Struct, frozen=True):
    """A node with its expression (`when` of a condition, `until.date` of a wait, `goal.revenue` of an A/B test) and
    its actions."""

    id: str
    kind: str
    node: Node
    plan: Plan | None = None
    match: Plan | None = None
    """`where` of an `until_event`."""
    match_sees_event: bool = False
    """It speaks of the event, so only an event can decide it."""
    actions: tuple[PlannedAction, ...] = ()


class Program(msgspec.Struct, frozen=True):
    """What the kernel runs. `events` are the names that trigger it (none for a schedule), `entities` what
    templates may call the event's properties."""

    flow: Flow
    nodes: tuple[PlannedNode, ...]
    where: Plan | None
    run_key: Plan | None
    exit_where: Plan | None
    events: tuple[str, ...]
    entities: tuple[str, ...]


def scope_of(launch: Launch, schema: Schema) -> Scope:
    """What expressions of a flow with this launch node can see."""
    if not isinstance(launch.trigger, EventTrigger):
        return Scope(event=False, entities=(), schema=schema)
    return Scope(event=True, entities=schema.entities_of(launch.trigger.events), schema=schema)


def match_scope(match: EventMatch, schema: Schema) -> Scope:
    """What `where` of an `exit_when` or `until_event` can see: the event that is looked at, not the run's own."""
    return Scope(event=True, entities=schema.entities_of(match.events) if match.events else (), schema=schema)


def sees_event(where: str, schema: Schema) -> bool:
    """Whether an expression needs an event to be decided: it does not compile without one."""
    try:
        compile_condition(where, Scope(event=False, entities=(), schema=schema))
    except ExpressionError:
        return True
    return False


def plan(flow: Flow, schema: Schema) -> Program:
    """Plan a flow that `validate.check` found no problem with."""
    launch = flow.nodes[flow.start]
    assert isinstance(launch, Launch)
    scope = scope_of(launch, schema)
    events = launch.trigger.events if isinstance(launch.trigger, EventTrigger) else ()
    return Program(
        flow=flow,
        nodes=tuple(_node(id, node, scope, schema) for id, node in flow.nodes.items()),
        where=None if launch.where is None else compile_condition(launch.where, scope),
        run_key=None if launch.run_key is None else compile_value(launch.run_key, scope),
        exit_where=None if flow.exit_when is None else _match(flow.exit_when, schema),
        events=tuple(dict.fromkeys(events)),
        entities=scope.entities,
    )


def _match(match: EventMatch, schema: Schema) -> Plan | None:
    return None if match.where is None else compile_condition(match.where, match_scope(match, schema))


def _node(id: str, node: Node, scope: Scope, schema: Schema) -> PlannedNode:
    expression: Plan | None = None
    match: Plan | None = None
    decided_by_event = False
    actions: tuple[PlannedAction, ...] = ()
    if isinstance(node, Condition):
        expression = compile_condition(node.when, scope)
    elif isinstance(node, Wait) and node.until is not None:
        expression = compile_date(node.until.date, scope)
    elif isinstance(node, Wait) and node.until_event is not None:
        match = _match(node.until_event, schema)
        where = node.until_event.where
        decided_by_event = where is not None and sees_event(where, schema)
    elif isinstance(node, AbTest) and node.goal.revenue is not None:
        seen = Scope(event=True, entities=schema.entities_of((node.goal.event,)), schema=schema)
        expression = compile_value(node.goal.revenue, seen)
    elif isinstance(node, Step):
        actions = tuple(_action(action) for action in node.actions)
    return PlannedNode(id, KIND_OF[type(node)], node, expression, match, decided_by_event, actions)


def _action(action: Action) -> PlannedAction:
    verb = VERB_OF[type(action)]
    raw: Any = None
    if isinstance(action, Send):
        raw = action.message
    elif isinstance(action, Points):
        raw = action.add
    elif isinstance(action, UpdateCustomer):
        raw = {"set": action.set, "increment": action.increment}
    elif isinstance(action, Emit):
        raw = action.properties
    body, filled = _compile(raw)
    return PlannedAction(verb, action, body, filled)


def _compile(value: Any) -> tuple[Any, bool]:
    """The value with every string that holds Liquid made a Template; whether there was none."""
    if isinstance(value, str):
        template = compile_template(value)
        return (value, True) if template.literal is not None else (template, False)
    if isinstance(value, dict):
        items = {key: _compile(item) for key, item in value.items()}
        return {key: item for key, (item, _) in items.items()}, all(filled for _, filled in items.values())
    if isinstance(value, list | tuple):
        parts = [_compile(item) for item in value]
        return [item for item, _ in parts], all(filled for _, filled in parts)
    return value, True


def fill(body: Any, context: dict[str, Any]) -> Any:
    """A planned body with its templates rendered. Raises TemplateError."""
    if isinstance(body, Template):
        return body.render(context)
    if isinstance(body, dict):
        return {key: fill(item, context) for key, item in body.items()}
    if isinstance(body, list):
        return [fill(item, context) for item in body]
    return body
