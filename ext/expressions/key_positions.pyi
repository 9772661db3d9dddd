class ReadKey:
    """A key of a root map (0 traits, 1 properties, 2 variables) as long as some plan reads it."""

    def __init__(self) -> None: ...
