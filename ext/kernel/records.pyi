from typing import Any, Self, final

@final
class Contact:
    """What the engine holds of a contact. Changed by the path and the kernel only, after `Path.touch`."""

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
    def trials(self) -> dict[int, tuple[str, int, int, int]] | None:
        """`(variant, first arrival ms, orders, revenue in hundredths)` of an A/B test by `flow << 32 | node`."""

    def events(self) -> list[tuple[int, int, int]]:
        """`(name number, events kept, latest timestamp)`, in order of the name's number (rule 10)."""

    def frequency(self) -> list[tuple[int, int, int, bool, int | None]]:
        """`(flow number, launches, reserved, once, last_ms)`, in order of the flow's number (rules 12 to 15)."""

    def ended_runs(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """`(run, flow number, version, node number, entered_ms, left_ms, reason)`, oldest first."""

    def live_runs(self) -> list[Run]:
        """Runs in progress, in order of their ids."""

    def packed_trials(self) -> list[tuple[int, tuple[int, int, int, str]]]: ...
    def packed_history(self) -> list[tuple[int, list[int], list[tuple[int, list[float]]]]]:
        """`(name number, instants, [(property number, numbers, NaN where an event had none)])`, in order."""

@final
class Run:
    """One contact's passage through one flow."""

    def __new__(cls, id: int = 0) -> Self: ...

    logical_ms: int
    """Rule 2."""
    codes: dict[str, str] | None
    """Promo codes issued in it, by name."""

    @property
    def id(self) -> int: ...
    @property
    def contact(self) -> Contact: ...
    @property
    def flow(self) -> Any:
        """The `ext.kernel.core.FlowCore`."""

    @property
    def version(self) -> int:
        """The version that it entered."""

    @property
    def node(self) -> int:
        """Number of the node where it waits."""

    @property
    def entered_ms(self) -> int: ...
    @property
    def due_ms(self) -> int:
        """The end of its wait, ms UTC."""

    @property
    def arrival(self) -> int:
        """Its place among all arrivals at waits."""

    @property
    def armed(self) -> bool:
        """Whether it has a timer."""

    @property
    def counted(self) -> bool:
        """Whether a step of it counted (rule 13)."""

    @property
    def depth(self) -> int:
        """How deep in a chain it is (rule 19)."""

    @property
    def event_name(self) -> str | None:
        """The event that it entered by; None for a schedule."""

    @property
    def event_ms(self) -> int: ...
    @property
    def properties(self) -> bytes | None:
        """MessagePack map."""

    @property
    def key(self) -> str | None:
        """The value of the flow's `run_key` when it entered."""

    @property
    def satisfied(self) -> bool:
        """The event that it waits for has come while its flow was paused."""

    @property
    def acted(self) -> bytes | None:
        """Numbers of the steps that it carried out, 4 bytes each."""
