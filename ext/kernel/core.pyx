"""The compiled kernel: one object that owns its parts, and functions over it.

    Core ─┬─ registry        contacts, waiting runs, timers, flows       ── snapshot  contacts as they were
          ├─ subscriptions   which flows, A/B tests and runs ask for an event
          ├─ queue           events that the engine itself gives rise to
          ├─ recorder        counters, digest, trace
          ├─ view            the contact and the event that an expression sees
          └─ callbacks       what is rare, asked of Python (`engine.kernel.callbacks`)

    fast_forward ─▶ batch ─▶ event_path ─▶ walk ─▶ steps ─▶ core        functions; calls go from left to right

`batch` begins a batch, fires its timers and takes its events. `event_path` follows an event: contact, history, A/B
tests, runs that wait for it, flows that it launches. `walk` moves a run from node to node, `steps` carries out the
actions of a step. None of them keeps anything: all state is in the parts above.

Time is an input (`begin`). The core decides nothing about actions with templates, dates, zones or documents.

Invariant: outside of a batch the queue is empty, and every waiting run has a timer or is held.

Rejected: one object in four files by inheritance, which is how this began. Every function saw every field, and the
lower files called upward through methods without a body.
"""

cimport cython
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint64_t

from ext.kernel.callbacks cimport Callbacks
from ext.kernel.contact cimport Contact
from ext.kernel.contact_view cimport ContactView
from ext.kernel.event_queue cimport EventQueue
from ext.kernel.flow cimport FlowCore
from ext.kernel.recorder cimport Recorder
from ext.kernel.registry cimport Registry
from ext.kernel.subscriptions cimport Subscriptions
from ext.maps.packed_map cimport Kept
from ext.structures.fingerprints cimport Fingerprints
from ext.structures.name_table cimport Names
from ext.structures.wheel cimport Wheel

from collections import deque

from engine.limits import EVENT_NAMES_MAX, RECENT_MESSAGES_MAX
from engine.tuning import RECENT_MESSAGES_SLACK

cdef bytes EMPTY_MAP = b"\x80"


@cython.final
cdef class Core:
    """The state of the compiled kernel, and what its functions share."""

    def __init__(self, bytes key not None, Callbacks callbacks not None):
        self.key = key
        self.callbacks = callbacks
        self.names = Names(EVENT_NAMES_MAX, int.from_bytes(key[:8]))
        self.properties = Names(EVENT_NAMES_MAX, int.from_bytes(key[8:]))
        self.recent = Fingerprints(RECENT_MESSAGES_MAX, RECENT_MESSAGES_SLACK)
        self.registry = Registry(key)
        self.subscriptions = Subscriptions(self.names)
        self.queue = EventQueue(self.subscriptions)
        self.recorder = Recorder(key)
        self.view = ContactView(self.names, self.properties, callbacks)

    def close(self):
        """Break the cycle through the callbacks, so that an engine no longer used is freed at once."""
        self.view = None
        self.callbacks = None

    cpdef int begin(self, int64_t now_ms) except -1:
        """Begin a batch at `now_ms`, ms UTC."""
        assert now_ms >= self.now_ms, "time does not go back"
        self.now_ms = now_ms
        self.recorder.now_ms = now_ms
        self.view.now_ms = now_ms
        self.registry.revision += 1
        return 0

    def next_due_ms(self):
        """Return when the next timer is due in ms UTC, or None."""
        return self.registry.wheel.next_due()

    def add_flow(self, FlowCore flow not None):
        """Add a flow, under its number. `plan` has to follow."""
        self.registry.flows[flow.no] = flow

    def plan(self):
        """Find out anew which event each flow asks for, after a flow was added, changed or deleted."""
        self.subscriptions.plan(self.registry.flows)
        self.registry.revision += 1

    cpdef int touch(self, Contact contact) except -1:
        """Call before a contact or one of its runs changes."""
        return self.registry.touch(contact)

    cpdef bint wants(self, str name) except -1:
        """Whether an event of the engine's own, of this name, may have an effect."""
        return self.subscriptions.wants(name)

    cpdef int emit(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1:
        """Queue an event of the engine's own or of an `emit` action, if it may have an effect (rule 19).

        `packed`: its properties as a MessagePack map. `depth`: its place in a chain. `keep`: it goes into the history."""
        if not self.queue.put(contact, name, packed, depth, keep):
            self.callbacks.cut(contact, name)
        return 0

    cpdef Contact contact_or_new(self, str id):
        """Return the contact of an id, created if there is none."""
        cdef Py_ssize_t size = 0
        cdef const char* text = PyUnicode_AsUTF8AndSize(id, &size)
        cdef uint64_t hash = self.registry.contacts.hash_of(text, size)
        cdef PyObject* known = self.registry.contacts.found(hash, text, size)
        return self.create(id, hash) if known == NULL else <Contact>known

    cdef Contact contact_by(self, const char* id, Py_ssize_t size, uint64_t hash):
        """Return the contact of an id, created if there is none: UTF-8 bytes and their `ContactTable.hash_of`."""
        cdef PyObject* known = self.registry.contacts.found(hash, id, size)
        return self.create(PyUnicode_DecodeUTF8(id, size, NULL), hash) if known == NULL else <Contact>known

    cdef Contact create(self, str id, uint64_t hash):
        """Create a contact; flows may ask for the event of it."""
        cdef Contact contact = self.registry.create(id, hash, self.now_ms)
        self.emit(contact, "Contact Created", EMPTY_MAP, 1, False)
        return contact

    cdef int see(self, Contact contact, str name, int64_t ms, Kept* event) except -1:
        """Move the view to a contact and an event, unless it is there already."""
        cdef ContactView view = self.view
        if (
            view.revision == self.registry.revision
            and view.contact is contact
            and view.kept_properties == event
            and view.event_ms == ms
            and view.event_name is name
        ):
            return 0
        view.contact = contact
        view.look_at(contact.kept, event)
        view.points = contact.points
        view.segments = contact.segments
        view.event_name = name
        view.event_ms = ms
        view.changed()
        view.revision = self.registry.revision
        return 0

    def pack(self):
        """Return what is neither a contact nor a flow nor a fingerprint, for a snapshot."""
        return {
            "digest": self.recorder.digest,
            "runs": self.run_count,
            "arrivals": self.registry.arrival_count,
            "dooms": list(self.registry.dooms),
            "events": self.event_count,
            "duplicates": self.duplicate_count,
            "cut": self.queue.cut_count,
            "names": self.names.texts,
            "properties": self.properties.texts,
        }

    def unpack(self, dict packed not None, int64_t now_ms):
        """Restore what `pack` returned, at the time when it did."""
        self.now_ms = now_ms
        self.recorder.now_ms = now_ms
        self.recorder.digest = packed["digest"]
        self.run_count = packed["runs"]
        self.registry.arrival_count = packed["arrivals"]
        self.registry.dooms = deque((flow, node) for flow, node in packed["dooms"])
        self.event_count = packed["events"]
        self.duplicate_count = packed["duplicates"]
        self.queue.cut_count = packed["cut"]
        self.names.take(packed["names"])
        self.properties.take(packed["properties"])
        self.registry.wheel = Wheel(now_ms)
