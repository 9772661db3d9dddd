"""A flow document as text that belongs under version control: the same document, the same YAML, byte for byte.

Keys come in the order of the language's own tables (`engine.flow.tables.flow`), so the text does not depend on who
wrote the document; nodes, messages and properties stay in the order they have. Everything is in block style, texts of
several lines as they read, no line is folded: a change of one value is a change of one line.

It is read back as the same document, strictly: what a reader of YAML 1.1 or of YAML 1.2 could take for anything but
text is quoted. Keeping the comments and the style of a file was rejected: it needs a parser of its own, and a merge
of two texts. Instead a file whose document did not change is not written at all.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from engine.flow.tables.actions import ACTIONS, ActionShape
from engine.flow.tables.containers import ListOf, MapOf, Record
from engine.flow.tables.flow import NODES
from engine.flow.tables.matches import MATCH, ExitShape
from engine.flow.tables.shapes import Shape
from engine.flow.validate import DOCUMENT, NodesShape

_LITERAL: Final = re.compile(r"\S(?:.*\S)?\n?", re.DOTALL)
"""Begins and ends with something to see, but for one line end."""
_ESCAPED: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
"""What nobody sees, or what some readers take for a line end."""


def to_yaml(document: dict[str, Any]) -> str:
    """The document as canonical YAML, with a line end at its end."""
    text: str = yaml.dump(
        in_order(document),
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=False,
        width=float("inf"),
    )
    return text


def to_json(document: dict[str, Any]) -> str:
    """The same as JSON of two spaces, for those who keep their flows as `.json`."""
    return msgspec.json.format(msgspec.json.encode(in_order(document)), indent=2).decode() + "\n"


def is_same(one: object, other: object) -> bool:
    """Whether two documents are the same but for the order of their keys. `1`, `1.0` and `true` are not."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def in_order(document: dict[str, Any]) -> Any:
    """The document with its keys in the order of the tables; what they do not know comes behind."""
    return _ordered(document, DOCUMENT)


def _ordered(raw: Any, shape: Shape) -> Any:
    """`raw` in the order of `shape`, as far as it has that shape: a draft may hold anything."""
    if isinstance(raw, list):
        return [_ordered(item, shape.item) for item in raw] if isinstance(shape, ListOf) else raw
    if isinstance(shape, ListOf) and shape.or_one:
        return _ordered(raw, shape.item)
    if not isinstance(raw, dict):
        return raw
    if isinstance(shape, MapOf):
        return {key: _ordered(value, shape.value) for key, value in raw.items()}
    if isinstance(shape, NodesShape):
        return {key: _ordered_as(node, _kind_of(node)) for key, node in raw.items()}
    if isinstance(shape, ActionShape):
        return _ordered_as(raw, next((ACTIONS[verb] for verb in ACTIONS if verb in raw), None))
    if isinstance(shape, ExitShape):
        return _ordered_as(raw, MATCH)
    return _ordered_as(raw, shape if isinstance(shape, Record) else None)


def _kind_of(node: Any) -> Record | None:
    kind = node.get("kind") if isinstance(node, dict) else None
    return NODES.get(kind) if isinstance(kind, str) else None


def _ordered_as(raw: Any, record: Record | None) -> Any:
    if record is None or not isinstance(raw, dict):
        return raw
    known = {name: _ordered(raw[name], key.shape) for name, key in record.keys.items() if name in raw}
    return known | {name: value for name, value in raw.items() if name not in known}


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper, without its anchors and with items of lists set in below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """A text of several lines as a literal block, where that says exactly what it is; else with escapes."""
    style = None
    if _ESCAPED.search(text):
        style = '"'
    elif "\n" in text:
        style = "|" if _LITERAL.fullmatch(text) and " \n" not in text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
# Numbers of YAML 1.2 that YAML 1.1, whose rules PyYAML has already, reads as text (`1e3`, `08`, `0o7`), and times of
# day, of which YAML 1.1 takes 20:00 for a number and 08:00 not: they should look alike.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+:[0-9:]+)$"
    ),
    list("-+.0123456789"),
)
