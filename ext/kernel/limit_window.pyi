from typing import Self

class Passages:
    """The passages of one limit node: at no instant more than `max` in `(t - per_ms, t]` (rule 23).

    `per_ms` of -1 is all time. Instants are ms UTC and do not go back: one before the newest passage counts
    as that passage's instant.
    """

    max: int
    per_ms: int
    total: int
    """How many ever passed."""

    def __new__(cls, max: int, per_ms: int = -1) -> Self:
        """ValueError for a negative `max` or a `per_ms` that is neither positive nor -1."""

    def pass_(self, now_ms: int) -> bool:
        """Pass and be recorded, or be refused: False, nothing changes."""

    def count(self, now_ms: int) -> int:
        """How many passages lie in the window that ends at `now_ms`. Changes nothing."""

    def resize(self, max: int, per_ms: int = -1) -> None:
        """Another limit over the same passages: what an edit does. Errors as in the constructor."""

    def pack(self) -> bytes:
        """Everything, the limit included: what `unpack` takes."""

    def unpack(self, data: bytes) -> None:
        """Become what was packed, whatever was held before. ValueError if the bytes cannot be that."""
