"""The state of the reference engine, and the methods that its parts call of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

from tests.reference.conditions import Evaluator

Document = dict[str, Any]
Run = dict[str, Any]
Happened = dict[str, Any]


class ReferencePart(ABC):
    """A part of the reference engine; `tests.reference.interpreter` joins the parts."""

    now: int
    """Virtual time, milliseconds UTC."""
    asked: str
    """The contact that the functions of an expression are about."""
    flows: dict[str, dict[str, Any]]
    contacts: dict[str, dict[str, Any]]
    runs: list[Run]
    pools: dict[str, list[str]]
    queue: deque[dict[str, Any]]
    """Events that the engine emits, not yet handled."""
    other_names: dict[str, str]
    """Alias -> contact id."""
    gates: dict[tuple[str, str], dict[str, Any]]
    """(flow, contact) -> what the frequency rules count."""
    assigned: dict[tuple[str, str, str], str]
    """(flow, node, contact) -> variant of an A/B test."""
    evaluator: Evaluator

    @abstractmethod
    def happen(self, event: dict[str, Any]) -> None:
        """Apply one event to its contact and offer it to runs and flows."""

    @abstractmethod
    def name_of(self, contact: str) -> str:
        """Return the id under which a contact is known now."""

    @abstractmethod
    def running(self, flow: dict[str, Any]) -> bool:
        """Whether a flow is neither paused nor past its end."""

    @abstractmethod
    def advance(self, run: Run, node: str | None) -> None:
        """Take a run on from a node until it waits or ends."""

    @abstractmethod
    def end(self, run: Run, reason: str) -> None:
        """End a run and record why."""

    @abstractmethod
    def variables(self, contact: str, event: dict[str, Any]) -> dict[str, Any]:
        """Return what an expression or a template about a contact sees."""

    @abstractmethod
    def queue_own(self, name: str, contact: str, properties: dict[str, Any], depth: int) -> None:
        """Queue an event of the engine's own; `depth` is that of its cause."""

    @abstractmethod
    def queue_event(
        self, name: str, contact: str, properties: dict[str, Any], depth: int, *, kept: bool
    ) -> None:
        """Queue an event; `kept` puts it into the contact's history."""

    @abstractmethod
    def change_traits(self, contact: str, traits: dict[str, Any], depth: int) -> None:
        """Set traits, null removing one, and queue the events that this causes."""
