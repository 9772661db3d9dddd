from typing import Any

from ext.kernel.core import Core
from ext.kernel.flow import FlowCore

def open_batch(core: Core, now_ms: int, timers_max: int, reaped_max: int) -> int:
    """Begin a batch at `now_ms`: due timers first, then runs that a launch removed, then held ones."""

def fire(core: Core, limit: int) -> int:
    """Let runs whose waits have ended go on, in (due, run id) order; return how many, at most `limit`."""

def take_events(core: Core, inputs: list[Any], start: int) -> int:
    """Process inputs from `start` up to the first that is not an event. Return its index."""

def remove_flow(core: Core, flow: FlowCore, reason: int) -> None:
    """Remove a flow. Its runs end with the number of a reason, and with the last one it is gone."""

def end_runs_at(core: Core, flow: FlowCore, node: int, reason: int) -> int:
    """Doom every run that is at a node now: it takes no further step, and `reap` ends it. Return how many are new."""

def reap(core: Core, limit: int) -> int:
    """End doomed runs, node by node, in order of arrival; return how many, at most `limit`."""

def release_held(core: Core, limit: int) -> int:
    """Let held runs leave whose flows go on (rule 28); return how many, at most `limit`."""

def is_releasing(core: Core) -> bool:
    """Whether held runs are still to leave at this instant."""

def sweep(
    core: Core, flow: FlowCore, occurrence_ms: int, after: str | None, limit: int
) -> tuple[str | None, int]:
    """Enter contacts in order of id, behind the id `after` (rule 11).

    Return the id to go on behind, None when all were looked at, and how many were."""
