"""The schema: which event carries which entity, and which traits and properties are declared with a type.

    traits:   {city: string, birthday: date}
    entities: {order: {total: double, currency: string}}
    events:   {Order *: order, Subscription Renewed: order, Cart Viewed: null}

`events` adds to the built-in table, `null` says that an event carries no entity; a name ending in `*` stands
for all names that begin with what is before the star. A declared trait or property that is misspelt or
mistyped in an expression is then an error at save; what is not declared at all is left unchecked: with no
trait declared, every `customer.<name>` is allowed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.errors import Problem
from engine.flow.tables.pointer import did_you_mean, escape, is_text, quoted
from engine.limits import EVENT_NAME_BYTES_MAX, SCHEMA_FIELDS_MAX

ENTITIES: Final = ("order", "session", "product")
TYPES: Final = ("string", "int", "double", "bool", "timestamp", "date", "list", "map")
KEYS: Final = ("traits", "entities", "events")

BUILT_IN_EVENTS: Final[dict[str, str]] = {
    "Cart Viewed": "order",
    "Checkout *": "order",
    "Order *": "order",
    "Product *": "product",
    "Session Ended": "session",
}
"""Segment's e-commerce events, and the end of a session."""

ENGINE_EVENTS: Final = (
    "Contact Created",
    "Contact Updated",
    "Segment Entered",
    "Segment Left",
    "Subscription Changed",
    "Points Changed",
)
"""What the engine itself emits; flows may launch on them. None carries an entity."""


class Schema(msgspec.Struct, frozen=True):
    """`traits` and each of `entities` map a name to one of `TYPES`; empty means nothing is declared.

    `events` maps an event name, or a beginning followed by `*`, to an entity, or to "" for none.
    """

    traits: dict[str, str] = {}
    entities: dict[str, dict[str, str]] = {}
    events: dict[str, str] = msgspec.field(default_factory=BUILT_IN_EVENTS.copy)

    def entity_of(self, event: str) -> str | None:
        """`order`, `session`, `product`, or None. The exact name goes before the longest beginning."""
        exact = self.events.get(event)
        if exact is not None:
            return exact or None
        best = ""
        for name in self.events:
            if name.endswith("*") and len(name) > len(best) and event.startswith(name[:-1]):
                best = name
        return (self.events[best] or None) if best else None

    def entities_of(self, events: tuple[str, ...]) -> tuple[str, ...]:
        """The entities that each of these events carries: one or none, as an event carries at most one."""
        carried = {self.entity_of(event) for event in events}
        return tuple(name for name in ENTITIES if carried == {name})

    def signature(self) -> bytes:
        """Equal for equal schemas: the key of whatever is cached per schema."""
        return msgspec.json.encode(self, order="sorted")

    def document(self) -> dict[str, Any]:
        """The document that `parse_schema` reads back as this schema."""
        return {
            "traits": dict(self.traits),
            "entities": {name: dict(fields) for name, fields in self.entities.items()},
            "events": {name: entity or None for name, entity in self.events.items()},
        }


DEFAULT: Final = Schema()
"""Nothing declared, the built-in events."""


def parse_schema(raw: object) -> tuple[Schema | None, tuple[Problem, ...]]:
    """Read a schema document: all problems at once, and None for the schema if there is any. Never raises."""
    problems: list[Problem] = []
    if raw is None:
        return DEFAULT, ()
    if not isinstance(raw, dict):
        return None, (_problem("", "wrong_type", "A schema is an object with traits, entities and events."),)
    for key in raw:
        if key not in KEYS:
            problems.append(_unknown(f"/{escape(str(key))}", str(key), KEYS))
    traits = _fields(raw.get("traits"), "/traits", problems)
    entities = _entities(raw.get("entities"), problems)
    events = _events(raw.get("events"), problems)
    if problems:
        return None, tuple(problems)
    return Schema(traits, entities, events), ()


def _entities(raw: object, problems: list[Problem]) -> dict[str, dict[str, str]]:
    entities: dict[str, dict[str, str]] = {}
    for name, fields in _object(raw, "/entities", problems).items():
        pointer = f"/entities/{escape(name)}"
        if name in ENTITIES:
            entities[name] = _fields(fields, pointer, problems)
        else:
            problems.append(_unknown(pointer, name, ENTITIES))
    return entities


def _fields(raw: object, pointer: str, problems: list[Problem]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, kind in _object(raw, pointer, problems).items():
        place = f"{pointer}/{escape(name)}"
        if not is_name(name):
            detail = f"{quoted(name)} is not a field name: a letter or _, then letters, digits and _."
            problems.append(_problem(place, "invalid_name", detail))
        elif not isinstance(kind, str) or kind not in TYPES:
            problems.append(_problem(place, "invalid_choice", f"A type is one of {', '.join(TYPES)}."))
        else:
            fields[name] = kind
    return fields


def _events(raw: object, problems: list[Problem]) -> dict[str, str]:
    events = dict(BUILT_IN_EVENTS)
    for name, entity in _object(raw, "/events", problems).items():
        place = f"/events/{escape(name)}"
        if not name or "*" in name[:-1] or not is_text(name) or len(name.encode()) > EVENT_NAME_BYTES_MAX:
            detail = "An event name, or the beginning of one with a * at its end, is expected."
            problems.append(_problem(place, "invalid_name", detail))
        elif entity is None:
            events[name] = ""
        elif not isinstance(entity, str) or entity not in ENTITIES:
            detail = f"An event carries one of {', '.join(ENTITIES)}, or null for none."
            problems.append(_problem(place, "invalid_choice", detail))
        else:
            events[name] = entity
    return events


def _object(raw: object, pointer: str, problems: list[Problem]) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        problems.append(_problem(pointer, "wrong_type", "This is an object that maps names."))
        return {}
    if len(raw) > SCHEMA_FIELDS_MAX:
        problems.append(_problem(pointer, "too_long", f"At most {SCHEMA_FIELDS_MAX} names can be declared."))
        return {}
    return raw


def is_name(text: str) -> bool:
    """Whether this can be written after a dot in an expression."""
    return len(text) <= 128 and text.isascii() and text.isidentifier()


def _unknown(pointer: str, word: str, known: tuple[str, ...]) -> Problem:
    hint = did_you_mean(word, known) or f" Known here: {', '.join(known)}."
    return _problem(pointer, "unknown_key", f"Unknown key {quoted(word)}.{hint}")


def _problem(pointer: str, code: str, detail: str) -> Problem:
    return Problem("", pointer, code, detail)
