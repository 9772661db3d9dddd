"""Log of failures that stop no other run: failed and undelivered steps, cut chains, data beyond a bound."""

from __future__ import annotations

from collections import deque
from typing import Any

from engine.limits import PROBLEM_DETAIL_CHARS_MAX, PROBLEMS_KEPT_MAX


class Monitor:
    """Log of the newest PROBLEMS_KEPT_MAX problems, and the total of each kind since the engine began."""

    def __init__(self) -> None:
        self._newest: deque[dict[str, Any]] = deque(maxlen=PROBLEMS_KEPT_MAX)
        self.totals: dict[str, int] = {}

    def add(self, at: int, what: str, detail: str, *, contact: str, flow: str = "", node: str = "") -> None:
        """Log a problem. `what` is a stable word: failed, not_delivered, chain_cut, traits_too_large, …"""
        self.totals[what] = self.totals.get(what, 0) + 1
        detail = detail[:PROBLEM_DETAIL_CHARS_MAX]
        self._newest.append(
            {"at": at, "what": what, "flow": flow, "node": node, "contact": contact, "detail": detail}
        )

    def newest_first(self) -> list[dict[str, Any]]:
        return list(reversed(self._newest))

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Remove the problems of a deleted contact, named by any of these ids (rule 30)."""
        others = [problem for problem in self._newest if problem["contact"] not in ids]
        self._newest = deque(others, maxlen=PROBLEMS_KEPT_MAX)

    def pack(self) -> list[Any]:
        return [list(self._newest), sorted(self.totals.items())]

    def unpack(self, packed: list[Any]) -> None:
        newest, totals = packed
        self._newest = deque(newest, maxlen=PROBLEMS_KEPT_MAX)
        self.totals = dict(totals)
