from typing import final

from ext.kernel.subscriptions import Subscriptions

@final
class EventQueue:
    """The queue of the engine's own events."""

    def __new__(cls, subscriptions: Subscriptions) -> EventQueue: ...
    @property
    def cut_count(self) -> int:
        """Chains cut so far (rule 19)."""
