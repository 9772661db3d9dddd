"""Shapes that hold other shapes: lists, maps and records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.flow.tables.findings import Reader
from engine.flow.tables.pointer import did_you_mean, escape, quoted
from engine.flow.tables.shapes import WRONG, JsonSchema, Shape, lower, upper


class ListOf(Shape):
    """A list of `least` to `most` items, none twice if `distinct`; `or_one` also takes an item by itself."""

    def __init__(
        self, item: Shape, least: int, most: int, *, or_one: bool = False, distinct: bool = False
    ) -> None:
        self.item = item
        self.least, self.most = least, most
        self.or_one, self.distinct = or_one, distinct
        self.words = f"a list of {least} to {most} items"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if not isinstance(raw, list):
            if not self.or_one:
                return self.mistyped(raw, at, reader)
            one = self.item.read(raw, at, reader)
            return WRONG if one is WRONG else (one,)
        if not self.least <= len(raw) <= self.most:
            detail = f"{upper(self.words)} is expected here, this has {len(raw)}."
            reader.problem(at, "out_of_range", detail)
            if len(raw) > self.most:
                return WRONG
        items = tuple(self.item.read(value, f"{at}/{index}", reader) for index, value in enumerate(raw))
        if self.distinct:
            self._tell_apart(raw, at, reader)
        return WRONG if any(item is WRONG for item in items) else items

    def _tell_apart(self, raw: list[Any], at: str, reader: Reader) -> None:
        seen: set[Any] = set()
        for index, value in enumerate(raw):
            if not isinstance(value, str | int):
                continue
            if value in seen:
                reader.problem(f"{at}/{index}", "duplicate", f"{upper(quoted(value))} is named twice.")
            seen.add(value)

    def schema(self) -> JsonSchema:
        described: JsonSchema = {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.least,
            "maxItems": self.most,
        }
        if self.distinct:
            described["uniqueItems"] = True
        return {"anyOf": [self.item.schema(), described]} if self.or_one else described


class MapOf(Shape):
    """An object whose keys are free: at most `most`, each read by `key`, each value by `value`."""

    words = "an object"

    def __init__(self, key: Shape, value: Shape, most: int) -> None:
        self.key, self.value, self.most = key, value, most

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if not isinstance(raw, dict):
            return self.mistyped(raw, at, reader)
        if len(raw) > self.most:
            reader.problem(at, "too_long", f"At most {self.most} keys are allowed here.")
            return WRONG
        before = reader.count
        read: dict[str, Any] = {}
        for name, value in raw.items():
            place = f"{at}/{escape(str(name))}"
            self.key.read(name, place, reader)
            read[str(name)] = self.value.read(value, place, reader)
        return read if reader.count == before else WRONG

    def schema(self) -> JsonSchema:
        return {"type": "object", "maxProperties": self.most, "additionalProperties": self.value.schema()}


class Key(NamedTuple):
    """A key of a record: its shape, what it is for, whether it must be there, whether null means left out."""

    shape: Shape
    about: str
    required: bool = False
    nullable: bool = False


class Record(Shape):
    """An object with known keys. `rule` notes what is wrong across keys; `make` builds the parsed value.

    `make` is called only when nothing was wrong, with the keys that were given.
    """

    words = "an object"

    def __init__(
        self,
        keys: dict[str, Key],
        make: Callable[[dict[str, Any]], Any] = dict,
        rule: Callable[[dict[str, Any], str, Reader], None] | None = None,
        extra: JsonSchema | None = None,
    ) -> None:
        self.keys = keys
        self.make = make
        self.rule = rule
        self.extra = extra or {}

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if not isinstance(raw, dict):
            return self.mistyped(raw, at, reader, f" Its keys are {', '.join(self.keys)}.")
        before = reader.count
        got: dict[str, Any] = {}
        for name, value in raw.items():
            key = self.keys.get(name) if isinstance(name, str) else None
            if key is None:
                self._unknown(name, at, reader)
            elif value is not None or not key.nullable:
                got[name] = key.shape.read(value, f"{at}/{name}", reader)
        for name, key in self.keys.items():
            if key.required and name not in raw:
                reader.problem(f"{at}/{name}", "missing_key", f"{name!r} is missing: {lower(key.about)}")
        if self.rule is not None:
            self.rule(got, at, reader)
        return self.make(got) if reader.count == before else WRONG

    def _unknown(self, name: object, at: str, reader: Reader) -> None:
        hint = did_you_mean(name, self.keys) or f" Known here: {', '.join(self.keys)}."
        reader.problem(f"{at}/{escape(str(name))}", "unknown_key", f"Unknown key {quoted(name)}.{hint}")

    def schema(self) -> JsonSchema:
        described: JsonSchema = {
            "type": "object",
            "properties": {name: self._property(key) for name, key in self.keys.items()},
            "additionalProperties": False,
        }
        required = [name for name, key in self.keys.items() if key.required]
        return described | ({"required": required} if required else {}) | self.extra

    @staticmethod
    def _property(key: Key) -> JsonSchema:
        described = key.shape.schema()
        if key.nullable and "type" in described and described["type"] == "string":
            described = described | {"type": ["string", "null"]}
        return described | {"description": key.about}
