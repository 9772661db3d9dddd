from typing import Any, final

from engine.model import Effect
from ext.kernel.callbacks import Callbacks
from ext.kernel.contact import Contact
from ext.kernel.event_queue import EventQueue
from ext.kernel.flow import FlowCore
from ext.kernel.recorder import Recorder
from ext.kernel.registry import Registry
from ext.kernel.subscriptions import Subscriptions
from ext.structures.fingerprints import Fingerprints
from ext.structures.name_table import Names

@final
class Core:
    """The state of the compiled kernel, and what its functions share."""

    def __init__(self, key: bytes, callbacks: Callbacks) -> None: ...

    outbox: Any
    """The `engine.kernel.outbox.Outbox`."""
    effects: list[Effect]
    """Effects of the batch."""
    channels: tuple[str, ...] | None
    """Channels that are configured; None: every channel."""

    @property
    def key(self) -> bytes:
        """Key of the data directory, 16 bytes."""

    @property
    def now_ms(self) -> int:
        """Time of the batch, ms UTC."""

    @property
    def registry(self) -> Registry: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def queue(self) -> EventQueue: ...
    @property
    def recorder(self) -> Recorder: ...
    @property
    def names(self) -> Names:
        """Names of the events kept in histories."""

    @property
    def properties(self) -> Names:
        """Names of their numbers."""

    @property
    def recent(self) -> Fingerprints:
        """Ids of the messages seen lately (rule 8)."""

    @property
    def run_count(self) -> int: ...
    @property
    def event_count(self) -> int: ...
    @property
    def duplicate_count(self) -> int: ...
    def close(self) -> None:
        """Break the cycle through the callbacks, so that an engine no longer used is freed at once."""

    def begin(self, now_ms: int) -> int:
        """Begin a batch at `now_ms`, ms UTC."""

    def next_due_ms(self) -> int | None:
        """Return when the next timer is due in ms UTC, or None."""

    def add_flow(self, flow: FlowCore) -> None:
        """Add a flow, under its number. `plan` has to follow."""

    def plan(self) -> None:
        """Find out anew which event each flow asks for, after a flow was added, changed or deleted."""

    def touch(self, contact: Contact) -> int:
        """Call before a contact or one of its runs changes."""

    def wants(self, name: str) -> bool:
        """Whether an event of the engine's own, of this name, may have an effect."""

    def emit(self, contact: Contact, name: str, packed: bytes, depth: int, keep: bool) -> int:
        """Queue an event of the engine's own or of an `emit` action, if it may have an effect (rule 19)."""

    def contact_or_new(self, id: str) -> Contact:
        """Return the contact of an id, created if there is none."""

    def pack(self) -> dict[str, Any]:
        """Return what is neither a contact nor a flow nor a fingerprint, for a snapshot."""

    def unpack(self, packed: dict[str, Any], now_ms: int) -> None:
        """Restore what `pack` returned, at the time when it did."""
