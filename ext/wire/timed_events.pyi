from typing import Any

def with_timestamps(events: list[Any]) -> tuple[list[tuple[int, Any]], int]:
    """Return `([(timestamp in ms, event)], -1)`. Stop at the first event without a timestamp, and return its index."""

def first_disorder(timed: list[tuple[int, Any]], after_ms: int) -> int:
    """Return the index of the first pair that is earlier than the one before it, or than `after_ms`; -1 if all are in
    order."""
