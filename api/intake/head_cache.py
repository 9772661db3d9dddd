"""Heads of requests that are known already: a client sends the same one again and again.

Reading a head costs the parser and its callbacks some 3 µs. But between two requests the parser is in the same state
every time, so the same bytes mean the same again: what it made of a head is kept under the head's bytes, and the
next request that begins with them, and is as long as it says, is not parsed at all. Nothing is guessed: what differs
by a byte, comes in pieces or is followed by another request goes to the parser.

Kept are only heads of requests that nothing was wrong with, so neither refusals nor bounds are bypassed; a head that
holds a write key was judged with it. Heads with something unique in them (a trace id) only pass through: when the
table is full it is emptied, which costs one parsing each.
"""

from __future__ import annotations

from api.intake.http1 import Exchange, Http1
from api.intake.segment_api import Head

HEADS_MAX = 1_024
HEAD_BYTES_MAX = 1_024
END = b"\r\n\r\n"


class Familiar:
    """Knows heads of requests that were `judge`d alike: one of these for local peers, one for others."""

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[Head, int]] = {}

    def feed(self, http: Http1, data: bytes) -> list[Exchange]:
        """Return what `http.feed(data)` returns."""
        if not http.idle or http.closed:
            return http.feed(data)
        start = data.find(END) + len(END)
        known = self._heads.get(data[:start])
        if known is not None and known[1] == len(data) - start:
            return [Exchange(known[0], data[start:], None, False)]
        exchanges = http.feed(data)
        if len(exchanges) == 1 and http.idle:
            self._keep(data, start, exchanges[0])
        return exchanges

    def forget(self) -> None:
        """Forget all heads, because `judge` may decide otherwise now."""
        self._heads.clear()

    def _keep(self, data: bytes, start: int, exchange: Exchange) -> None:
        """Keep a head. If the body is what follows the head to the last byte, its length is the one in the head (a body
        in chunks is shorter than what they take)."""
        plain = exchange.refused is None and not exchange.last and len(exchange.body) == len(data) - start
        if plain and len(END) <= start <= HEAD_BYTES_MAX:
            if len(self._heads) >= HEADS_MAX:
                self._heads.clear()
            self._heads[data[:start]] = exchange.head, len(exchange.body)
