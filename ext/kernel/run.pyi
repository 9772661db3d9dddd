from typing import Any, Self, final

from ext.kernel.contact import Contact

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
        """The `ext.kernel.flow.FlowCore`."""

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

def live_runs(contact: Contact) -> list[Run]:
    """Return the runs of a contact that are in progress, in order of their ids."""
