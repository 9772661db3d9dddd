from typing import Self

class Names:
    """Names and their numbers, at most `most` of them. `seed` is of the hash alone."""

    texts: list[str]
    """The names by number. Not to be changed."""

    def __new__(cls, most: int, seed: int = 0) -> Self: ...
    def __len__(self) -> int: ...
    def get(self, text: str) -> int | None:
        """The number of a name, or None."""

    def give(self, text: str) -> int | None:
        """The number of a name, given at first sight; None when there are as many as there may be."""

    def take(self, texts: list[str]) -> None:
        """Into a fresh table: the names of another one, by number."""

    def grow(self) -> None:
        """Twice the room; it does so by itself."""
