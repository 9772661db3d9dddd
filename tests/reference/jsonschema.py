"""JSON Schema, the part of it that the schema of flows uses, straight from the words of the specification."""

from __future__ import annotations

import re
from typing import Any

TYPES: dict[str, Any] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
ANNOTATIONS = {"$schema", "$defs", "title", "description"}


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Whether a value keeps a schema. A keyword that is not known here is an error, not an annotation."""
    return all(
        _KEYWORDS[word](argument, value, schema, root)
        for word, argument in schema.items()
        if word not in ANNOTATIONS
    )


def _type(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return any(TYPES[name](value) for name in ([argument] if isinstance(argument, str) else argument))


def _properties(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        accepts(inner, value[name], root) for name, inner in argument.items() if name in value
    )


def _additional(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    if not isinstance(value, dict):
        return True
    others = [inner for name, inner in value.items() if name not in schema.get("properties", {})]
    return not others if argument is False else all(accepts(argument, other, root) for other in others)


def _names(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(accepts(argument, name, root) for name in value)


def _required(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(name in value for name in argument)


def _dependent(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        other in value for name, others in argument.items() if name in value for other in others
    )


def _items(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, list) or all(accepts(argument, item, root) for item in value)


def _reference(argument: str, value: Any, schema: Any, root: Any) -> bool:
    return accepts(root["$defs"][argument.removeprefix("#/$defs/")], value, root)


def _if(argument: Any, value: Any, schema: Any, root: Any) -> bool:
    return not accepts(argument, value, root) or accepts(schema["then"], value, root)


def _compared(kind: type | tuple[type, ...], measure: Any, compare: Any) -> Any:
    return lambda argument, value, schema, root: (
        not isinstance(value, kind) or isinstance(value, bool) or compare(measure(value), argument)
    )


_NUMBER = (int, float)
_KEYWORDS: dict[str, Any] = {
    "type": _type,
    "enum": lambda argument, value, schema, root: value in argument,
    "const": lambda argument, value, schema, root: value == argument,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
    "dependentRequired": _dependent,
    "items": _items,
    "uniqueItems": lambda argument, value, schema, root: (
        not isinstance(value, list) or len({repr(item) for item in value}) == len(value)
    ),
    "$ref": _reference,
    "if": _if,
    "then": lambda argument, value, schema, root: True,
    "allOf": lambda argument, value, schema, root: all(accepts(one, value, root) for one in argument),
    "anyOf": lambda argument, value, schema, root: any(accepts(one, value, root) for one in argument),
    "oneOf": lambda argument, value, schema, root: sum(accepts(one, value, root) for one in argument) == 1,
    "not": lambda argument, value, schema, root: not accepts(argument, value, root),
    "pattern": _compared(str, str, lambda text, pattern: re.search(pattern, text) is not None),
    "minLength": _compared(str, len, lambda length, bound: length >= bound),
    "maxLength": _compared(str, len, lambda length, bound: length <= bound),
    "minItems": _compared(list, len, lambda length, bound: length >= bound),
    "maxItems": _compared(list, len, lambda length, bound: length <= bound),
    "minProperties": _compared(dict, len, lambda length, bound: length >= bound),
    "maxProperties": _compared(dict, len, lambda length, bound: length <= bound),
    "minimum": _compared(_NUMBER, lambda number: number, lambda number, bound: number >= bound),
    "maximum": _compared(_NUMBER, lambda number: number, lambda number, bound: number <= bound),
    "exclusiveMinimum": _compared(_NUMBER, lambda number: number, lambda number, bound: number > bound),
    "exclusiveMaximum": _compared(_NUMBER, lambda number: number, lambda number, bound: number < bound),
}
