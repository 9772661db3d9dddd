"""Promo codes: pools that are filled by an operation and emptied one code at a time, first in, first out.

The codes of a pool lie in blocks that never change: filling replaces the last one or adds new ones, issuing moves a
place in the first. A snapshot of a pool of ten million codes is therefore a list of its blocks, not of its codes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from engine.errors import Refused
from engine.limits import CODE_BYTES_MAX, CODES_PER_POOL_MAX

BLOCK_CODES = 1_000

Block = tuple[str, ...]


class Pool:
    """The codes of one pool that are left, and how many were issued."""

    def __init__(self) -> None:
        self.available = 0
        self.issued = 0
        self._blocks: deque[Block] = deque()
        self._taken = 0
        """Codes of the first block that were issued."""

    def fill(self, codes: list[str]) -> None:
        """Add codes at the end."""
        if not codes:
            return
        self.available += len(codes)
        if len(self._blocks) > 1 and len(self._blocks[-1]) + len(codes) <= BLOCK_CODES:
            codes = [*self._blocks.pop(), *codes]
        for start in range(0, len(codes), BLOCK_CODES):
            self._blocks.append(tuple(codes[start : start + BLOCK_CODES]))

    def issue(self) -> str | None:
        """The next code; None if there is none left."""
        if not self.available:
            return None
        code = self._blocks[0][self._taken]
        self.available -= 1
        self.issued += 1
        self._taken += 1
        if self._taken == len(self._blocks[0]):
            self._blocks.popleft()
            self._taken = 0
        return code

    def __iter__(self) -> Iterator[str]:
        """The codes that are left, in order."""
        return chain.from_iterable(self.blocks())

    def blocks(self) -> list[Block]:
        """The codes that are left, in order, as they are now; none of the blocks is empty."""
        blocks = list(self._blocks)
        if self._taken:
            blocks[0] = blocks[0][self._taken :]
        return blocks


class Pools:
    """All pools, by id. A pool exists from the first codes on."""

    def __init__(self) -> None:
        self.by_id: dict[str, Pool] = {}

    def add(self, pool_id: str, codes: list[str]) -> dict[str, object]:
        """Add codes at the end. A code that is in the pool already is added again: pools are not sets."""
        if not all(isinstance(code, str) and 0 < len(code.encode()) <= CODE_BYTES_MAX for code in codes):
            raise Refused("invalid_code", f"A code is a text of 1 to {CODE_BYTES_MAX} bytes.")
        if self.available(pool_id) + len(codes) > CODES_PER_POOL_MAX:
            raise Refused("pool_full", f"A pool holds at most {CODES_PER_POOL_MAX} codes.")
        self.by_id.setdefault(pool_id, Pool()).fill(codes)
        return self.entry(pool_id)

    def issue(self, pool_id: str) -> str | None:
        """The next code, for ever; None if the pool is empty or unknown."""
        pool = self.by_id.get(pool_id)
        return None if pool is None else pool.issue()

    def available(self, pool_id: str) -> int:
        pool = self.by_id.get(pool_id)
        return 0 if pool is None else pool.available

    def entry(self, pool_id: str) -> dict[str, object]:
        """A row of `GET /v1/promo-pools`."""
        return {"id": pool_id, "available": self.available(pool_id), "issued": self.by_id[pool_id].issued}

    def blocks(self) -> list[tuple[str, Block]]:
        """`(pool, some codes)` in order: what is left in all pools as they are now."""
        return [(id, block) for id, pool in sorted(self.by_id.items()) for block in pool.blocks()]

    def issued(self) -> list[list[object]]:
        """`[pool, how many codes of it were issued]`, for a snapshot."""
        return [[id, pool.issued] for id, pool in sorted(self.by_id.items())]

    def restore(self, issued: Iterable[tuple[str, int]], codes: dict[str, list[str]]) -> None:
        """Become what a snapshot held."""
        self.by_id = {}
        for id, number in issued:
            pool = self.by_id[id] = Pool()
            pool.fill(codes.get(id, []))
            pool.issued = number
