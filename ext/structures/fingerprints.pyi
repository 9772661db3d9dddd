from typing import Self

class Fingerprints:
    """The newest `capacity` different 64-bit fingerprints, in order of adding (rule 8).

    One that is there already is not made younger by being added again. Memory grows with use.
    """

    capacity: int

    def __new__(cls, capacity: int, slack: int = 0) -> Self:
        """`slack`: so many forgotten ones stay readable for `held_part`. ValueError where `capacity` is less than 1
        or `slack` less than 0."""

    def add(self, fingerprint: int) -> bool:
        """Remember it, forgetting the oldest beyond `capacity`; False, and nothing changes, if known."""

    def __contains__(self, fingerprint: int, /) -> bool: ...
    def __len__(self) -> int: ...
    @property
    def mark(self) -> int:
        """How many were ever added to this object: the place from which a later `pack_since` goes on."""

    @property
    def bytes_used(self) -> int:
        """Memory of the ring and the table, in bytes."""

    def pack_since(self, mark: int) -> bytes:
        """Those added since `mark` was read and still remembered, oldest first, 8 little-endian bytes each.
        `pack_since(0)` gives all. ValueError for a mark that has not been reached."""

    def hold(self, mark: int) -> bool:
        """From now on `held_part` gives, in slices, what `pack_since(mark)` would give now, whatever is added
        meanwhile. One at a time: another `hold` ends the former. ValueError for a mark that has not been reached.

        True where that fills the memory: its slices are then to be unpacked after `forget`."""

    def held_part(self, most: int) -> bytes | None:
        """The next ones held, at most `most`; None when all were given."""

    def let_go(self) -> None:
        """Hold nothing any more."""

    def forget(self) -> None:
        """Everything; marks start again at 0."""

    def unpack(self, data: bytes) -> None:
        """Add what `pack_since` gave, in its order: a base, then its deltas bring back the same memory (of one
        with the same capacity). Marks read before are void afterwards. ValueError if the length is not a
        multiple of 8."""
