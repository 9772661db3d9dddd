"""What the CEL compiler is told: variables, functions and, with a schema, message types.

With nothing declared `customer`, `event` and the entities are maps from text to anything. With declared traits (or an
entity's properties) they are protobuf message types built in a descriptor pool of our own, so that a misspelt field is
an error at compile time, with its place. The messages are never made: evaluation reads packed maps either way.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2

from engine.flow.cel.planner import TYPE_NAMES
from engine.flow.schema import Schema
from engine.tuning import EXPRESSION_ENVIRONMENTS_MAX

_Field = descriptor_pb2.FieldDescriptorProto
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)

RESERVED_TRAITS: Final[dict[str, str]] = {
    "email": "string",
    "phone": "string",
    "timezone": "string",
    "points": "int",
    "segments": "texts",
    "subscriptions": "map",
    "push_tokens": "any",
    "web_push": "any",
}
"""Fields that every contact may have, declared or not."""

_PROTO: Final[dict[str, tuple[int, str, bool]]] = {
    "string": (_Field.TYPE_STRING, "", False),
    "date": (_Field.TYPE_STRING, "", False),
    "texts": (_Field.TYPE_STRING, "", True),
    "int": (_Field.TYPE_INT64, "", False),
    "double": (_Field.TYPE_DOUBLE, "", False),
    "bool": (_Field.TYPE_BOOL, "", False),
    "timestamp": (_Field.TYPE_MESSAGE, ".google.protobuf.Timestamp", False),
    "list": (_Field.TYPE_MESSAGE, ".google.protobuf.ListValue", False),
    "map": (_Field.TYPE_MESSAGE, ".google.protobuf.Struct", False),
    "any": (_Field.TYPE_MESSAGE, ".google.protobuf.Value", False),
}


def scope_environment(event: bool, entities: tuple[str, ...], schema: Schema) -> Any:
    """The compiler for the expressions of a flow: what they see depends on its trigger and on the schema."""
    pool = _pool(schema)
    loose = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    customer = cel.Type(_message("customer")) if schema.traits else loose
    variables = {"customer": customer, "now": cel.Type.TIMESTAMP}
    if event:
        variables["event"] = cel.Type.DYN
    for name in entities:
        variables[name] = cel.Type(_message(name)) if schema.entities.get(name) else loose
    return cel.NewEnv(pool, variables=variables, functions=_functions(customer))


@lru_cache(EXPRESSION_ENVIRONMENTS_MAX)
def variables_environment(names: frozenset[str]) -> Any:
    """The compiler for `evaluate`: each of these variables may be anything."""
    variables = dict.fromkeys(sorted(names), cel.Type.DYN)
    return cel.NewEnv(variables=variables, functions=_functions(cel.Type.DYN))


def declarable(name: str) -> bool:
    """Whether an expression could refer to a variable of this name."""
    return name not in TYPE_NAMES and _NAME.fullmatch(name) is not None


def _functions(customer: Any) -> list[Any]:
    t = cel.Type

    def member(name: str, result: Any, *forms: list[Any]) -> Any:
        overloads = [
            cel.Overload(f"customer_{name}_{number}", result, [customer, *form], True)
            for number, form in enumerate(forms)
        ]
        return cel.FunctionDecl(name, overloads)

    return [
        member("count", t.INT, [t.STRING], [t.STRING, t.DURATION]),
        member("last", t.TIMESTAMP, [t.STRING]),
        member("sum", t.DYN, [t.STRING, t.STRING], [t.STRING, t.STRING, t.DURATION]),
        member("in_segment", t.BOOL, [t.STRING]),
        cel.FunctionDecl("promo.available", [cel.Overload("promo_available", t.INT, [t.STRING], False)]),
    ]


def _message(name: str) -> str:
    return f"tidemill.{name.capitalize()}"


def _pool(schema: Schema) -> Any:
    """Message types of what is declared; None where nothing is."""
    fields = {name: kinds for name, kinds in schema.entities.items() if kinds}
    if schema.traits:
        fields["customer"] = {**schema.traits, **RESERVED_TRAITS}
    if not fields:
        return None
    file = descriptor_pb2.FileDescriptorProto(name="tidemill.proto", package="tidemill", syntax="proto3")
    pool = descriptor_pool.DescriptorPool()
    for module in (timestamp_pb2, struct_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        file.dependency.append(module.DESCRIPTOR.name)
    for name, kinds in sorted(fields.items()):
        message = file.message_type.add(name=_message(name).removeprefix("tidemill."))
        for number, (key, kind) in enumerate(sorted(kinds.items()), 1):
            _declare(message, key, number if number < 19_000 else number + 1_000, kind)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _declare(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    """One field. (Numbers 19,000 to 19,999 are protobuf's own.)"""
    proto, type_name, repeated = _PROTO[kind]
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=proto, label=label, type_name=type_name or None)
