"""Documents as files: JSON or YAML text to plain JSON values, and back from a problem to its line.

A document is loaded once, with the line of every value; `validate.check` knows nothing of lines, it names
places by JSON Pointer, and `locate` puts the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.errors import Problem, Refused
from engine.flow.source.position import Position
from engine.flow.source.source_json import load_json
from engine.flow.source.source_yaml import load_yaml


class Loaded(msgspec.Struct, frozen=True):
    """`raw` is None where there are `problems`: the text cannot be read. `lines` is by JSON Pointer."""

    raw: Any
    lines: dict[str, Position] = {}
    problems: tuple[Problem, ...] = ()

    def demand(self) -> Any:
        """`raw`, or a Refused that names the line, for callers who report one error."""
        if not self.problems:
            return self.raw
        first = self.problems[0]
        raise Refused("document", f"Line {first.line}: {first.detail}", problems=self.problems)


def load(data: bytes, *, yaml: bool) -> Loaded:
    """Read a document. Never raises: what is wrong with the text is in `problems`, each with its line.

    YAML is read by the core rules of YAML 1.2: `08:00`, `yes` and `2026-12-01` are text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return Loaded(None, {}, (Problem("", "", "not_utf8", "A document is UTF-8.", line, 1),))
    lines: dict[str, Position] = {}
    problems: list[Problem] = []
    raw = (load_yaml if yaml else load_json)(text, lines, problems)
    return Loaded(None if problems else raw, lines, tuple(problems))


def locate(problems: Iterable[Problem], loaded: Loaded) -> list[Problem]:
    """The same problems, in the same order, with line and column in the file.

    The place of a problem inside an expression or a template is moved to where its text stands in the file;
    a key that is missing is shown at the object that lacks it.
    """
    return [_located(problem, loaded.lines) for problem in problems]


def _located(problem: Problem, lines: dict[str, Position]) -> Problem:
    pointer = problem.pointer
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    position = lines.get(pointer)
    if position is None:
        return problem
    if problem.line and problem.code.startswith(("expression", "template")) and pointer == problem.pointer:
        line, column = position.inside(problem.line, problem.column)
    elif problem.line:
        return problem
    else:
        line, column = position.line, position.column
    return msgspec.structs.replace(problem, line=line, column=column)
