"""Promo codes: pools that are filled by an operation and emptied one code at a time, first in, first out.

The codes of a pool lie in blocks that never change: filling replaces the last block or adds new ones, issuing advances
an index in the first. A snapshot of a pool of ten million codes is therefore a list of its blocks, not of its codes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from engine.errors import Refused
from engine.limits import CODE_BYTES_MAX, CODES_PER_POOL_MAX

BLOCK_CODES = 1_000

Block = tuple[str, ...]


class CodePool:
    """Promo codes of one pool that are left, and how many were issued."""

    def __init__(self) -> None:
        self.available = 0
        self.issued = 0
        self._blocks: deque[Block] = deque()
        self._taken = 0
        """Number of codes of the first block that were issued."""

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
        """Remove and return the next code; None if the pool is empty."""
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
        """Iterate over the codes that are left, in order."""
        return chain.from_iterable(self.blocks())

    def blocks(self) -> list[Block]:
        """Return the codes that are left now, in order, in blocks that are not empty."""
        blocks = list(self._blocks)
        if self._taken:
            blocks[0] = blocks[0][self._taken :]
        return blocks


class CodePools:
    """Pools by id. A pool exists from the first codes on."""

    def __init__(self) -> None:
        self.by_id: dict[str, CodePool] = {}

    def add(self, pool_id: str, codes: list[str]) -> dict[str, object]:
        """Add codes at the end, duplicates included. Raise Refused `invalid_code` or `pool_full`."""
        if not all(isinstance(code, str) and 0 < len(code.encode()) <= CODE_BYTES_MAX for code in codes):
            raise Refused("invalid_code", f"A code is a text of 1 to {CODE_BYTES_MAX} bytes.")
        if self.available(pool_id) + len(codes) > CODES_PER_POOL_MAX:
            raise Refused("pool_full", f"A pool holds at most {CODES_PER_POOL_MAX} codes.")
        self.by_id.setdefault(pool_id, CodePool()).fill(codes)
        return self.entry(pool_id)

    def issue(self, pool_id: str) -> str | None:
        """Remove and return the next code of a pool; None if the pool is empty or unknown."""
        pool = self.by_id.get(pool_id)
        return None if pool is None else pool.issue()

    def available(self, pool_id: str) -> int:
        pool = self.by_id.get(pool_id)
        return 0 if pool is None else pool.available

    def entry(self, pool_id: str) -> dict[str, object]:
        """Return the id of a pool and how many codes are available and issued."""
        return {"id": pool_id, "available": self.available(pool_id), "issued": self.by_id[pool_id].issued}

    def blocks(self) -> list[tuple[str, Block]]:
        """Return `(pool, some codes)` of all pools, in order: the codes that are left now."""
        return [(id, block) for id, pool in sorted(self.by_id.items()) for block in pool.blocks()]

    def issued(self) -> list[list[object]]:
        """Return `[pool, number of codes issued]` of all pools, for a snapshot."""
        return [[id, pool.issued] for id, pool in sorted(self.by_id.items())]

    def restore(self, issued: Iterable[tuple[str, int]], codes: dict[str, list[str]]) -> None:
        """Replace all pools by the contents of a snapshot."""
        self.by_id = {}
        for id, number in issued:
            pool = self.by_id[id] = CodePool()
            pool.fill(codes.get(id, []))
            pool.issued = number
