"""Shapes: what a value of a flow document may look like, said once.

A shape reads a JSON value (`read`: the parsed value, or WRONG after telling the reader why) and describes
itself as JSON Schema (`schema`), so that the checker and the editors' completion cannot drift apart. Here are
the scalars; `compounds` has lists and objects, `keys` the document's own tables. msgspec's decoder was not
used, as it stops at the first problem and its sentences name types, not remedies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from engine.flow.tables.findings import Edge, Expression, Reader, Templated, Use
from engine.flow.tables.pointer import a_kind, did_you_mean, escape, is_text, quoted
from engine.limits import JSON_DEPTH_MAX, NAME_BYTES_MAX

WRONG: Final[Any] = object()
"""Stands for a value that could not be read; the reader has the problem."""

JsonSchema = dict[str, Any]


class Shape:
    """One kind of value. `words` complete the sentence `… is expected`."""

    words = "a value"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        """The parsed value of what the document holds at the pointer `at`, or WRONG."""
        raise NotImplementedError

    def schema(self) -> JsonSchema:
        """The shape as JSON Schema 2020-12."""
        raise NotImplementedError

    def mistyped(self, raw: Any, at: str, reader: Reader, hint: str = "") -> Any:
        """Note that the value is of another JSON type."""
        detail = f"{upper(self.words)} is expected here, this is {a_kind(raw)}.{hint}"
        reader.problem(at, "wrong_type", detail)
        return WRONG


def upper(sentence: str) -> str:
    """The sentence with a capital; the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def lower(sentence: str) -> str:
    """The sentence without its capital; the rest as it is."""
    return sentence[:1].lower() + sentence[1:]


class Text(Shape):
    """Any text, 1 to `bytes_max` bytes of UTF-8."""

    def __init__(self, words: str = "text", bytes_max: int = NAME_BYTES_MAX) -> None:
        self.words = words
        self.bytes_max = bytes_max

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if not isinstance(raw, str):
            hint = " Put it in quotes." if isinstance(raw, bool | int | float) else ""
            return self.mistyped(raw, at, reader, hint)
        if not raw.strip():
            reader.problem(at, "empty", f"{upper(self.words)} is expected here, this is empty.")
        elif not is_text(raw):
            reader.problem(at, "invalid_text", "This text holds half of a surrogate pair.")
        elif len(raw.encode()) > self.bytes_max:
            reader.problem(at, "too_long", f"At most {self.bytes_max} bytes are allowed here.")
        else:
            return raw
        return WRONG

    def schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1, "maxLength": self.bytes_max}


class Parsed(Shape):
    """Text that a function turns into a value; its ValueError says what is wrong."""

    def __init__(
        self, words: str, code: str, parse: Callable[[str], Any], pattern: str = "", known: Iterable[str] = ()
    ) -> None:
        self.words = words
        self.code = code
        self.parse = parse
        self.pattern = pattern
        self.known = known

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if not isinstance(raw, str):
            return self.mistyped(raw, at, reader, " Put it in quotes." if self._would_do(raw) else "")
        try:
            return self.parse(raw)
        except ValueError as error:
            detail = str(error).rstrip(".")
            reader.problem(at, self.code, f"{detail}.{did_you_mean(raw, self.known)}")
            return WRONG

    def _would_do(self, raw: Any) -> bool:
        """Whether YAML made a number of what was meant as text."""
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            return False
        try:
            self.parse(str(raw))
        except ValueError:
            return False
        return True

    def schema(self) -> JsonSchema:
        described: JsonSchema = {"type": "string", "minLength": 1}
        return described | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})


class Choice(Shape):
    """One of a few words."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.words = f"one of {', '.join(names)}"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, str) and raw in self.names:
            return raw
        hint = did_you_mean(raw, self.names)
        shown = quoted(raw) if isinstance(raw, str) else a_kind(raw)
        reader.problem(at, "invalid_choice", f"{upper(self.words)} is expected here, this is {shown}.{hint}")
        return WRONG

    def schema(self) -> JsonSchema:
        return {"enum": list(self.names)}


class Flag(Shape):
    """true or false."""

    words = "true or false"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        return raw if isinstance(raw, bool) else self.mistyped(raw, at, reader)

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}


class Whole(Shape):
    """A whole number from `least` to `most`."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.words = "a whole number"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, bool) or not isinstance(raw, int):
            return self.mistyped(raw, at, reader)
        if not self.least <= raw <= self.most:
            reader.problem(at, "out_of_range", f"A number from {self.least} to {self.most} is expected here.")
            return WRONG
        return raw

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Hundredths(Shape):
    """A number with at most two decimals, read exactly: 33.33 is 3333, and 33.333 is refused."""

    words = "a number with at most two decimals"

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            return self.mistyped(raw, at, reader)
        if not self.least <= raw <= self.most:  # also refuses NaN and the infinities
            reader.problem(at, "out_of_range", f"A number from {self.least} to {self.most} is expected here.")
            return WRONG
        value = Decimal(repr(raw)) * 100
        if value != int(value):
            reader.problem(at, "too_precise", f"{upper(self.words)} is expected here, this has more.")
            return WRONG
        return int(value)

    def schema(self) -> JsonSchema:
        return {"type": "number", "minimum": self.least, "maximum": self.most}


class Between(Shape):
    """A number strictly between two others."""

    def __init__(self, above: float, below: float) -> None:
        self.above, self.below = above, below
        self.words = f"a number above {above} and below {below}"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            return self.mistyped(raw, at, reader)
        if not self.above < raw < self.below:
            reader.problem(at, "out_of_range", f"{upper(self.words)} is expected here.")
            return WRONG
        return float(raw)

    def schema(self) -> JsonSchema:
        return {"type": "number", "exclusiveMinimum": self.above, "exclusiveMaximum": self.below}


class Target(Shape):
    """An edge: the id of the node to go to; null, like leaving it out, ends the run there."""

    words = "the id of a node"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if raw is None:
            return None
        if not isinstance(raw, str):
            return self.mistyped(raw, at, reader)
        reader.edges.append(Edge(reader.node, at, raw))
        return raw

    def schema(self) -> JsonSchema:
        return {"type": ["string", "null"], "description": "The id of the node to go to."}


_WORDS: Final[dict[Use, str]] = {
    "condition": "a condition such as customer.points > 100",
    "date": "an expression that gives a date, such as customer.birthday,",
    "value": "an expression such as order.total",
}


class Cel(Shape):
    """A CEL expression. Compiled later, when it is known what launches the flow; `of_launch=False`: by others."""

    def __init__(self, use: Use, *, of_launch: bool = True) -> None:
        self.use: Use = use
        self.of_launch = of_launch
        self.words = _WORDS[use]

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, bool) and self.use == "condition":
            raw = str(raw).lower()  # `when: true` needs no quotes
        if not isinstance(raw, str):
            return self.mistyped(raw, at, reader, " Put it in quotes.")
        if not raw.strip():
            reader.problem(at, "empty", f"{upper(self.words)} is expected here, this is empty.")
            return WRONG
        if self.of_launch:
            reader.expressions.append(Expression(reader.node, at, raw, self.use))
        return raw

    def schema(self) -> JsonSchema:
        kinds = ["string", "boolean"] if self.use == "condition" else "string"
        return {"type": kinds, "description": f"CEL: {self.words}."}


class Json(Shape):
    """Any JSON value; every string inside is a Liquid template."""

    words = "a JSON value"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        before = reader.count
        self._visit(raw, at, reader, 0)
        return raw if reader.count == before else WRONG

    def _visit(self, raw: Any, at: str, reader: Reader, depth: int) -> None:
        if isinstance(raw, str):
            if is_text(raw):
                reader.templates.append(Templated(reader.node, at, raw))
            else:
                reader.problem(at, "invalid_text", "This text holds half of a surrogate pair.")
        elif isinstance(raw, list | dict):
            if depth >= JSON_DEPTH_MAX:
                reader.problem(at, "too_deep", f"Values nest at most {JSON_DEPTH_MAX} levels deep.")
                return
            items = raw.items() if isinstance(raw, dict) else enumerate(raw)
            for key, value in items:
                place = f"{at}/{escape(str(key))}"
                if isinstance(raw, dict) and not is_text(key):
                    reader.problem(at, "invalid_text", "The keys of an object are text.")
                self._visit(value, place, reader, depth + 1)
        elif isinstance(raw, int) and not -(2**63) <= raw < 2**63:
            reader.problem(at, "out_of_range", "Whole numbers have at most 64 bits.")
        elif isinstance(raw, float) and not isfinite(raw):
            reader.problem(at, "out_of_range", "JSON has no such number.")
        elif raw is not None and not isinstance(raw, bool | int | float):
            self.mistyped(raw, at, reader)

    def schema(self) -> JsonSchema:
        return {"description": "Any value; strings are Liquid templates."}


class NumberOrTemplate(Json):
    """A number, or a template that renders one."""

    words = "a number, or a template that gives one,"

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        number = int if self.whole else int | float
        if isinstance(raw, bool) or not isinstance(raw, number | str):
            return self.mistyped(raw, at, reader)
        if isinstance(raw, str) and not raw.strip():
            reader.problem(at, "empty", f"{upper(self.words)} is expected here, this is empty.")
            return WRONG
        return super().read(raw, at, reader)

    def schema(self) -> JsonSchema:
        return {"type": ["integer" if self.whole else "number", "string"]}
