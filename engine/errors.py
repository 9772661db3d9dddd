"""What a person did wrong: a code, a place, a sentence, a remedy. What we did wrong is an assertion."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with a document, at one place (rule 24).

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
    """Base of all errors a person can mend. `status` is the HTTP status, `remedy` what to do about it."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        remedy: str = "",
        status: int = 400,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.status = status
        self.problems = problems

    def __str__(self) -> str:
        return f"{self.detail} {self.remedy}".strip()


class Refused(TidemillError):
    """An operation that changed nothing: not found (404), in conflict (409, 412) or invalid (422)."""


class Unavailable(TidemillError):
    """The engine takes no input just now (503) or asks to slow down (429); `retry_after_s` says when to ask again."""

    def __init__(self, code: str, detail: str, *, retry_after_s: int = 1, status: int = 503) -> None:
        super().__init__(code, detail, remedy=f"Try again in {retry_after_s} s.", status=status)
        self.retry_after_s = retry_after_s


class StoreError(TidemillError):
    """The data directory cannot be used: locked, corrupt, or written by another kernel version."""
