"""A contact's history as a list of events a name (rule 10)."""

from __future__ import annotations

from math import nan

from engine.limits import (
    HISTORY_EVENTS_PER_NAME_MAX,
    HISTORY_NUMBERS_PER_EVENT_MAX,
    HISTORY_PROPERTIES_PER_NAME_MAX,
)

Event = tuple[int, dict[str, float]]


class ReferenceHistory:
    """The newest events of each name with their numbers, in order of time and, at one instant, of arrival."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = {}

    def remember(self, name: str, at_ms: int, numbers: dict[str, float]) -> None:
        kept = self.events.setdefault(name, [])
        if len(kept) == HISTORY_EVENTS_PER_NAME_MAX:
            if at_ms < kept[0][0]:
                return
            del kept[0]
        known = {property for _, before in kept for property in before}
        taken: dict[str, float] = {}
        for property, number in list(numbers.items())[:HISTORY_NUMBERS_PER_EVENT_MAX]:
            if len(known | {property}) <= HISTORY_PROPERTIES_PER_NAME_MAX:
                known.add(property)
                taken[property] = number
        place = sum(at <= at_ms for at, _ in kept)
        kept.insert(place, (at_ms, taken))

    def packed(self) -> dict[str, tuple[list[int], dict[str, list[float]]]]:
        """Return, for each name, the instants and the numbers of each numeric property, NaN where an event has none."""
        return {
            name: (
                [at for at, _ in kept],
                {
                    property: [numbers.get(property, nan) for _, numbers in kept]
                    for property in {property for _, numbers in kept for property in numbers}
                },
            )
            for name, kept in self.events.items()
        }
