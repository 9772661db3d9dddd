def use_large_pages() -> bool:
    """From now on Python's small objects are placed in large pages where the system gives them. False: not on this one."""
