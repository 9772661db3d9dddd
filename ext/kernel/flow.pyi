from collections.abc import Callable
from typing import Any, Self, final

from ext.expressions.plan import Plan
from ext.kernel.fast_action import Deed
from ext.kernel.limit_window import Passages
from ext.kernel.run import Run
from ext.kernel.trial_totals import TrialTotals

@final
class NodeCore:
    """A node of the running version, its edges as numbers (-1: the run ends)."""

    def __init__(self, flow: FlowCore, planned: Any, salt: bytes, deeds: tuple[Deed, ...]) -> None: ...
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
    def deeds(self) -> tuple[Deed, ...]:
        """The actions of a step."""
    @property
    def planned(self) -> Any:
        """The `engine.flow.program.PlannedNode`."""

    @property
    def windows(self) -> tuple[Any, ...]: ...
    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the branches or variants."""

    @property
    def passages(self) -> Passages: ...
    @property
    def match_events(self) -> tuple[str, ...]: ...

@final
class FlowCore:
    """A flow as it runs: the active version's nodes, and what is kept over versions by node id."""

    paused_ms: int
    """Since when it is paused; the largest 64-bit integer: not paused."""

    def __new__(cls, no: int, id: str) -> Self: ...
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
    def branches(self) -> dict[tuple[int, str], int]:
        """How many took (node number, branch name), in order; none that nobody took."""

    @property
    def trials(self) -> dict[tuple[int, str], TrialTotals]:
        """Totals of A/B tests (rule 22), by (node number, variant)."""

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
    def place_of(self, no: int, name: str) -> int:
        """Where it is counted how many took a branch."""

    def know(self, id: str) -> None:
        """Give a node id its number, for ever."""

    def install(
        self,
        program: Any,
        version: int,
        salt_of: Callable[[str, str], bytes],
        deeds_of: Callable[[Any], tuple[Deed, ...]],
    ) -> list[int]:
        """Run this version from now on; the numbers of waits with runs that are gone from it (rule 27)."""

    def count_trial(self, node: NodeCore, chosen: str, now_ms: int) -> None:
        """A contact has come to an A/B test for the first time (rule 22)."""

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

    def freeze(self) -> None:
        """A snapshot begins: `frozen_pack` is to give what `pack` would give now."""
    def frozen_pack(self) -> dict[str, Any]:
        """What `pack` gave when `freeze` was called; once."""
    def pack(self) -> dict[str, Any]: ...
    def unpack(self, packed: dict[str, Any]) -> None: ...
    def unpack_times(self, packed: dict[str, Any]) -> None: ...
