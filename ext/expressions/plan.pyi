from engine.errors import TidemillError
from ext.expressions.view import View as View

class EvaluationError(TidemillError):
    """An expression that was sound met data it could not work with; `line` and `column` count from 1 (0: not known)."""

    line: int
    column: int

    def __init__(self, detail: str, line: int = 0, column: int = 0) -> None: ...

class Plan:
    """A planned expression. `engine.flow.cel.expression` makes them of texts."""

    def __init__(self, text: str, term: tuple[object, ...], offsets: list[int]) -> None:
        """`term` is an `engine.flow.cel.planner.Term`, `offsets` the place of each of its parts."""

    @property
    def text(self) -> str: ...
    @property
    def error(self) -> str | None:
        """What the last `test` met, with its place, or None."""

    def test(self, view: View) -> bool:
        """Whether the condition holds. An error is false (rule 20); `error` then says what it was."""

    def test_all(self, views: list[View]) -> int:
        """For how many of the views the condition holds: `test` in a compiled loop, as the kernel calls it."""

    def value(self, view: View) -> object:
        """The value as Python has it: datetime and timedelta to the microsecond, `ext.expressions.value.TypeName` for
        a type. Raises EvaluationError."""

    def json(self, view: View) -> object:
        """The value as JSON can carry it: times as CEL's own text, bytes in base64, types by name, NaN and Infinity
        by theirs. Raises EvaluationError."""
