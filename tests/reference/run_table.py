"""Runs by id in one list, searched from end to end."""

from __future__ import annotations

from ext.kernel.run import Run


class ReferenceRunTable:
    """Slow twin of `ext.kernel.run_table.RunTable`."""

    def __init__(self) -> None:
        self.all: list[Run] = []

    def get(self, id: int) -> Run | None:
        return next((run for run in self.all if run.id == id), None)

    def add(self, run: Run) -> None:
        self.all.append(run)

    def remove(self, run: Run) -> None:
        self.all = [one for one in self.all if one is not run]

    def __len__(self) -> int:
        return len(self.all)
