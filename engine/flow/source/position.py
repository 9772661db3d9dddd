"""Where a value stands in a file."""

from __future__ import annotations

import msgspec


class Position(msgspec.Struct, frozen=True):
    """Lines and columns from 1. `line`, `column` are those of the key, where the value has one, else its own.

    `style` is how the text of a value is written: `"` or `'` in quotes, `|` as a block, `>` folded, "" plain.
    """

    line: int
    column: int
    value_line: int
    value_column: int
    style: str = ""

    def inside(self, line: int, column: int) -> tuple[int, int]:
        """The place in the file of a place in the value's text; only the line where columns have moved."""
        if self.style in ("|", ">"):
            return (self.value_line + line, 1) if self.style == "|" else (self.value_line + 1, 1)
        if line == 1:
            return self.value_line, self.value_column + column - 1 + len(self.style)
        return self.value_line, self.value_column
