from typing import Any, final

from ext.kernel.flow import FlowCore
from ext.kernel.records import Contact
from ext.kernel.walk import Walk
from ext.structures.fingerprints import Fingerprints

def unpacked_json(packed: bytes) -> bytes:
    """A MessagePack map as JSON."""

@final
class Path(Walk):
    """All contacts, all runs, and the way of an event through them."""

    def __init__(self, key: bytes, host: Any) -> None: ...
    matched_from: int
    """Flows of one event name from which they are tried through an `ext.kernel.flow_filter.Matcher`."""
    @property
    def recent(self) -> Fingerprints: ...
    @property
    def event_count(self) -> int: ...
    @property
    def duplicate_count(self) -> int: ...
    @property
    def cut_count(self) -> int: ...
    def close(self) -> None: ...
    def begin(self, now_ms: int) -> int: ...
    def next_due_ms(self) -> int | None: ...
    def fire(self, limit: int) -> int:
        """Let runs whose waits have ended go on, in (due, run id) order; how many there were."""
    def take_all(self, inputs: list[Any], start: int) -> int:
        """The events of a batch from `start` on, up to the first input that is none; where that is."""

    def drain(self) -> None: ...
    def add_flow(self, flow: FlowCore) -> None: ...
    def remove_flow(self, flow: FlowCore, reason: int) -> None: ...
    def end_runs_at(self, flow: FlowCore, node: int, reason: int) -> int:
        """Every run at a node is doomed: it takes no further step, and `reap` ends it. How many."""
    def reap(self, limit: int) -> int:
        """End doomed runs in order of arrival, at most `limit`; how many there were."""
    @property
    def dooms(self) -> Any:
        """`(flow number, node)` whose doomed runs are still being ended."""
    def plan_triggers(self) -> None: ...
    def release(self, limit: int) -> int:
        """Held runs of flows that go on leave, at most `limit`; how many there were (rule 28)."""
    def releasing(self) -> bool:
        """Whether held runs are still to leave at this instant."""
    def has_run(self, flow: FlowCore, contact: Contact, key: str | None) -> bool:
        """Whether a run of this `run_key` is in progress."""
    def sweep(
        self, flow: FlowCore, occurrence_ms: int, after: str | None, limit: int
    ) -> tuple[str | None, int]:
        """Rule 11: enter contacts in order of id, behind `after`; the id to go on behind (None at the end), and how
        many were looked at."""
    def pack(self) -> dict[str, Any]: ...
    def unpack(self, packed: dict[str, Any], now_ms: int) -> None: ...
