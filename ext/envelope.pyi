from collections.abc import Callable
from typing import TypeVar

from ext.event import Event

Other = TypeVar("Other")

def read_lines(data: bytes, otherwise: Callable[[bytes], Other | None]) -> list[Event | Other] | None:
    """What each of the whole lines of `data` is: the event of a plain one; else what `otherwise` makes of the line.
    None as soon as that is None. Safe on any bytes."""

def count_lines(data: bytes) -> int:
    """How many newlines there are; five times as fast as `bytes.count`."""
