from collections.abc import Callable, Iterator
from typing import Any, final

from ext.event import Event
from ext.fingerprints import Fingerprints
from ext.passages import Passages
from ext.predicate import Plan, View
from ext.records import Contact, Run
from ext.wheel import Wheel

WHATS: tuple[str, ...]
"""What may happen to a run, in the order of the counters."""
REASONS: tuple[str, ...]
"""Why a run may leave."""
KINDS: tuple[str, ...]
MODES: tuple[str, ...]
GATES: tuple[str, ...]

def pack_object(json: bytes) -> bytes:
    """A JSON object as MessagePack; integers beyond 64 bits become doubles."""

def unpacked_json(packed: bytes) -> bytes:
    """A MessagePack map as JSON."""

class NodeCore:
    """A node of the running version, its edges as numbers (-1: the run ends)."""

    def __init__(self, flow: FlowCore, planned: Any, salt: bytes) -> None: ...
    @property
    def no(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def next(self) -> int: ...
    @property
    def other(self) -> int: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def planned(self) -> Any:
        """The `engine.flow.program.PlannedNode`."""

    @property
    def windows(self) -> tuple[Any, ...]: ...
    @property
    def branches(self) -> list[tuple[str, int, int]]: ...
    @property
    def passages(self) -> Passages: ...
    @property
    def match_events(self) -> tuple[str, ...]: ...

class FlowCore:
    """A flow as it runs: the active version's nodes, and what is kept over versions by node id."""

    paused_ms: int
    """Since when it is paused; the largest 64-bit integer: not paused."""

    def __init__(self, no: int, id: str) -> None: ...
    @property
    def no(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def program(self) -> Any:
        """The `engine.flow.program.Program`."""

    @property
    def nodes(self) -> list[NodeCore | None]: ...
    @property
    def ids(self) -> list[str]: ...
    @property
    def numbers(self) -> dict[str, int]: ...
    @property
    def passages(self) -> dict[int, Passages]: ...
    @property
    def branches(self) -> dict[tuple[int, str], int]: ...
    @property
    def trials(self) -> dict[tuple[int, str], list[int]]:
        """Totals of A/B tests by (node number, variant): contacts, conversions, orders, revenue in hundredths, and
        the sums over contacts of orders², revenue² and orders x revenue (rule 22)."""

    @property
    def trials_began(self) -> dict[int, int]:
        """The first arrival at an A/B test, ms UTC, by node number."""

    @property
    def events(self) -> tuple[str, ...]: ...
    @property
    def exit_events(self) -> tuple[str, ...]: ...
    @property
    def listens(self) -> bool:
        """Events concern its runs: `exit_when`, or a wait with `until_event`."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def hold(self) -> bool: ...
    @property
    def held(self) -> Any:
        """SortedList of (due, run id): runs kept while the flow is paused."""

    def number(self, id: str | None) -> int: ...
    def passages_of(self, no: int, max: int, per_ms: int) -> Passages: ...
    def know(self, id: str) -> None:
        """Give a node id its number, for ever."""

    def install(self, program: Any, version: int, salt_of: Callable[[str, str], bytes]) -> list[int]:
        """Run this version from now on; the numbers of waits with runs that are gone from it (rule 27)."""

    def set_schedule(self, start_ms: int | None, end_ms: int | None) -> None: ...
    def running(self, ms: int) -> bool:
        """Whether it takes entries at an instant (rules 9, 28)."""

    def runs_waiting(self, node: int, after: int, most: int) -> list[Run]:
        """Runs at a node in order of arrival, those that arrived after `after`, at most so many."""

    def waiting_by_node(self) -> dict[str, int]: ...
    def ending(self) -> bool:
        """Whether runs of it are still to be ended."""

    @property
    def dead(self) -> bool:
        """Deleted; its runs are still being ended."""

    def count(self, node: int, what: int) -> int: ...
    def stats(self) -> dict[str, dict[str, Any]]:
        """Numbers per node, in the shape of the stats API."""

    def pack(self) -> dict[str, Any]: ...
    def unpack(self, packed: dict[str, Any]) -> None: ...
    def unpack_times(self, packed: dict[str, Any]) -> None: ...

class ContactView(View): ...

@final
class Path:
    """All contacts, all runs, and the way of an event through them."""

    trace: list[Any] | None

    def __init__(self, key: bytes, host: Any) -> None: ...
    @property
    def key(self) -> bytes: ...
    @property
    def contacts(self) -> dict[str, Contact]:
        """By id; an alias leads to the contact it belongs to."""

    @property
    def order(self) -> list[Contact | None]:
        """In order of creation; None where one was deleted."""

    @property
    def ids(self) -> Any:
        """SortedList of contact ids."""

    @property
    def runs(self) -> dict[int, Run]:
        """Waiting runs, by id."""

    @property
    def wheel(self) -> Wheel: ...
    @property
    def recent(self) -> Fingerprints: ...
    @property
    def names(self) -> dict[str, int]: ...
    @property
    def properties(self) -> dict[str, int]: ...
    @property
    def flows(self) -> dict[int, FlowCore]: ...
    @property
    def now_ms(self) -> int: ...
    @property
    def digest(self) -> int: ...
    @property
    def run_count(self) -> int: ...
    @property
    def event_count(self) -> int: ...
    @property
    def duplicate_count(self) -> int: ...
    @property
    def cut_count(self) -> int: ...
    def close(self) -> None: ...
    def begin(self, now_ms: int) -> None: ...
    def next_due_ms(self) -> int | None: ...
    def fire(self, limit: int) -> int:
        """Let runs whose waits have ended go on, in (due, run id) order; how many there were."""

    def take(self, event: Event) -> None:
        """One input of a contact and all it gives rise to."""

    def drain(self) -> None: ...
    def emit(self, contact: Contact, name: str, packed: bytes, depth: int, keep: bool) -> None:
        """Queue an event; deeper than the bound it is cut (rule 19). `keep`: into the history."""

    def contact(self, id: str) -> Contact | None: ...
    def contact_or_new(self, id: str) -> Contact: ...
    def touch(self, contact: Contact) -> None:
        """Call before a contact changes."""

    def merge(self, contact: Contact, previous: Contact) -> None: ...
    def forget(self, contact: Contact) -> None: ...
    def set_alias(self, alias: str, contact: Contact | None) -> None: ...
    def unset_alias(self, alias: str) -> None: ...
    def end_runs(self, contact: Contact, reason: int) -> None: ...
    def add_flow(self, flow: FlowCore) -> None: ...
    def remove_flow(self, flow: FlowCore, reason: int) -> None: ...
    def end_runs_at(self, flow: FlowCore, node: int, reason: int) -> int:
        """Every run at a node is doomed: it takes no further step, and `reap` ends it. How many."""

    def reap(self, limit: int) -> int:
        """End doomed runs in order of arrival, at most `limit`; how many there were."""

    @property
    def dooms(self) -> Any:
        """`(flow number, node)` whose doomed runs are still being ended."""

    @property
    def arrival_count(self) -> int: ...
    def plan_triggers(self) -> None: ...
    def release(self, limit: int) -> int:
        """Held runs of flows that go on leave, at most `limit`; how many there were (rule 28)."""

    def releasing(self) -> bool:
        """Whether held runs are still to leave at this instant."""

    @property
    def holding(self) -> dict[int, FlowCore]:
        """Flows with held runs, by number."""

    def reach_goals(self, contact: Contact, name: str, ms: int, packed: bytes) -> None:
        """Rule 22: count a goal event."""

    def has_run(self, flow: FlowCore, contact: Contact, key: str | None) -> bool:
        """Whether a run of this `run_key` is in progress."""

    def entry(self, flow: FlowCore, contact: Contact) -> tuple[str, int | None]:
        """What refuses an entry now ("" for nothing), and from when on it may be."""

    def sweep(self, flow: FlowCore, occurrence_ms: int, after: str | None, limit: int) -> str | None:
        """Rule 11: enter contacts in order of id, behind `after`; the id to go on behind, None at the end."""

    def mix(self, value: int) -> None: ...
    def snapshot(self, full: bool) -> list[str]:
        """Start a snapshot; the ids deleted since the one before."""

    def snapshot_part(self, records_max: int) -> list[tuple[str, bytes]] | None:
        """The next contacts as `(id, packed)`, about `records_max`; None when all were given."""

    def abandon_snapshot(self) -> None: ...
    def all_packed(self) -> Iterator[bytes]: ...
    def restore(self, packed: bytes) -> None: ...
    def restored_all(self) -> None:
        """After the last `restore`."""

    def pack(self) -> dict[str, Any]: ...
    def unpack(self, packed: dict[str, Any], now_ms: int) -> None: ...
