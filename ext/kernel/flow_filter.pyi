from typing import final

from ext.kernel.flow import FlowCore

@final
class Matcher:
    """Rules flows out by the clauses of their `where`."""

    def __init__(self, flows: tuple[FlowCore, ...]) -> None: ...
    @property
    def flows(self) -> tuple[FlowCore, ...]: ...
    def __len__(self) -> int:
        """How many distinct clauses there are."""
