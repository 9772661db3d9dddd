"""What a channel raises when the world is not ready."""

from __future__ import annotations


class TryLater(Exception):
    """The effect could not be handed over now; `after_s`: when to try again, if the other side said so."""

    def __init__(self, detail: str, *, after_s: float | None = None) -> None:
        super().__init__(detail)
        self.after_s = after_s
