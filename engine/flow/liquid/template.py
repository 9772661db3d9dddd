"""Liquid templates: compiled once, rendered often, never a surprise.

Parsing and rendering are python-liquid's, in the environment of `sandbox`. What is found wrong when a flow is saved
is the syntax, unknown filters and tags, and names that do not exist (`Template.names`); what is found wrong when
a message is rendered is a TemplateError, and the action fails (rule 17). The same context gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.exceptions import LiquidError

from engine.flow.liquid.sandbox import Bound, Sandbox
from engine.flow.tables.pointer import did_you_mean, is_text
from engine.limits import (
    TEMPLATE_BYTES_MAX,
    TEMPLATE_DEPTH_MAX,
    TEMPLATE_LOOPS_MAX,
    TEMPLATE_TAG_BYTES_MAX,
)

_sandbox: Final = Sandbox()
_OPENINGS: Final = (("{{", "}}"), ("{%", "%}"))


class TemplateError(Exception):
    """A template that cannot be compiled or rendered: a sentence, and its place in the text, from 1."""

    def __init__(self, code: str, detail: str, line: int = 1, column: int = 1) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.line = line
        self.column = column


class Name(NamedTuple):
    """A name of the context that a template reads, such as ("customer", "city"), and where."""

    path: tuple[str, ...]
    line: int
    column: int


class Template:
    """A compiled template. `literal` is its text where there is no Liquid in it, else None."""

    __slots__ = ("_bound", "literal", "names", "text")

    def __init__(self, text: str, bound: Any, names: tuple[Name, ...]) -> None:
        self.text = text
        self.literal = text if bound is None else None
        self.names = names
        self._bound = bound

    def render(self, context: dict[str, Any]) -> str:
        """The text for a context of JSON values: `customer`, `event`, `codes`, the entity, `now` (RFC 3339)
        and, optionally, `zone`, the name of the zone that dates are written in. Raises TemplateError."""
        if self._bound is None:
            return self.text
        try:
            return str(self._bound.render(context))
        except LiquidError as error:
            raise _template_error("template_failed", error, self.text) from error
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise TemplateError("template_failed", f"{type(error).__name__}: {error}.") from error


@lru_cache(maxsize=4096)
def compile_template(text: str) -> Template:
    """Compile a template; TemplateError, with its place, where it is none."""
    if "{{" not in text and "{%" not in text:
        return Template(text, None, ())
    _check_size(text)
    try:
        bound = _sandbox.from_string(text)
    except LiquidError as error:
        raise _template_error("template_syntax", error, text) from error
    assert isinstance(bound, Bound)
    bound.length = len(text)
    survey = _Survey(text)
    for node in bound.nodes:
        survey.visit(node, 0)
    return Template(text, bound, survey.free_names())


def _check_size(text: str) -> None:
    if not is_text(text):
        raise TemplateError("template_syntax", "This text holds half of a surrogate pair.")
    if len(text.encode()) > TEMPLATE_BYTES_MAX:
        raise TemplateError("template_too_long", f"A template has at most {TEMPLATE_BYTES_MAX} bytes.")
    for opening, closing in _OPENINGS:
        at = text.find(opening)
        while at >= 0:
            end = text.find(closing, at)
            if (end if end >= 0 else len(text)) - at > TEMPLATE_TAG_BYTES_MAX:
                detail = f"What is inside {opening} {closing} has at most {TEMPLATE_TAG_BYTES_MAX} bytes."
                raise TemplateError("template_too_long", detail, *_line(text, at))
            at = text.find(opening, end) if end >= 0 else -1


def _template_error(code: str, error: LiquidError, text: str) -> TemplateError:
    cause = error.__cause__ if error.token is None and isinstance(error.__cause__, RecursionError) else None
    message = "it nests too deeply" if cause is not None else str(error.message or type(error).__name__)
    place = (1, 1)
    if error.token is not None and error.token.start_index >= 0:
        place = _line(text, error.token.start_index)
    if message.partition(" ")[0].isalpha():  # else it begins with the name of a filter
        message = message[:1].upper() + message[1:]
    return TemplateError(code, f"{message.rstrip('.')}.", *place)


def _line(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1."""
    before = text[:at]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Survey:
    """Walks the parsed template: which names it reads, whether its filters exist, whether it keeps the bounds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[Name] = []
        self.own: set[str] = set()

    def free_names(self) -> tuple[Name, ...]:
        """Names the template reads and does not make itself."""
        return tuple(name for name in self.names if name.path[0] not in self.own)

    def visit(self, node: Any, depth: int) -> None:
        """A node of the syntax tree and all below it; nesting is bounded by the parser."""
        self.own.update(str(name) for name in (*node.template_scope(), *node.block_scope()))
        for expression in node.expressions():
            self._expression(expression, 0)
        for child in node.children(None):
            self.visit(child, depth + 1)

    def _expression(self, expression: Any, depth: int) -> None:
        if depth > TEMPLATE_DEPTH_MAX:
            raise self._error("template_too_deep", "The expression nests too deeply", expression)
        if isinstance(expression, Path):
            self._note(expression)
        elif isinstance(expression, FilteredExpression):
            self._check_filters(expression)
        elif isinstance(expression, RangeLiteral):
            detail = "A range such as (1..3) can only be looped over"
            raise self._error("template_syntax", detail, expression)
        for child in self._children(expression):
            self._expression(child, depth + 1)

    def _children(self, expression: Any) -> Iterator[Any]:
        if not isinstance(expression, LoopExpression):
            yield from expression.children()
            return
        for child in expression.children():
            if child is expression.iterable and isinstance(child, RangeLiteral):
                self._check_range(expression, child)
                yield from child.children()
            else:
                yield child

    def _check_range(self, loop: Any, bounds: Any) -> None:
        """Liquid goes through a range that is reversed or begun later before it looks at the bound of turns."""
        if isinstance(bounds.start, IntegerLiteral) and isinstance(bounds.stop, IntegerLiteral):
            if bounds.stop.value - bounds.start.value >= TEMPLATE_LOOPS_MAX:
                detail = f"A loop takes at most {TEMPLATE_LOOPS_MAX} turns"
                raise self._error("template_too_long", detail, bounds)
        elif loop.reversed or loop.offset is not None:
            detail = "A range that is reversed, or has an offset, is given by numbers"
            raise self._error("template_syntax", detail, bounds)

    def _note(self, path: Any) -> None:
        head = path.path[0]
        if isinstance(head, str):
            words = [step for step in path.path if isinstance(step, str)]
            whole = words if len(words) == len(path.path) else words[:1]
            self.names.append(Name(tuple(map(str, whole)), *_line(self.text, path.token.start_index)))

    def _check_filters(self, expression: Any) -> None:
        for used in expression.filters or ():
            if used.name not in _sandbox.filters:
                hint = did_you_mean(used.name, _sandbox.filters)
                raise self._error("template_unknown_filter", f"Unknown filter {used.name!r}", used, hint)

    def _error(self, code: str, detail: str, where: Any, hint: str = "") -> TemplateError:
        return TemplateError(code, f"{detail}.{hint}", *_line(self.text, where.token.start_index))
