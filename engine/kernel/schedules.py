"""Scheduled launches (rule 11): an occurrence starts a sweep, a sweep enters one slice of contacts per batch.

The start of an occurrence is part of the state and journaled with its batch, so it happens once over restarts. Events
are handled between the slices. A pause, the end of the flow, or a version that launches on events ends its sweeps.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from engine.kernel.flows import plan_occurrence
from engine.kernel.state import FlowState, State, Sweep
from engine.limits import OCCURRENCE_AGE_MS_MAX, SWEEP_CONTACTS_PER_BATCH_MAX
from ext.kernel import batch


def next_due_ms(state: State) -> int | None:
    """Return when the next occurrence is due: the present while a sweep is in progress, None without schedules."""
    if state.sweeps:
        return state.now_ms
    return min((flow.next_ms for flow in state.flows.values() if flow.next_ms is not None), default=None)


def occur(state: State) -> None:
    """Begin the occurrences that are due, in order of (occurrence, flow id), then continue the oldest sweep."""
    now_ms = state.now_ms
    flows = state.flows.items()
    due = [(flow.next_ms, id) for id, flow in flows if flow.next_ms is not None and flow.next_ms <= now_ms]
    heapify(due)
    while due and due[0][0] <= now_ms:
        occurrence_ms, id = heappop(due)
        flow = state.flows[id]
        _begin(state, flow, occurrence_ms)
        if flow.next_ms is not None:
            heappush(due, (flow.next_ms, id))
    budget = SWEEP_CONTACTS_PER_BATCH_MAX
    while state.sweeps and budget > 0:
        budget -= _slice(state, state.sweeps[0], budget)


def _begin(state: State, flow: FlowState, occurrence_ms: int) -> None:
    """Start the sweep of one occurrence, or skip it if it is too old or the flow did not run then."""
    assert flow.core is not None
    state.frozen.touch(flow)
    if flow.core.running(occurrence_ms) and occurrence_ms >= flow.core.start_ms:
        if state.now_ms - occurrence_ms < OCCURRENCE_AGE_MS_MAX:
            state.sweeps.append(Sweep(flow.id, occurrence_ms))
        else:
            flow.skipped += 1
            detail = "A scheduled launch was missed by 24 hours or more and is skipped."
            state.monitor.add(state.now_ms, "occurrence_skipped", detail, contact="", flow=flow.id)
    flow.occurred_ms = occurrence_ms
    plan_occurrence(state, flow, occurrence_ms + 1)


def _slice(state: State, sweep: Sweep, budget: int) -> int:
    """Enter the next contacts. Return how many were examined, at least 1."""
    flow = state.flows.get(sweep.flow)
    if flow is None or flow.core is None or flow.core.events or not flow.core.running(state.now_ms):
        state.sweeps.pop(0)
        return 1
    sweep.after, examined = batch.sweep(state.core, flow.core, sweep.occurrence_ms, sweep.after, budget)
    if sweep.after is None:
        state.sweeps.pop(0)
    return max(1, examined)
