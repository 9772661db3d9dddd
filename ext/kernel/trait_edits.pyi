from typing import Any, final

EDITS_MAX: int

@final
class Edits:
    """Literal changes to a packed map, planned."""

    def __init__(self, changes: dict[str, Any], sums: dict[str, int | float]) -> None:
        """`changes` by name (None takes the key away) and numbers to add to the values under other names."""
    @property
    def names(self) -> tuple[str, ...]: ...
    def apply(self, map: bytes) -> tuple[bytes, list[str]] | None:
        """The map afterwards and the names whose values changed, sorted; None where that is for Python to decide."""
