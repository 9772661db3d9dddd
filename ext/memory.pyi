def use_large_pages() -> bool:
    """From now on Python's small objects are placed in large pages where the system gives them. False: it has none."""

def give_back() -> None:
    """Return memory that was freed and is kept for reuse to the system, where it can be: after much work of a kind."""
