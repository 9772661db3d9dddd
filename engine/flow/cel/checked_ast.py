"""Reading what Google's CEL compiler gives: a `cel.expr.CheckedExpr`, macros expanded, names resolved.

The message is read by hand from its bytes. Generated protobuf classes would have to be built and shipped for thirty
fields of a format that cannot change, and protobuf's own reader refuses messages nested as deeply as an expression
may be. Field numbers are those of `cel/expr/syntax.proto`; types and overloads are not read, since evaluation goes by
the values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ext.expressions.value import Kind


@dataclass(frozen=True, slots=True)
class Const:
    """A literal: its kind and value (`bytes` of 8, little-endian, for a double)."""

    id: int
    kind: int
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`; with `test` `has(operand.field)`."""

    id: int
    operand: Expr
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """`target.function(args)`, or `function(args)` where `target` is None; operators are calls (`_+_`)."""

    id: int
    target: Expr | None
    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    id: int
    elements: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map literal; `message` is the name where it is a message instead."""

    id: int
    message: str
    entries: tuple[tuple[Expr, Expr], ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A comprehension, what a macro becomes: fold `range` into the accumulator."""

    id: int
    variable: str
    second: str
    range: Expr
    accumulator: str
    start: Expr
    condition: Expr
    step: Expr
    result: Expr


Expr = Const | Ident | Select | Call | ListOf | MapOf | Loop


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression and, by the id of its parts, where they stand in the text (code points from its start)."""

    expr: Expr
    offsets: dict[int, int]


def read_checked(data: bytes) -> Checked:
    """Read a serialised `google.protobuf.Any` around a CheckedExpr."""
    checked = _fields(_one(_fields(data), 2))
    offsets: dict[int, int] = {}
    for source in checked.get(5, []):
        for entry in _fields(source).get(4, []):
            pair = _fields(entry)
            offsets[_one(pair, 1, 0)] = _one(pair, 2, 0)
    return Checked(_expr(_one(checked, 4)), offsets)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _parts(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a message: an int, 8 bytes of a double, or the bytes of what has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 1:
            yield tag >> 3, data[at : at + 8]
            at += 8
        else:
            assert tag & 7 == 2, "no such wire type in a checked expression"
            size, at = _varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size


def _fields(data: bytes) -> dict[int, list[Any]]:
    fields: dict[int, list[Any]] = {}
    for number, value in _parts(data):
        fields.setdefault(number, []).append(value)
    return fields


def _one(fields: dict[int, list[Any]], number: int, default: Any = b"") -> Any:
    return fields[number][-1] if number in fields else default


def _text(fields: dict[int, list[Any]], number: int) -> str:
    text: bytes = _one(fields, number)
    return text.decode()


def _expr(data: bytes) -> Expr:
    fields = _fields(data)
    id = _one(fields, 2, 0)
    for number, read in _READERS.items():
        if number in fields:
            return read(id, fields[number][-1])
    raise AssertionError("an expression of no known kind")


def _const(id: int, data: bytes) -> Expr:
    ((number, value),) = _parts(data)
    if number == 3:
        (value,) = struct.unpack("<q", struct.pack("<Q", value))
    elif number == 6:
        value = value.decode()
    elif number == 2:
        value = bool(value)
    elif number == 1:
        value = None
    return Const(id, _CONSTANT_KINDS[number], value)


def _ident(id: int, data: bytes) -> Expr:
    return Ident(id, _text(_fields(data), 1))


def _select(id: int, data: bytes) -> Expr:
    fields = _fields(data)
    return Select(id, _expr(_one(fields, 1)), _text(fields, 2), bool(_one(fields, 3, 0)))


def _call(id: int, data: bytes) -> Expr:
    fields = _fields(data)
    target = _expr(fields[1][-1]) if 1 in fields else None
    return Call(id, target, _text(fields, 2), tuple(map(_expr, fields.get(3, []))))


def _list(id: int, data: bytes) -> Expr:
    return ListOf(id, tuple(map(_expr, _fields(data).get(1, []))))


def _map(id: int, data: bytes) -> Expr:
    fields = _fields(data)
    message = _text(fields, 1)
    if message:
        return MapOf(id, message, ())
    entries = [_fields(entry) for entry in fields.get(2, [])]
    return MapOf(id, "", tuple((_expr(_one(entry, 3)), _expr(_one(entry, 4))) for entry in entries))


def _loop(id: int, data: bytes) -> Expr:
    fields = _fields(data)
    return Loop(
        id,
        variable=_text(fields, 1),
        second=_text(fields, 8),
        range=_expr(_one(fields, 2)),
        accumulator=_text(fields, 3),
        start=_expr(_one(fields, 4)),
        condition=_expr(_one(fields, 5)),
        step=_expr(_one(fields, 6)),
        result=_expr(_one(fields, 7)),
    )


_CONSTANT_KINDS: dict[int, int] = {
    1: Kind.NULL_,
    2: Kind.BOOL,
    3: Kind.INT,
    4: Kind.UINT,
    5: Kind.DOUBLE,
    6: Kind.STRING,
    7: Kind.BYTES,
}
_READERS = {3: _const, 4: _ident, 5: _select, 6: _call, 7: _list, 8: _map, 9: _loop}
