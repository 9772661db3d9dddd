def number_of(key: str) -> int | None:
    """The number of a key, given at first sight; None where it has none."""

def numbered() -> list[str]:
    """The keys that have a number, in order of their numbers."""
