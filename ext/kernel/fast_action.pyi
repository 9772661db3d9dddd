from typing import Any, Self, final

from ext.kernel.trait_edits import Edits

@final
class Deed:
    """One action of one step, planned; one for Python to carry out until one of its methods has been called."""

    def __new__(cls, place: int, entry: dict[str, Any]) -> Self:
        """`place` of the action in its step; `entry`: how the trace begins to tell of it."""
    @property
    def place(self) -> int: ...
    @property
    def entry(self) -> dict[str, Any]: ...
    def send(
        self,
        channel: str,
        message: dict[str, Any],
        node: str,
        *,
        address: str | None,
        transactional: bool,
        empty: bool,
    ) -> Self:
        """A message without templates; `address` names the trait it goes to, `empty` says it is none."""
    def points(self, change: int) -> Self: ...
    def segment(self, add: tuple[str, ...], remove: tuple[str, ...]) -> Self:
        """Segments, all different, at most 64."""
    def update(self, edits: Edits) -> Self: ...
    def emit(self, name: str, packed: bytes) -> Self:
        """An event with these properties, a packed map."""
