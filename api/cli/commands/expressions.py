"""`tidemill eval`: a condition on a context, once or line by line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from api.read_files import read_document
from api.terminal.terminal import print_json
from engine.errors import TidemillError
from engine.flow.cel.expression import EvaluationError, ExpressionError, evaluate

EVAL_LINE_BYTES_MAX = 4 * 1024 * 1024
"""One line of `eval --lines`: an expression and its context."""


@click.command("eval")
@click.argument("expression", metavar="EXPR", required=False)
@click.option("--context", type=click.Path(path_type=Path), help="Variables as JSON or YAML; - is stdin.")
@click.option("--lines", is_flag=True, help="Read {expr, context} lines from stdin, answer line by line.")
@click.option("--json", "as_json", is_flag=True, help='Print {"value": …} or {"error": …}.')
def eval_command(expression: str | None, context: Path | None, lines: bool, as_json: bool) -> None:
    """Evaluate EXPR, a CEL condition, with the variables of --context.

    Prints the value as JSON. An error, with its place, goes to stderr and exits 1.
    """
    if lines:
        if expression is not None or context is not None:
            raise click.UsageError("--lines takes its expressions and contexts from stdin.")
        _answer_lines()
        return
    if expression is None:
        raise click.UsageError("Missing argument 'EXPR'.")
    answer = _answer(expression, _variables(context))
    if as_json:
        print_json(answer)
        if "error" in answer:
            sys.exit(1)
    elif "error" in answer:
        raise TidemillError("expression", _sentence(answer["error"]))
    else:
        print_json(answer["value"])


def _variables(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    raw = read_document(path)
    if not isinstance(raw, dict):
        raise TidemillError("context", f"{path} is not an object.", remedy="Give names and their values.")
    return raw


def _answer_lines() -> None:
    """Never dies on a line: what cannot be read, compiled or evaluated is that line's error."""
    while line := sys.stdin.buffer.readline(EVAL_LINE_BYTES_MAX + 1):
        if len(line) > EVAL_LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = sys.stdin.buffer.readline(EVAL_LINE_BYTES_MAX)
            print_json(_error("too_large", f"A line has at most {EVAL_LINE_BYTES_MAX} bytes."))
        elif line.strip():
            print_json(_answer_line(line))


def _answer_line(line: bytes) -> dict[str, Any]:
    try:
        question = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _error("not_json", f"{error}.")
    if not isinstance(question, dict) or not isinstance(question.get("expr"), str):
        return _error("invalid", "A line is an object with `expr`, a string, and `context`, an object.")
    context = question.get("context") or {}
    if not isinstance(context, dict):
        return _error("invalid", "`context` is an object: variables and their values.")
    return _answer(question["expr"], context)


def _answer(text: str, context: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": evaluate(text, context)}
    except ExpressionError as error:
        return _error(error.code, error.detail, error.line, error.column)
    except EvaluationError as error:
        return _error("evaluation", str(error))


def _error(code: str, detail: str, line: int = 0, column: int = 0) -> dict[str, Any]:
    place = {"line": line, "column": column} if line else {}
    return {"error": {"code": code, "detail": detail, **place}}


def _sentence(error: dict[str, Any]) -> str:
    place = f"line {error['line']}, column {error['column']}: " if "line" in error else ""
    return f"{place}{error['detail']}"
