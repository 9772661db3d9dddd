"""Answers to what the compiled kernel asks of Python: actions, dates, windows, traits (`ext.kernel.callbacks`)."""

from __future__ import annotations

from typing import Any

from engine.flow.document import Wait, Window
from engine.flow.zone import leaving
from engine.kernel import contacts
from engine.kernel.actions import Act
from engine.kernel.state import State
from engine.kernel.wait_ends import date_of, zone_of
from engine.limits import REVENUE_MAX
from engine.model import TRACE_WORDS
from ext.expressions.plan import EvaluationError, Plan, View
from ext.kernel.callbacks import Callbacks
from ext.kernel.contact import Contact
from ext.kernel.flow import FlowCore, NodeCore
from ext.kernel.run import Run

_WHAT = {name: code for code, name in enumerate(TRACE_WORDS)}


class KernelCallbacks(Callbacks):
    """The callbacks of one engine. Each method does what its base says."""

    state: State

    def act(self, run: Run, node: NodeCore, place: int) -> tuple[int, dict[str, str]]:
        """Carry out one action of a step; the code of its outcome and its entry in the trace."""
        entry = Act(self.state, run, node.planned, run.flow.program).entry(place)
        return _WHAT[entry["outcome"]], entry

    def date_of(self, run: Run, node: NodeCore, view: View) -> int | None:
        """Return the end of a dynamic wait; an expression that fails has no date (rule 5)."""
        wait = node.planned.node
        assert isinstance(wait, Wait)
        assert wait.until is not None
        try:
            value = node.plan.value(view)
        except EvaluationError:
            return None
        return date_of(value, wait.until, self._zone(run.contact, run.flow))

    def opening(self, contact: Contact, flow: FlowCore, windows: tuple[Window, ...], ms: int) -> int:
        return leaving(windows, self._zone(contact, flow), ms)

    def _zone(self, contact: Contact, flow: FlowCore) -> Any:
        return zone_of(contacts.traits_of(contact), flow.program.flow.timezone)

    def identify(self, contact: Contact, packed: bytes) -> None:
        contacts.identify(self.state, contact, packed)

    def alias(self, contact: Contact, previous: str) -> None:
        contacts.alias(self.state, contact, previous)

    def key_of(self, plan: Plan, view: View) -> str | None:
        """Return the value of `run_key`: texts and whole numbers are keys, anything else and errors are not."""
        try:
            value = plan.value(view)
        except EvaluationError:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return str(value)

    def worth_of(self, plan: Plan, view: View) -> int:
        """Return revenue in hundredths of the currency unit; 0 for anything but a number (rule 22)."""
        try:
            value = plan.value(view)
        except EvaluationError:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < REVENUE_MAX:
            return 0
        return round(value * 100)

    def available(self, pool: str) -> int:
        return self.state.pools.available(pool)

    def cut(self, contact: Contact, event: str) -> None:
        """Record that a chain was cut (rule 19)."""
        detail = f"The event {event} ended a chain of flows that launch each other."
        self.state.monitor.add(self.state.now_ms, "chain_cut", detail, contact=contact.id)
