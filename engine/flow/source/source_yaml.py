"""YAML to JSON values, by the core rules of YAML 1.2, with the place of every value.

PyYAML's own constructor follows YAML 1.1, where `20:00` is the number 1200, `on` is true and `2026-12-01` a
date; it also lets a second key hide the first. So only its events are used (scanner and parser, in C where
libyaml is there), and the values are put together here, without recursion: however deep a text nests, it ends
in a problem, not in a stack overflow.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from engine.errors import Problem
from engine.flow.source.position import Position
from engine.flow.tables.pointer import escape
from engine.limits import DOCUMENT_DEPTH_MAX, DOCUMENT_VALUES_MAX, YAML_ALIASES_MAX

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAGS: Final = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", "!")
_NONE: Final[Any] = object()
_TOO_DEEP: Final = f"Values nest at most {DOCUMENT_DEPTH_MAX} levels deep."


class _Stop(Exception):
    """The document cannot be read any further."""

    def __init__(self, code: str, detail: str, mark: Any) -> None:
        super().__init__(detail)
        self.problem = Problem("", "", code, detail, mark.line + 1, mark.column + 1)


class _Frame:
    """A list or an object that is being put together."""

    __slots__ = ("anchor", "key", "key_mark", "pointer", "size", "value")

    def __init__(self, value: Any, pointer: str, anchor: str | None) -> None:
        self.value = value
        self.pointer = pointer
        self.anchor = anchor
        self.size = 1
        self.key: Any = _NONE
        self.key_mark: Any = None


def load_yaml(text: str, lines: dict[str, Position], problems: list[Problem]) -> Any:
    """The one document of the text as JSON values; fills `lines` by JSON Pointer, and `problems`."""
    builder = _Builder(lines)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except _Stop as stop:
        problems.append(stop.problem)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = str(error.problem or error.context)
        hint = " Text that holds a colon and a space is put in quotes." if "mapping values" in said else ""
        # The parser has a bound of its own, which it may meet while it looks ahead, before any event is given out.
        too_deep = "nesting depth" in said
        code, detail = ("too_deep", _TOO_DEEP) if too_deep else ("yaml", f"This is not YAML: {said}.{hint}")
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problems.append(Problem("", "", code, detail, *place))
    except yaml.YAMLError as error:
        problems.append(Problem("", "", "yaml", f"This is not YAML: {' '.join(str(error).split())}.", 1, 1))
    return builder.document


class _Builder:
    def __init__(self, lines: dict[str, Position]) -> None:
        self.lines = lines
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.aliases = 0
        self.values = 0
        self.documents = 0
        self.document: Any = None

    def take(self, event: Any) -> None:
        """One event of the parser: a scalar, the beginning or the end of a collection, an alias."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self.stack.pop()
            if frame.anchor is not None:
                self.anchors[frame.anchor] = (frame.value, frame.size)
            if self.stack:
                self.stack[-1].size += frame.size
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _Stop("yaml", "One document is expected here, this begins a second.", event.start_mark)

    def _begin(self, event: Any) -> None:
        self._check_tag(event)
        if len(self.stack) >= DOCUMENT_DEPTH_MAX:
            raise _Stop("too_deep", _TOO_DEEP, event.start_mark)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        pointer = self._place(value, event.start_mark)
        self.stack.append(_Frame(value, pointer, event.anchor))

    def _scalar(self, event: Any) -> None:
        self._check_tag(event)
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is _NONE:
            if event.value in top.value:
                detail = f"The key {event.value!r} is given twice; take one away."
                raise _Stop("duplicate_key", detail, event.start_mark)
            top.key, top.key_mark = event.value, event.start_mark
            return
        value = event.value
        if not event.style and event.tag is None:  # plain
            value = _resolve(event)
        self._place(value, event.start_mark, event.style or "")
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        if top is not None:
            top.size += 1

    def _alias(self, event: Any) -> None:
        self.aliases += 1
        if self.aliases > YAML_ALIASES_MAX:
            raise _Stop("too_long", f"A document has at most {YAML_ALIASES_MAX} aliases.", event.start_mark)
        if event.anchor not in self.anchors:
            detail = f"Nothing complete is called &{event.anchor} before this."
            raise _Stop("yaml", detail, event.start_mark)
        value, size = self.anchors[event.anchor]
        self.values += size
        self._place(value, event.start_mark)
        self.stack[-1].size += size

    def _place(self, value: Any, mark: Any, style: str = "") -> str:
        """Put the value where it belongs; its pointer."""
        self.values += 1
        if self.values > DOCUMENT_VALUES_MAX:
            raise _Stop("too_long", f"A document has at most {DOCUMENT_VALUES_MAX} values.", mark)
        at, pointer = mark, ""
        if not self.stack:
            self.document = value
        else:
            top = self.stack[-1]
            if isinstance(top.value, list):
                pointer = f"{top.pointer}/{len(top.value)}"
                top.value.append(value)
            elif top.key is _NONE:
                raise _Stop("yaml", "The keys of an object are text.", mark)
            else:
                pointer = f"{top.pointer}/{escape(top.key)}"
                top.value[top.key] = value
                at, top.key = top.key_mark, _NONE
        self.lines[pointer] = Position(at.line + 1, at.column + 1, mark.line + 1, mark.column + 1, style)
        return pointer

    @staticmethod
    def _check_tag(event: Any) -> None:
        if event.tag is not None and event.tag not in _TAGS:
            raise _Stop("yaml", f"The tag {event.tag} is not used here; take it away.", event.start_mark)


def _resolve(event: Any) -> Any:
    """A plain scalar by the core rules: null, true, false, a number, else text."""
    text = event.value
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if abs(number) != float("inf"):
            return number
        raise _Stop("yaml", f"{text[:40]} is too large a number; put it in quotes.", event.start_mark)
    if _NO_NUMBER.fullmatch(text):
        raise _Stop("yaml", f"JSON has no number {text}; put it in quotes.", event.start_mark)
    return text
