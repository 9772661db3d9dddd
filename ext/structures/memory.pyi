def use_large_pages() -> bool:
    """From now on Python's small objects are placed in large pages where the system gives them. False: it has none."""

def wants_touch() -> bool:
    """Whether the pages that small objects will be placed in next are still to be taken."""

def touch_ahead() -> None:
    """Take the next 8 MiB of them. Without the interpreter's lock, in any thread, one at a time."""

def keep_freed() -> bool:
    """From now on what C code frees is kept for what it asks for next. False: the C library cannot be told to."""

def give_back() -> None:
    """Return memory that was freed and is kept for reuse to the system, where it can be: after much work of a kind."""
