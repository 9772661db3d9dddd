"""JSON to values, with the place of every value.

msgspec decodes, strictly and fast; a second pass over the tokens finds lines and keys given twice, which
decoders let pass. The pass knows the text is valid and therefore keeps only a stack of where it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, Final

import msgspec

from engine.errors import Problem
from engine.flow.source.position import Position
from engine.flow.tables.pointer import escape
from engine.limits import DOCUMENT_DEPTH_MAX

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"\s]+')
_AT: Final = re.compile(r"\(byte (\d+)\)")
_decode = msgspec.json.Decoder().decode


def load_json(text: str, lines: dict[str, Position], problems: list[Problem]) -> Any:
    """The value of a JSON text; fills `lines` by JSON Pointer, and `problems`."""
    try:
        raw = _decode(text)
    except msgspec.DecodeError as error:
        place = _AT.search(str(error))
        before = text.encode()[: int(place[1])] if place else b""
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        detail = f"This is not JSON: {_AT.sub('', str(error)).strip()}."
        problems.append(Problem("", "", "json", detail, line, column))
        return None
    except RecursionError:
        detail = f"Values nest at most {DOCUMENT_DEPTH_MAX} levels deep."
        problems.append(Problem("", "", "too_deep", detail, 1, 1))
        return None
    _Places(text, lines, problems).walk()
    return raw


class _Frame:
    """The list (`count` of items so far) or object (`keys` so far) the walk is in."""

    __slots__ = ("count", "keys", "pointer")

    def __init__(self, pointer: str, keys: set[str] | None) -> None:
        self.pointer = pointer
        self.keys = keys
        self.count = 0


class _Places:
    def __init__(self, text: str, lines: dict[str, Position], problems: list[Problem]) -> None:
        self.text = text
        self.lines = lines
        self.problems = problems
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def walk(self) -> None:
        """Once over the tokens of a valid text."""
        stack: list[_Frame] = []
        key: str | None = None
        key_at = 0
        for token in _TOKEN.finditer(self.text):
            word, at = token.group(), token.start()
            if word in ":,":
                continue
            if word in "]}":
                stack.pop()
                continue
            top = stack[-1] if stack else None
            if top is not None and top.keys is not None and key is None:
                key, key_at = _decode(word), at
                assert isinstance(key, str)
                self._note_key(key, key_at, top)
                continue
            pointer = self._note_value(top, key, key_at, at, word)
            key = None
            if word in "[{":
                stack.append(_Frame(pointer, set() if word == "{" else None))

    def _note_key(self, key: str, at: int, top: _Frame) -> None:
        assert top.keys is not None
        if key in top.keys:
            line, column = self._line(at)
            detail = f"The key {key!r} is given twice; take one away."
            self.problems.append(Problem("", "", "duplicate_key", detail, line, column))
        top.keys.add(key)

    def _note_value(self, top: _Frame | None, key: str | None, key_at: int, at: int, word: str) -> str:
        pointer = ""
        start = value = self._line(at)
        if top is not None and key is not None:
            pointer = f"{top.pointer}/{escape(key)}"
            start = self._line(key_at)
        elif top is not None:
            pointer = f"{top.pointer}/{top.count}"
            top.count += 1
        self.lines[pointer] = Position(*start, *value, style='"' if word[0] == '"' else "")
        return pointer

    def _line(self, at: int) -> tuple[int, int]:
        line = bisect_right(self.starts, at)
        return line, at - self.starts[line - 1] + 1
