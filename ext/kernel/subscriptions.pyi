from typing import final

from ext.kernel.flow import FlowCore
from ext.structures.name_table import Names

@final
class Subscriptions:
    """Flows, A/B tests and runs, by the events that they ask for."""

    def __new__(cls, names: Names) -> Subscriptions: ...

    matched_from: int
    """Flows of one event name from which they are tried through an `ext.kernel.flow_filter.Matcher`."""

    def plan(self, flows: dict[int, FlowCore]) -> None:
        """Find out what each of these flows asks for. Paused ones stay in: events skip them."""

    def wants(self, name: str) -> bool:
        """Whether an event of this name may have an effect, for an event of the engine's own."""
