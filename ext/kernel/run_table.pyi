from typing import Self, final

from ext.kernel.run import Run

@final
class RunTable:
    """Runs by id. Holds the runs; grows without ever holding the loop."""

    def __new__(cls) -> Self: ...
    def get(self, id: int) -> Run | None: ...
    def add(self, run: Run) -> None:
        """Of an id that is not there yet."""

    def remove(self, run: Run) -> None: ...
    def __len__(self) -> int: ...
    @property
    def bytes_used(self) -> int:
        """Memory of the slots."""
