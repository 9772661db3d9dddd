from typing import Self, final

@final
class Contact:
    """A contact in memory. Only the kernel changes it, after `Registry.touch`."""

    traits: bytes
    """MessagePack map."""
    segments: tuple[str, ...]
    """Ids, sorted."""
    points: int

    def __new__(cls, id: str, created_ms: int) -> Self: ...
    @property
    def id(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]:
        """Further ids that lead here."""

    @property
    def created_ms(self) -> int: ...
    @property
    def trials(self) -> dict[int, Trial] | None:
        """A/B tests that the contact came to, by `flow << 32 | node`."""

    def events(self) -> list[tuple[int, int, int]]:
        """Return `(name number, events kept, latest timestamp)`, in order of the name's number (rule 10)."""

    def frequency(self) -> list[tuple[int, int, int, bool, int | None]]:
        """Return `(flow number, launches, reserved, once, last_ms)`, in order of the flow's number (rules 12 to 15)."""

    def ended_runs(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """Return `(run, flow number, version, node number, entered_ms, left_ms, reason)`, oldest first."""

    def packed_trials(self) -> list[tuple[int, tuple[str, int, int, str]]]:
        """Return `(place, Trial.packed())` of each A/B test, in order of their places."""

    def packed_history(self) -> list[tuple[int, list[int], list[tuple[int, list[float]]]]]:
        """Return `(name number, instants, [(property number, numbers, NaN where an event had none)])`, in order."""

@final
class Trial:
    """A contact in an A/B test (rules 21, 22)."""

    def __init__(self, variant: str, first_ms: int, orders: int, revenue: int) -> None: ...
    @property
    def variant(self) -> str:
        """Variant drawn for the contact."""

    @property
    def first_ms(self) -> int:
        """First arrival at the test, ms UTC."""

    @property
    def orders(self) -> int:
        """Goal events since, within the window."""

    @property
    def revenue(self) -> int:
        """Revenue of these, in hundredths of the currency."""

    def packed(self) -> tuple[str, int, int, str]:
        """Return `(variant, first_ms, orders, revenue as text)`, the form in snapshots."""
