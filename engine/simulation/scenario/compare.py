"""The comparison of what was expected with what happened, and their difference for a person."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec

from ext.wire import instant

Record = dict[str, Any]
CELLS_MAX = 1_000_000
COLUMNS = ("at", "contact", "flow", "node", "what")


def matches(expected: Record, happened: Record) -> bool:
    """Whether a record matches.

    A field left out matches anything; `detail` is compared by the keys given; instants by their value.
    """
    for key, value in expected.items():
        if key == "detail":
            detail = happened.get("detail", {})
            if any(name not in detail or not _same(value[name], detail[name]) for name in value):
                return False
        elif not _same(value, happened.get(key)):
            return False
    return True


def difference(expected: list[Record], happened: list[Record]) -> str:
    """Empty if they match one for one; else every line of both, aligned: `-` was expected, `+` happened."""
    if len(expected) == len(happened) and all(map(matches, expected, happened)):
        return ""
    rows: list[tuple[str, Record]] = []
    for left, right in _aligned(expected, happened):
        if left is not None and right is not None:
            rows.append((" ", right))
        elif left is not None:
            rows.append(("-", left))
        elif right is not None:
            rows.append(("+", right))
    cells = [[*(str(row.get(column, "…")) for column in COLUMNS), _detail(row)] for _, row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["--- expected (… matches anything)", "+++ happened"]
    for (sign, _), row in zip(rows, cells, strict=True):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"{sign} {padded}".rstrip())
    return "\n".join(lines)


def _aligned(left: list[Record], right: list[Record]) -> list[tuple[Record | None, Record | None]]:
    """Align two sequences: pairs that match and, between them, what stands alone (longest common sequence)."""
    if len(left) * len(right) > CELLS_MAX:
        return [pair for one, other in zip_longest(left, right) for pair in _beside(one, other)]
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            lengths[i][j] = (
                lengths[i + 1][j + 1] + 1
                if matches(left[i], right[j])
                else max(lengths[i + 1][j], lengths[i][j + 1])
            )
    pairs: list[tuple[Record | None, Record | None]] = []
    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right) and matches(left[i], right[j]):
            pairs.append((left[i], right[j]))
            i, j = i + 1, j + 1
        elif j == len(right) or (i < len(left) and lengths[i + 1][j] >= lengths[i][j + 1]):
            pairs.append((left[i], None))
            i += 1
        else:
            pairs.append((None, right[j]))
            j += 1
    return pairs


def _beside(one: Record | None, other: Record | None) -> list[tuple[Record | None, Record | None]]:
    if one is not None and other is not None and matches(one, other):
        return [(one, other)]
    return [pair for pair in ((one, None), (None, other)) if pair != (None, None)]


def _detail(row: Record) -> str:
    detail = row.get("detail")
    return msgspec.json.encode(detail).decode() if detail else ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str) and one != other:
        try:
            return instant.parse(one) == instant.parse(other)
        except ValueError:
            return False
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
