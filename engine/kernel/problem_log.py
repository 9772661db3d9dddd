"""What went wrong without stopping anybody: failed and undelivered steps, cut chains, data that had to be left."""

from __future__ import annotations

from collections import deque
from typing import Any

from engine.limits import PROBLEM_DETAIL_CHARS_MAX, PROBLEMS_KEPT_MAX


class Monitor:
    """The newest problems (bounded) and how many there ever were of each kind."""

    def __init__(self) -> None:
        self._newest: deque[dict[str, Any]] = deque(maxlen=PROBLEMS_KEPT_MAX)
        self.totals: dict[str, int] = {}

    def add(self, at: int, what: str, detail: str, *, contact: str, flow: str = "", node: str = "") -> None:
        """`what` is a stable word: failed, not_delivered, chain_cut, traits_too_large."""
        self.totals[what] = self.totals.get(what, 0) + 1
        detail = detail[:PROBLEM_DETAIL_CHARS_MAX]
        self._newest.append(
            {"at": at, "what": what, "flow": flow, "node": node, "contact": contact, "detail": detail}
        )

    def newest_first(self) -> list[dict[str, Any]]:
        return list(reversed(self._newest))

    def forget_contact(self, ids: frozenset[str]) -> None:
        """Rule 30, whichever of its ids a problem names."""
        kept = [problem for problem in self._newest if problem["contact"] not in ids]
        self._newest = deque(kept, maxlen=PROBLEMS_KEPT_MAX)

    def pack(self) -> list[Any]:
        return [list(self._newest), sorted(self.totals.items())]

    def unpack(self, packed: list[Any]) -> None:
        newest, totals = packed
        self._newest = deque(newest, maxlen=PROBLEMS_KEPT_MAX)
        self.totals = dict(totals)
