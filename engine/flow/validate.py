"""Whether a document is a flow that can be launched: all problems at once, each with its place and a remedy.

In this order: the keys of the flow and of each node (by the tables in `keys`), the edges, then expressions
and templates, which need to know what launches the flow.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.errors import Problem
from engine.flow.document import Flow, Launch, Node
from engine.flow.edges import check_edges
from engine.flow.references import check_references
from engine.flow.schema import Schema
from engine.flow.tables.containers import Key, Record
from engine.flow.tables.findings import Reader
from engine.flow.tables.flow import FLOW, NODES
from engine.flow.tables.pointer import a_kind, escape, quoted
from engine.flow.tables.scalars import an_id
from engine.flow.tables.shapes import WRONG, Choice, JsonSchema, Shape
from engine.flow.values import ID_PATTERN
from engine.limits import NODES_PER_FLOW_MAX

_node_id = an_id("a node")
_kind = Choice(*NODES)


class Checked(msgspec.Struct, frozen=True):
    """`flow` is None as long as there is a problem. Warnings do not keep it from being launched."""

    flow: Flow | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def check(raw: object, schema: Schema) -> Checked:
    """Read a flow document, JSON values as decoded from JSON or YAML. Never raises, whatever they are."""
    reader = Reader()
    flow = DOCUMENT.read(raw, "", reader)
    check_references(reader, schema)
    warnings = tuple(reader.warnings)
    if reader.count:
        return Checked(None, _in_order(reader.problems, raw), warnings)
    return Checked(flow, (), warnings)


class NodesShape(Shape):
    """The nodes by their ids, edges and all."""

    words = "an object, the nodes by their ids,"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if not isinstance(raw, dict):
            return self.mistyped(raw, at, reader)
        if len(raw) > NODES_PER_FLOW_MAX:
            detail = (
                f"A flow has at most {NODES_PER_FLOW_MAX} nodes with its launch node, this has {len(raw)}."
                " Let a step emit an event that launches a second flow."
            )
            reader.problem(at, "too_many_nodes", detail)
        before = reader.count
        nodes: dict[str, Node] = {}
        whole = True
        for name, node in raw.items():
            reader.node = str(name)
            place = f"{at}/{escape(str(name))}"
            _node_id.read(name, place, reader)
            kind = _kind_of(node, place, reader)
            if kind is None:
                whole = False
            else:
                nodes[str(name)] = read = NODES[kind].read(node, place, reader)
                if isinstance(read, Launch):
                    reader.launches.append(read)
        reader.node = ""
        check_edges(raw, _start(raw, at, reader), whole, reader)
        return nodes if reader.count == before else WRONG

    def schema(self) -> JsonSchema:
        kinds = [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{kind}"},
            }
            for kind in NODES
        ]
        node = {
            "type": "object",
            "properties": {"kind": _kind.schema()},
            "required": ["kind"],
            "allOf": kinds,
        }
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{ID_PATTERN}$"},
            "additionalProperties": node,
            "minProperties": 1,
            "maxProperties": NODES_PER_FLOW_MAX,
        }


def _kind_of(node: object, place: str, reader: Reader) -> str | None:
    if not isinstance(node, dict):
        detail = f"A node is an object with a `kind`, this is {a_kind(node)}."
        reader.problem(place, "wrong_type", detail)
        return None
    if "kind" not in node:
        detail = f"'kind' is missing: one of {', '.join(NODES)}."
        reader.problem(f"{place}/kind", "missing_key", detail)
        return None
    kind = _kind.read(node["kind"], f"{place}/kind", reader)
    return None if kind is WRONG else str(kind)


def _start(nodes: dict[Any, Any], at: str, reader: Reader) -> str | None:
    """The one launch node, or None and a problem."""
    launches = [
        name for name, node in nodes.items() if isinstance(node, dict) and node.get("kind") == "launch"
    ]
    if not launches:
        detail = "A flow has exactly one node of kind launch, this has none: what starts it?"
        reader.problem(at, "no_launch", detail)
    for name in launches[1:]:
        detail = f"A flow has exactly one node of kind launch, and {quoted(launches[0])} is it already."
        reader.problem(f"{at}/{escape(str(name))}/kind", "several_launches", detail, node=str(name))
    return launches[0] if len(launches) == 1 else None


def _in_order(problems: list[Problem], raw: object) -> tuple[Problem, ...]:
    """Those of the flow first, then by node, in the order of the document."""
    nodes = raw.get("nodes") if isinstance(raw, dict) else None
    order = {str(name): index for index, name in enumerate(nodes)} if isinstance(nodes, dict) else {}
    return tuple(sorted(problems, key=lambda problem: order.get(problem.node, -1)))


DOCUMENT: Final = Record(
    {**FLOW, "nodes": Key(NodesShape(), "The nodes of the flow, by their ids.", required=True)},
    make=lambda got: Flow(**got),
)
"""The whole document."""
