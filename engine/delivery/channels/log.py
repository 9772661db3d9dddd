"""The channel `log`: a readable line per message, for a first look and for development."""

from __future__ import annotations

import sys
from typing import TextIO

import msgspec

from engine.model import Effect, Receipt
from ext.wire import instant

LINE_CHARACTERS_MAX = 1_000


class Log:
    """Writes each effect as a line on `stream` (standard error if None) and calls it delivered."""

    workers = 1

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def deliver(self, effect: Effect) -> Receipt:
        print(line_of(effect), file=self._stream or sys.stderr, flush=True)
        return Receipt(effect.id, "delivered")


def line_of(effect: Effect) -> str:
    """`2026-08-10T13:00:00Z email to a@b.c: {"subject":"Hi"} (contact c1, flow cart v1, node n1, effect x)`.

    Whatever contacts put into a message, it stays one line and sends no control characters to a terminal.
    """
    address = effect.address if isinstance(effect.address, str) else _json(effect.address)
    to = f" to {address}" if effect.address is not None else ""
    origin = f"contact {effect.contact}, flow {effect.flow} v{effect.version}, node {effect.node}"
    message = _json(effect.message)
    if len(message) > LINE_CHARACTERS_MAX:
        message = f"{message[:LINE_CHARACTERS_MAX]}…"
    line = f"{instant.format(effect.at)} {effect.channel}{to}: {message} ({origin}, effect {effect.id})"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
