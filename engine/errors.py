"""Errors that a person can correct: a class, a code, a sentence, a remedy. Our own mistakes are assertions.

The class is the kind of failure, the code the failure itself. Neither knows how the error is shown: HTTP statuses,
paths, commands and options belong to the edge (`api.refusals`).
"""

from __future__ import annotations

import sys

import msgspec


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Mistake in a document, at one place (rule 24).

    `node` is the node's id ("" where the flow itself is meant), `pointer` a JSON Pointer (RFC 6901) into the
    document, `code` a stable word for programs, `detail` a sentence for people. `line` and `column` count
    from 1: inside the expression where `code` starts with "expression" or "template", else inside the
    file (0 = not known).
    """

    node: str
    pointer: str
    code: str
    detail: str
    line: int = 0
    column: int = 0


class TidemillError(Exception):
    """Base of all errors that a person can correct.

    `code` is a stable word for programs, `detail` a sentence about the failure, `remedy` a sentence about the way out
    ("" where the edge has better words). `problems` are the mistakes in a document, each with its place. `named` is the
    id of the flow or contact in question ("" if there is none).
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        remedy: str = "",
        problems: tuple[Problem, ...] = (),
        named: str = "",
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.problems = problems
        self.named = named

    def __str__(self) -> str:
        return f"{self.detail} {self.remedy}".strip()


class Refused(TidemillError):
    """Refusal of an invalid operation or question. Like its subclasses it has changed nothing."""


class NotFound(Refused):
    """Refusal because a flow, version, contact or test does not exist."""


class Conflict(Refused):
    """Refusal of an operation that is valid, but not in the present state."""


class Unavailable(TidemillError):
    """Input that the engine does not take at present; `retry_after_s` says when to try again."""

    def __init__(self, code: str, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(code, detail, remedy=f"Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class StoreError(TidemillError):
    """Failure of a data directory: locked, corrupt, or written by another kernel version."""


def require_assertions() -> None:
    """Refuse to go on in a Python that skips assertions (`python -O`): they stop the engine before it harms its data.

    Raises TidemillError (`assertions_off`).
    """
    if sys.flags.optimize:
        raise TidemillError(
            "assertions_off",
            "Python skips assertions here (-O or PYTHONOPTIMIZE), and tidemill stops on a failed one "
            "to protect its data.",
            remedy="Start it without -O and unset PYTHONOPTIMIZE.",
        )
