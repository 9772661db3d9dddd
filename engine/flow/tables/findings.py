"""What one check of a document gathers while the shapes read it: problems, edges, expressions, templates."""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.errors import Problem
from engine.flow.document import Launch
from engine.limits import PROBLEMS_PER_DOCUMENT_MAX

Use = Literal["condition", "date", "value"]
"""What an expression is for: a condition gives true or false, a date a timestamp or text."""


class Edge(NamedTuple):
    """`pointer` is where the document names the `target` that `node` leads to."""

    node: str
    pointer: str
    target: str


class Expression(NamedTuple):
    """An expression to compile once the launch is known; `events`: on those events (none of them: on any), not
    on the launch's."""

    node: str
    pointer: str
    text: str
    use: Use
    events: tuple[str, ...] | None = None


class Templated(NamedTuple):
    """A string that is a Liquid template."""

    node: str
    pointer: str
    text: str


class Reader:
    """Collects; never raises. `node` is the id of the node being read, "" outside of nodes."""

    __slots__ = (
        "codes",
        "count",
        "edges",
        "expressions",
        "launches",
        "node",
        "problems",
        "templates",
        "warnings",
    )

    def __init__(self) -> None:
        self.node = ""
        self.problems: list[Problem] = []
        self.count = 0
        """Problems met, also beyond those that are kept: compare it before and after reading a part."""
        self.warnings: list[Problem] = []
        """What is probably not meant, but does not keep the flow from being launched."""
        self.edges: list[Edge] = []
        self.expressions: list[Expression] = []
        self.templates: list[Templated] = []
        self.launches: list[Launch] = []
        """The launch nodes that could be read."""
        self.codes: set[str] = set()
        """Names under which the flow issues promo codes: `codes.<name>` in templates."""

    def problem(
        self, pointer: str, code: str, detail: str, *, node: str | None = None, line: int = 0, column: int = 0
    ) -> None:
        """Note a problem of the current node, or of the `node` given."""
        self.count += 1
        if len(self.problems) < PROBLEMS_PER_DOCUMENT_MAX:
            place = self.node if node is None else node
            self.problems.append(Problem(place, pointer, code, detail, line, column))

    def warning(self, pointer: str, code: str, detail: str, *, node: str) -> None:
        """Note what is probably not meant."""
        if len(self.warnings) < PROBLEMS_PER_DOCUMENT_MAX:
            self.warnings.append(Problem(node, pointer, code, detail))
