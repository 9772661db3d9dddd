"""Promo codes: pools that are filled by an operation and emptied one code at a time, first in, first out."""

from __future__ import annotations

from collections import deque

from engine.errors import Refused
from engine.limits import CODE_BYTES_MAX, CODES_PER_POOL_MAX


class Pool:
    """The codes of one pool that are left, and how many were issued."""

    def __init__(self) -> None:
        self.codes: deque[str] = deque()
        self.issued = 0


class Pools:
    """All pools, by id. A pool exists from the first codes on."""

    def __init__(self) -> None:
        self.by_id: dict[str, Pool] = {}

    def add(self, pool_id: str, codes: list[str]) -> dict[str, object]:
        """Add codes at the end. A code that is in the pool already is added again: pools are not sets."""
        if not all(isinstance(code, str) and 0 < len(code.encode()) <= CODE_BYTES_MAX for code in codes):
            raise Refused("invalid_code", f"A code is a text of 1 to {CODE_BYTES_MAX} bytes.", status=422)
        pool = self.by_id.get(pool_id)
        if (0 if pool is None else len(pool.codes)) + len(codes) > CODES_PER_POOL_MAX:
            raise Refused("pool_full", f"A pool holds at most {CODES_PER_POOL_MAX} codes.", status=422)
        if pool is None:
            pool = self.by_id[pool_id] = Pool()
        pool.codes.extend(codes)
        return self.entry(pool_id)

    def issue(self, pool_id: str) -> str | None:
        """The next code, for ever; None if the pool is empty or unknown."""
        pool = self.by_id.get(pool_id)
        if pool is None or not pool.codes:
            return None
        pool.issued += 1
        return pool.codes.popleft()

    def available(self, pool_id: str) -> int:
        pool = self.by_id.get(pool_id)
        return 0 if pool is None else len(pool.codes)

    def entry(self, pool_id: str) -> dict[str, object]:
        """A row of `GET /v1/promo-pools`."""
        return {"id": pool_id, "available": self.available(pool_id), "issued": self.by_id[pool_id].issued}

    def pack(self) -> list[list[object]]:
        return [[id, list(pool.codes), pool.issued] for id, pool in sorted(self.by_id.items())]

    def unpack(self, packed: list[list[object]]) -> None:
        self.by_id = {}
        for id, codes, issued in packed:
            pool = self.by_id[str(id)] = Pool()
            assert isinstance(codes, list)
            assert isinstance(issued, int)
            pool.codes.extend(codes)
            pool.issued = issued
