"""The path one event takes: contact, triggers, predicates, nodes, until the run waits or ends.

This is the hot half of the kernel. It knows contacts, runs, flows as arrays of nodes, and the order in which
things happen; it is told the time and decides nothing about actions, dates, zones or documents: for those it asks
its `host` (engine.kernel.cold), a Python object with these methods:

    act(run, node) -> (what, detail)            carry out a step's actions (rules 16, 17)
    date_of(run, node, view) -> ms | None       the date of a dynamic wait (rule 5)
    opening(contact, flow, windows, ms) -> ms   first instant >= ms inside a window (rule 4)
    identify(contact, body)                     traits from outside
    alias(contact, previous)                    two contacts turn out to be one
    key_of(plan, view) -> str | None            the value of run_key
    worth_of(plan, view) -> int                 revenue of a goal event, in hundredths (rule 22)
    available(pool) -> int                      codes left (promo.available)
    cut(contact, event)                         a chain was cut (rule 19)

Order is part of the rules. Timers fire by (due, run id) before the inputs of a batch. An event updates the contact,
then tries the flows in order of their ids; each run walks until it waits or ends before the next flow is tried.
Events that this gives rise to wait in a queue until all that is done, first in, first out.

Every record of the trace also goes into `digest`, a running SipHash: two engines that did the same have the
same one, and recovery compares it frame by frame.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from ext.event cimport ALIAS, IDENTIFY, Event
from ext.fingerprints cimport Fingerprints
from ext.passages cimport Passages
from ext.predicate cimport Plan, View
from ext.records cimport Contact, Ended, Mark, Run
from ext.siphash cimport siphash24_c
from ext.wheel cimport Wheel

from collections import deque

from msgspec.json import decode as decode_json
from msgspec.msgpack import decode as unpack_value
from msgspec.msgpack import encode as pack_value
from sortedcontainers import SortedList

from engine.limits import (
    CHAIN_DEPTH_MAX,
    EVENT_AGE_MS_MAX,
    EVENT_NAMES_MAX,
    HISTORY_NUMBERS_PER_EVENT_MAX,
    RECENT_MESSAGES_MAX,
)
from engine.model import TraceRecord

cdef extern from "Python.h":
    double PyOS_string_to_double(const char* s, char** endptr, PyObject* overflow_exception) except? -1.0

# What may happen to a run, in the order of the counters.
WHATS = (
    "entered", "refused", "condition", "branch", "waiting", "executed",
    "not_sent", "failed", "expired", "passed", "over", "left",
)
REASONS = ("completed", "no_date", "limit_reached", "stopped", "removed", "deleted", "exited")

cdef enum:
    ENTERED, REFUSED, CONDITION, BRANCH, WAITING, EXECUTED, NOT_SENT, FAILED, EXPIRED, PASSED, OVER, LEFT, WHATS_END

cdef enum:
    COMPLETED, NO_DATE, LIMIT_REACHED, STOPPED, REMOVED, DELETED, EXITED, REASONS_END

# Counters of a node: one a what, one a reason, then these.
cdef enum:
    ARRIVED = WHATS_END + REASONS_END
    TRUE
    FALSE
    COUNTERS

cdef enum:
    KIND_LAUNCH, KIND_STEP, KIND_WAIT, KIND_CONDITION, KIND_SPLIT, KIND_AB_TEST, KIND_LIMIT

KINDS = ("launch", "step", "wait", "condition", "split", "ab_test", "limit")

cdef enum:
    MODE_EVERY_TIME, MODE_ONCE, MODE_PERIODICALLY

MODES = ("every_time", "once", "periodically")

# Why an entry is refused; the first ones are positive so that `gate` can answer 0 for "may enter".
GATES = ("", "once", "max", "reserved", "period")

cdef enum:
    OPEN, GATE_ONCE, GATE_MAX, GATE_RESERVED, GATE_PERIOD

cdef int64_t AGE_MAX = EVENT_AGE_MS_MAX
cdef int32_t DEPTH_MAX = CHAIN_DEPTH_MAX
cdef Py_ssize_t NAMES_MAX = EVENT_NAMES_MAX
cdef int NUMBERS_MAX = min(HISTORY_NUMBERS_PER_EVENT_MAX, 64)
cdef uint32_t NO_NUMBER = 0xFFFFFFFF
cdef bytes EMPTY_MAP = b"\x80"


def pack_object(bytes json not None):
    """A JSON object as MessagePack. Integers beyond 64 bits become doubles, as other numbers do."""
    if json == b"{}":
        return EMPTY_MAP
    value = decode_json(json)
    try:
        return pack_value(value)
    except OverflowError:
        return pack_value(_narrow(value))


def _narrow(value):
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        return float(value)
    if type(value) is dict:
        return {key: _narrow(item) for key, item in value.items()}
    if type(value) is list:
        return [_narrow(item) for item in value]
    return value


cdef class NodeCore:
    """A node of the running version, its edges as numbers."""

    def __init__(self, FlowCore flow, planned, bytes salt):
        cdef int32_t upper = 0
        node = planned.node
        self.id = planned.id
        self.no = flow.numbers[planned.id]
        self.kind = planned.kind
        self.code = KINDS.index(planned.kind)
        self.planned = planned
        self.plan = planned.plan
        self.next = self.other = -1
        memcpy(self.salt, PyBytes_AS_STRING(salt), 16)
        if self.code in (KIND_LAUNCH, KIND_STEP, KIND_WAIT, KIND_LIMIT):
            self.next = flow.number(node.next)
        if self.code == KIND_CONDITION:
            self.next = flow.number(node.then)
            self.other = flow.number(node.otherwise)
        elif self.code == KIND_STEP:
            self.relevance_ms = node.relevance_ms
        elif self.code == KIND_WAIT:
            self.for_ms = 0 if node.for_ms is None else node.for_ms
            self.windows = node.windows
            self.other = flow.number(node.missing)
            if node.until_event is not None:
                self.matches = True
                self.match_events = node.until_event.events
                self.match_where = planned.match
                self.match_sees_event = planned.match_sees_event
                self.other = flow.number(node.otherwise)
        elif self.code == KIND_LIMIT:
            self.other = flow.number(node.over)
            self.passages = flow.passages_of(self.no, node.max, -1 if node.per_ms is None else node.per_ms)
        elif self.code in (KIND_SPLIT, KIND_AB_TEST):
            self.branches = []
            for branch in node.branches if self.code == KIND_SPLIT else node.variants:
                upper += branch.share
                self.branches.append((branch.name, upper, flow.number(branch.next)))


cdef class FlowCore:
    """A flow as it runs: the active version's nodes, and what is kept over versions."""

    def __cinit__(self, int32_t no, str id not None):
        self.no = no
        self.id = id
        self.nodes = []
        self.ids = []
        self.numbers = {}
        self.passages = {}
        self.branches = {}
        self.trials = {}
        self.trials_began = {}
        self.events = ()
        self.held = SortedList()
        self.paused_ms = INT64_MAX
        self.start_ms = INT64_MIN
        self.end_ms = INT64_MAX

    def __dealloc__(self):
        free(self.heads)
        free(self.tails)
        free(self.waiting)
        free(self.doomed)
        free(self.doom)
        free(self.doom_reason)
        free(self.counts)

    def number(self, id):
        """The stable number of a node id, -1 for None."""
        return -1 if id is None else self.numbers[id]

    def passages_of(self, no, max, per_ms):
        """The passages of a limit node, kept over edits by node id (rule 23)."""
        kept = self.passages.get(no)
        if kept is None:
            kept = self.passages[no] = Passages(max, per_ms)
        else:
            kept.resize(max, per_ms)
        return kept

    def know(self, str id):
        """Give a node id its number; numbers are never used again."""
        if id in self.numbers:
            return
        cdef int32_t no = len(self.ids)
        cdef int32_t room
        if no == self.room:
            room = max(16, self.room * 2)
            self.heads = <void**>_more(self.heads, self.room, room, sizeof(void*))
            self.tails = <void**>_more(self.tails, self.room, room, sizeof(void*))
            self.waiting = <int64_t*>_more(self.waiting, self.room, room, sizeof(int64_t))
            self.doomed = <int64_t*>_more(self.doomed, self.room, room, sizeof(int64_t))
            self.doom = <int64_t*>_more(self.doom, self.room, room, sizeof(int64_t))
            self.doom_reason = <int32_t*>_more(self.doom_reason, self.room, room, sizeof(int32_t))
            self.counts = <int64_t*>_more(self.counts, self.room, room, COUNTERS * sizeof(int64_t))
            self.room = room
        self.numbers[id] = no
        self.ids.append(id)
        self.nodes.append(None)

    def install(self, program, int32_t version, salt_of):
        """Run this version from now on. Gives the numbers of waits that are gone from it (rule 27)."""
        flow = program.flow
        for id in flow.nodes:
            self.know(id)
        self.program = program
        self.version = version
        self.nodes = [None] * len(self.ids)
        for planned in program.nodes:
            node = NodeCore(self, planned, salt_of(self.id, planned.id))
            self.nodes[node.no] = node
            if node.code == KIND_LAUNCH:
                self.launch = node
        self.where = program.where
        self.events = program.events
        self.run_key = program.run_key
        self.exits = flow.exit_when is not None
        self.exit_events = flow.exit_when.events if self.exits else ()
        self.exit_where = program.exit_where
        self.listens = self.exits or any((<NodeCore>node).matches for node in self.nodes if node is not None)
        self.mode = MODES.index(flow.frequency.mode)
        self.every_ms = 0 if flow.frequency.every_ms is None else flow.frequency.every_ms
        self.max_launches = -1 if flow.frequency.max is None else flow.frequency.max
        self.hold = flow.when_paused == "hold"
        self.set_schedule(flow.schedule.start_ms, flow.schedule.end_ms)
        return [
            no
            for no in range(len(self.ids))
            if self.waiting[no] > self.doomed[no] and (self.nodes[no] is None or (<NodeCore>self.nodes[no]).code != KIND_WAIT)
        ]

    def set_schedule(self, start_ms, end_ms):
        """Rule 9; None: no such bound."""
        self.start_ms = INT64_MIN if start_ms is None else start_ms
        self.end_ms = INT64_MAX if end_ms is None else end_ms

    cdef bint runs_at(self, int64_t ms) noexcept:
        """Whether it takes entries, and lets waits end, at an instant (rules 9, 28)."""
        return ms < self.paused_ms and ms < self.end_ms

    def running(self, int64_t ms):
        """As `runs_at`, for Python."""
        return self.runs_at(ms)

    cdef int64_t* counters(self, int32_t node) noexcept:
        return self.counts + node * COUNTERS

    def runs_waiting(self, int32_t node, int64_t after, Py_ssize_t most):
        """Runs at a node in order of arrival, those that arrived after `after`, at most so many."""
        cdef list found = []
        cdef void* at = self.heads[node]
        after = max(after, self.doom[node])
        while at != NULL and len(found) < most:
            if (<Run>at).arrival > after:
                found.append(<Run>at)
            at = (<Run>at).next_at_node
        return found

    def waiting_by_node(self):
        """`{node id: runs waiting there}`, only where there are any; those about to be ended do not count."""
        return {
            self.ids[no]: self.waiting[no] - self.doomed[no]
            for no in range(len(self.ids))
            if self.waiting[no] > self.doomed[no]
        }

    def ending(self):
        """Whether runs of it are still to be ended."""
        return any(self.doomed[no] for no in range(len(self.ids)))

    def count(self, int32_t node, int32_t what):
        """One counter, for tests and lists."""
        return self.counters(node)[what]

    def stats(self):
        """Numbers per node, in the shape of `GET /v1/flows/{id}/stats`: nodes of the running version in the order
        of the document, then those gone from it."""
        cdef int64_t* counts
        cdef dict found = {}
        cdef dict row
        cdef int i
        here = [planned.id for planned in self.program.nodes] if self.program is not None else []
        gone = [id for id in self.ids if id not in set(here)]
        for id in [*here, *gone]:
            no = self.numbers[id]
            counts = self.counters(no)
            row = {"arrived": counts[ARRIVED], "waiting": self.waiting[no] - self.doomed[no]}
            for i, name in enumerate(WHATS):
                if i != WAITING:
                    row[name] = counts[i]
            for i, name in enumerate(REASONS):
                row[name] = counts[WHATS_END + i]
            row["true"] = counts[TRUE]
            row["false"] = counts[FALSE]
            taken = {name: n for (at, name), n in self.branches.items() if at == no}
            if taken:
                row["branches"] = taken
            found[id] = row
        return found

    def pack(self):
        """What of it changes as it runs, for a snapshot."""
        cdef Py_ssize_t n = len(self.ids)
        return {
            "no": self.no,
            "id": self.id,
            "ids": self.ids,
            "counts": PyBytes_FromInts(self.counts, n * COUNTERS),
            "branches": [[no, name, count] for (no, name), count in sorted(self.branches.items())],
            "passages": [[no, kept.pack()] for no, kept in sorted(self.passages.items())],
            "trials": [[no, name, totals] for (no, name), totals in sorted(self.trials.items())],
            "trials_began": sorted(self.trials_began.items()),
            "paused": self.paused_ms,
            "start": self.start_ms,
            "end": self.end_ms,
            "version": self.version,
            "dead": bool(self.dead),
            "doom": [[no, self.doom[no], self.doom_reason[no]] for no in range(n) if self.doomed[no]],
        }

    def unpack(self, dict packed):
        """Before `install` of the version that ran; of a dead flow none is installed."""
        cdef bytes counts = packed["counts"]
        for id in packed["ids"]:
            self.know(id)
        assert len(counts) == <Py_ssize_t>(len(self.ids) * COUNTERS * sizeof(int64_t)), "counters of another layout"
        memcpy(self.counts, PyBytes_AS_STRING(counts), len(counts))
        self.branches = {(no, name): count for no, name, count in packed["branches"]}
        self.trials = {(no, name): totals for no, name, totals in packed["trials"]}
        self.trials_began = dict(packed["trials_began"])
        self.version = packed["version"]
        self.dead = packed["dead"]
        for no, doom, reason in packed["doom"]:
            self.doom[no] = doom
            self.doom_reason[no] = reason
        for no, kept in packed["passages"]:
            self.passages[no] = Passages(1)
            self.passages[no].unpack(kept)

    def unpack_times(self, dict packed):
        """After `install`, which sets the schedule of the document."""
        self.paused_ms = packed["paused"]
        self.start_ms = packed["start"]
        self.end_ms = packed["end"]


def _flow_id(FlowCore flow):
    return flow.id


cdef void* _more(void* block, size_t had, size_t wanted, size_t size) except NULL:
    """realloc with zeros in the new part."""
    block = realloc(block, wanted * size)
    if block == NULL:
        raise MemoryError
    memset(<char*>block + had * size, 0, (wanted - had) * size)
    return block


cdef bytes PyBytes_FromInts(int64_t* numbers, Py_ssize_t n):
    return (<char*>numbers)[: n * sizeof(int64_t)]


cdef class ContactView(View):
    """What an expression sees of the contact at hand: functions are answered from its history."""

    cdef int64_t count(self, str name, int64_t since_ms, int64_t until_ms) except? -1:
        cdef object number = self.path.names.get(name)
        return 0 if number is None else self.contact.count(number, since_ms, until_ms)

    cdef int64_t last(self, str name) except? -1:
        cdef object number = self.path.names.get(name)
        return INT64_MIN if number is None else self.contact.last(number)

    cdef double sum(self, str name, str property, int64_t since_ms, int64_t until_ms) except? -1:
        cdef object number = self.path.names.get(name)
        cdef object column = self.path.properties.get(property)
        if number is None or column is None:
            return 0
        return self.contact.sum(number, column, since_ms, until_ms)

    cdef int64_t available(self, str pool) except? -1:
        return self.path.host.available(pool)


@cython.final
cdef class Path:
    """All contacts, all runs, and the way of an event through them."""

    def __init__(self, bytes key not None, host):
        assert len(key) == 16
        self.key = key
        self.host = host
        self.contacts = {}
        self.order = []
        self.ids = SortedList()
        self.runs = {}
        self.wheel = Wheel(0)
        self.recent = Fingerprints(RECENT_MESSAGES_MAX)
        self.names = {}
        self.properties = {}
        self.flows = {}
        self.triggers = {}
        self.goals = {}
        self.queue = deque()
        self.dooms = deque()
        self.holding = {}
        self.restored = []
        self.view = ContactView()
        self.view.path = self
        self.stale = True
        self.generation = 1
        self.dirty = []
        self.deleted = []

    def close(self):
        """Break the one cycle (view and path), so that an engine no longer used is freed at once."""
        self.view = None
        self.host = None

    # Time

    def begin(self, int64_t now_ms):
        """A batch begins: it is `now_ms`."""
        assert now_ms >= self.now_ms, "time does not go back"
        self.now_ms = now_ms
        self.view.now_ms = now_ms
        self.stale = True

    def next_due_ms(self):
        """When the next timer is due, or None."""
        return self.wheel.next_due()

    def fire(self, Py_ssize_t limit):
        """Let runs whose waits have ended go on, in (due, run id) order, at most `limit`. How many there were."""
        cdef list due = self.wheel.expire(self.now_ms, limit)
        cdef int64_t ms, id
        for ms, id in due:
            self.leave(<Run>self.runs[id], ms)
            self.drain()
        return len(due)

    # Inputs

    def take(self, Event event not None):
        """One event, identify or alias, and all it gives rise to at this instant."""
        self.one(event)
        self.drain()

    cdef int one(self, Event event) except -1:
        cdef Py_ssize_t length = 0
        cdef const char* text
        cdef int64_t ms
        cdef Contact contact
        if event.message_id is not None:
            text = PyUnicode_AsUTF8AndSize(event.message_id, &length)
            if not self.recent.add(siphash24_c(<const uint8_t*>PyBytes_AS_STRING(self.key), <const uint8_t*>text, length)):
                self.duplicate_count += 1
                return 0
        self.event_count += 1
        contact = self.known(event.contact)
        if event.kind == IDENTIFY:
            self.host.identify(contact, event.body)
        elif event.kind == ALIAS:
            self.host.alias(contact, event.previous)
        else:
            ms = event.timestamp_ms
            if ms == INT64_MIN or ms > self.now_ms:
                ms = self.now_ms
            self.happen(contact, event.name, ms, event.body, None, 0, True)
        return 0

    def drain(self):
        """Work off the events that inputs, timers and actions gave rise to."""
        cdef Contact contact
        while self.queue:
            contact, name, packed, depth, keep = self.queue.popleft()
            if contact.index >= 0:
                self.happen(contact, name, self.now_ms, None, packed, depth, keep)

    def emit(self, Contact contact not None, str name not None, bytes packed not None, int32_t depth, bint keep):
        """Queue an event of the engine's own or of an `emit` action; deeper than the bound it is cut (rule 19).
        `keep`: it goes into the contact's history."""
        if depth > DEPTH_MAX:
            self.cut_count += 1
            self.host.cut(contact, name)
            return
        if keep or name in self.triggers or (self.listening and contact.runs != NULL):
            self.queue.append((contact, name, packed, depth, keep))

    # Contacts

    def contact(self, str id not None):
        """The contact of an id, or None."""
        return self.contacts.get(id)

    def contact_or_new(self, str id not None):
        """The contact of an id, created if there is none."""
        return self.known(id)

    cdef Contact known(self, str id):
        cdef object found = self.contacts.get(id)
        cdef Contact contact
        if found is not None:
            return <Contact>found
        contact = Contact.__new__(Contact, id, self.now_ms)
        contact.index = len(self.order)
        self.order.append(contact)
        self.contacts[id] = contact
        self.ids.add(id)
        self.touch(contact)
        self.emit(contact, "Contact Created", EMPTY_MAP, 1, False)
        return contact

    cpdef int touch(self, Contact contact) except -1:
        """Call before a contact or one of its runs changes: the snapshot in progress gets it as it was."""
        self.stale = True
        if contact.touched == self.generation:
            return 0
        if (
            self.packing
            and contact.packed != self.generation
            and contact.index < self.pending_end
            and (self.packing_all or contact.touched == self.generation - 1)
        ):
            self.early.append((contact.id, contact.pack()))
            contact.packed = self.generation
        contact.touched = self.generation
        self.dirty.append(contact)
        return 0

    def merge(self, Contact contact not None, Contact previous not None):
        """Everything of `previous` but its traits moves to `contact`; `previous` is gone (its id stays an alias)."""
        cdef Run run
        self.touch(contact)
        self.touch(previous)
        contact.absorb(previous)
        for run in previous.live_runs():
            self.unlink_contact(run)
            run.contact = contact
            self.link_contact(run)
        self.forget(previous)

    def forget(self, Contact contact not None):
        """Take a contact without runs out of the engine."""
        assert contact.runs == NULL
        self.touch(contact)
        self.order[contact.index] = None
        contact.index = -1
        self.deleted.append(contact.id)
        del self.contacts[contact.id]
        self.ids.remove(contact.id)

    def set_alias(self, str alias not None, Contact contact not None):
        """From now on `alias` leads to this contact."""
        self.contacts[alias] = contact

    def end_runs(self, Contact contact not None, int32_t reason):
        """End all runs of a contact (rule 30)."""
        cdef Run run
        self.touch(contact)
        for run in contact.live_runs():
            self.disarm(run)
            self.finish(run, run.node, reason)

    def unset_alias(self, str alias not None):
        """The contact behind an alias is gone."""
        self.contacts.pop(alias, None)

    # Flows

    def add_flow(self, FlowCore flow not None):
        self.flows[flow.no] = flow

    def remove_flow(self, FlowCore flow not None, int32_t reason):
        """Take it out; its runs end with this reason, and it is gone when the last one has."""
        flow.dead = True
        for no in range(len(flow.ids)):
            self.end_runs_at(flow, no, reason)
        self.plan_triggers()
        if not flow.ending():
            del self.flows[flow.no]

    def end_runs_at(self, FlowCore flow not None, int32_t node, int32_t reason):
        """Every run that is at a node now is doomed: it takes no further step, and `reap` ends it. How many."""
        cdef int64_t fresh = flow.waiting[node] - flow.doomed[node]
        if flow.waiting[node] == 0:
            return 0
        if flow.doomed[node] == 0:
            self.dooms.append((flow.no, node))
        flow.doomed[node] = flow.waiting[node]
        flow.doom[node] = self.arrival_count
        flow.doom_reason[node] = reason
        return fresh

    def reap(self, Py_ssize_t limit):
        """End doomed runs, node by node, in order of arrival, at most `limit`. How many there were."""
        cdef FlowCore flow
        cdef Run run
        cdef int32_t node
        cdef Py_ssize_t ended = 0
        while self.dooms and ended < limit:
            no, node = self.dooms[0]
            flow = self.flows[no]
            while flow.doomed[node] and ended < limit:
                run = <Run>flow.heads[node]
                self.touch(run.contact)
                self.disarm(run)
                self.finish(run, node, flow.doom_reason[node])
                ended += 1
            if flow.doomed[node] == 0:
                self.dooms.popleft()
                if flow.dead and not flow.ending():
                    del self.flows[no]
        return ended

    def plan_triggers(self):
        """Which flows an event name asks for. Paused flows stay in: they are passed over at the event."""
        cdef FlowCore flow
        self.triggers = {}
        self.goals = {}
        for flow in sorted(self.flows.values(), key=_flow_id):
            for name in () if flow.dead else flow.events:
                self.triggers[name] = (*self.triggers.get(name, ()), flow)
            for node in () if flow.dead else flow.nodes:
                if node is not None and (<NodeCore>node).code == KIND_AB_TEST:
                    goal = node.planned.node.goal.event
                    self.goals[goal] = (*self.goals.get(goal, ()), (flow, node))
        self.listening = any(flow.listens and not flow.dead for flow in self.flows.values())
        self.stale = True

    cdef int keep_held(self, FlowCore flow, Run run) except -1:
        """Its wait is over while the flow is paused and holds: it stays until the flow goes on."""
        flow.held.add((run.due_ms, run.id))
        self.holding[flow.no] = flow
        return 0

    def release(self, Py_ssize_t limit):
        """Held runs of flows that go on leave now, flow by flow in order of their numbers, each flow's in (due, run
        id) order, at most `limit`. How many there were (rule 28)."""
        cdef FlowCore flow
        cdef Run run
        cdef int64_t due, id
        cdef Py_ssize_t released = 0
        for no in sorted(self.holding):
            flow = <FlowCore>self.holding[no]
            while flow.held and released < limit and (flow.dead or flow.runs_at(self.now_ms)):
                due, id = flow.held.pop(0)
                found = self.runs.get(id)
                if found is None or (<Run>found).armed:
                    continue
                run = <Run>found
                self.leave(run, due)
                self.drain()
                released += 1
            if not flow.held:
                del self.holding[no]
        return released

    def releasing(self):
        """Whether held runs are still to leave at this instant."""
        return any((<FlowCore>flow).runs_at(self.now_ms) for flow in self.holding.values())

    # An event happens

    cdef uint32_t number_of(self, dict numbers, str name) except? 0xFFFFFFFF:
        """The number of a name, given at first sight; NO_NUMBER when the table is full."""
        cdef object found = numbers.get(name)
        if found is None:
            if len(numbers) >= NAMES_MAX:
                return NO_NUMBER
            found = numbers[name] = len(numbers)
        return found

    cdef int see(self, Contact contact, str name, int64_t ms, bytes properties) except -1:
        """Point the view at a contact and an event; nothing to do where it already is."""
        cdef ContactView view = self.view
        if not self.stale and view.contact is contact and view.properties is properties and view.event_ms == ms and view.event_name is name:
            return 0
        view.contact = contact
        view.traits = contact.traits
        view.points = contact.points
        view.segments = contact.segments
        view.event_name = name
        view.event_ms = ms
        view.properties = properties
        view.changed()
        self.stale = False
        return 0

    cdef int happen(
        self, Contact contact, str name, int64_t ms, bytes body, bytes packed, int32_t depth, bint keep
    ) except -1:
        """An event of a contact: history first, then the flows it triggers (rule 7). One of `body` (JSON) and
        `packed` is given."""
        cdef object asked
        cdef FlowCore flow
        self.touch(contact)
        if keep:
            self.remember(contact, name, ms, body if packed is None else unpacked_json(packed))
        asked = self.triggers.get(name)
        if contact.trials is not None and name in self.goals:
            if packed is None:
                packed = pack_object(body)
            self.reach_goals(contact, name, ms, packed)
        if self.listening and contact.runs != NULL:
            if packed is None:
                packed = pack_object(body)
            self.listen(contact, name, ms, packed, depth)
        if asked is None:
            return 0
        if packed is None:
            packed = pack_object(body)
        for flow in <tuple>asked:
            if not flow.runs_at(self.now_ms):
                continue
            if flow.where is not None:
                self.see(contact, name, ms, packed)
                if flow.where.run(self.view) != 1:
                    continue
            self.try_enter(flow, contact, name, ms, packed, depth)
        return 0

    def reach_goals(self, Contact contact, str name, int64_t ms, bytes packed):
        """Rule 22: a goal event counts for the A/B tests that the contact came to not longer than `within` ago."""
        cdef FlowCore flow
        cdef NodeCore node
        cdef int64_t place
        for flow, node in self.goals[name]:
            place = (<int64_t>flow.no << 16) | node.no
            trial = contact.trials.get(place)
            if trial is None:
                continue
            variant, first, orders, revenue = trial
            if not first <= ms <= first + node.planned.node.goal.within_ms:
                continue
            worth = 0
            if node.planned.plan is not None:
                self.see(contact, name, ms, packed)
                worth = self.host.worth_of(node.planned.plan, self.view)
            contact.set_trial(place, (variant, first, orders + 1, revenue + worth))
            totals = flow.trials[(node.no, variant)]
            flow.trials[(node.no, variant)] = [
                totals[0],
                totals[1] + (orders == 0),
                totals[2] + 1,
                totals[3] + worth,
                totals[4] + 2 * orders + 1,
                totals[5] + (revenue + worth) ** 2 - revenue**2,
                totals[6] + (orders + 1) * (revenue + worth) - orders * revenue,
            ]

    cdef int listen(self, Contact contact, str name, int64_t ms, bytes packed, int32_t depth) except -1:
        """What an event means to the contact's waiting runs, in order of their ids: out by `exit_when`, or on by
        the `until_event` of the wait where they are."""
        cdef Run run
        cdef FlowCore flow
        cdef NodeCore node
        for run in contact.live_runs():
            flow = <FlowCore>run.flow
            if not flow.listens or flow.dead or run.id not in self.runs or run.arrival <= flow.doom[run.node]:
                continue
            if flow.exits and self.heard(run, flow.exit_events, flow.exit_where, name, ms, packed):
                self.disarm(run)
                self.finish(run, run.node, EXITED)
                continue
            node = <NodeCore>flow.nodes[run.node]
            if (
                node.matches
                and not run.satisfied
                and ms >= run.event_ms
                and self.heard(run, node.match_events, node.match_where, name, ms, packed)
            ):
                self.disarm(run)
                run.satisfied = True
                run.due_ms = max(run.logical_ms, ms)
                self.leave_by_event(run, depth)
        return 0

    cdef bint heard(
        self, Run run, tuple names, Plan where, str name, int64_t ms, bytes packed
    ) except -1:
        """Whether an event is one of these names, of the run's key, and `where` holds."""
        cdef FlowCore flow = <FlowCore>run.flow
        if names and name not in names:
            return False
        if flow.run_key is not None and self.key_of(flow, run.contact, name, ms, packed) != run.key:
            return False
        if where is None:
            return True
        self.see(run.contact, name, ms, packed)
        return where.run(self.view) == 1

    cdef bint heard_before(self, Run run, NodeCore node) except -1:
        """Whether what a run waits for is so already as it arrives: the event has come since the run entered, and
        `where`, as far as it speaks of the contact alone, holds. With `run_key` history cannot tell the events of
        one key from those of another, so the event has to come again."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int64_t last
        cdef object number
        cdef bint found = not node.match_events
        if node.match_sees_event or (node.match_events and flow.run_key is not None):
            return False
        for name in node.match_events:
            number = self.names.get(name)
            if number is not None:
                last = run.contact.last(number)
                if last > run.event_ms or (last == run.event_ms and name != run.event_name):
                    found = True
        if not found or node.match_where is None:
            return found
        self.see(run.contact, run.event_name, run.event_ms, run.properties)
        return node.match_where.run(self.view) == 1

    cdef str key_of(self, FlowCore flow, Contact contact, str name, int64_t ms, bytes packed):
        """The value of `run_key` for an event, as text; None where it has none."""
        self.see(contact, name, ms, packed)
        return self.host.key_of(flow.run_key, self.view)

    cdef int remember(self, Contact contact, str name, int64_t ms, bytes body) except -1:
        """Keep an event in the contact's history with its top-level numbers (validated JSON, read in place)."""
        cdef uint32_t[64] properties
        cdef double[64] values
        cdef uint32_t number = self.number_of(self.names, name)
        cdef uint32_t property
        cdef int n = 0
        cdef int depth = 0
        cdef bint escaped
        cdef const char* text = PyBytes_AS_STRING(body)
        cdef const char* end = text + PyBytes_GET_SIZE(body)
        cdef const char* key
        cdef const char* key_end
        if number == NO_NUMBER:
            return 0
        while text < end:
            if text[0] == c'"':
                text += 1
                key = text
                escaped = False
                while text[0] != c'"':
                    if text[0] == c"\\":
                        escaped = True
                        text += 1
                    text += 1
                key_end = text
                text += 1
                if depth != 1 or escaped:
                    continue
                while text[0] == c" " or text[0] == c"\t" or text[0] == c"\r" or text[0] == c"\n":
                    text += 1
                if text[0] != c":":
                    continue
                text += 1
                while text[0] == c" " or text[0] == c"\t" or text[0] == c"\r" or text[0] == c"\n":
                    text += 1
                if (c"0" <= text[0] <= c"9" or text[0] == c"-") and n < NUMBERS_MAX:
                    property = self.number_of(self.properties, PyUnicode_DecodeUTF8(key, key_end - key, NULL))
                    if property != NO_NUMBER:
                        values[n] = PyOS_string_to_double(text, <char**>&text, NULL)
                        properties[n] = property
                        n += 1
                continue
            if text[0] == c"{" or text[0] == c"[":
                depth += 1
            elif text[0] == c"}" or text[0] == c"]":
                depth -= 1
            text += 1
        contact.remember(number, ms, properties, values, n)
        return 0

    # Entering

    cdef int try_enter(
        self, FlowCore flow, Contact contact, str name, int64_t ms, bytes packed, int32_t depth
    ) except -1:
        """An event that matched trigger and condition of a running flow: in, or refused with the reason."""
        cdef int64_t until = INT64_MIN
        cdef Run run
        if self.now_ms - ms > AGE_MAX:
            return self.refuse(flow, contact, {"reason": "too_old"})
        if ms < flow.start_ms:
            return self.refuse(flow, contact, {"reason": "schedule"})
        if self.gate(flow, contact, &until) != OPEN:
            if until == INT64_MIN:
                return self.refuse(flow, contact, {"reason": "frequency"})
            return self.refuse(flow, contact, {"reason": "frequency", "until": until})
        cdef str key = None
        if flow.run_key is not None:
            key = self.key_of(flow, contact, name, ms, packed)
            if key is None or self.has_run(flow, contact, key):
                return self.refuse(flow, contact, {"reason": "run_key"})
        return self.enter(flow, contact, name, ms, packed, depth, key)

    def has_run(self, FlowCore flow, Contact contact, str key):
        """Whether a run of this key is in progress."""
        cdef void* at = contact.runs
        while at != NULL:
            if (<Run>at).flow is flow and (<Run>at).key == key and (<Run>at).arrival > flow.doom[(<Run>at).node]:
                return True
            at = (<Run>at).next_of_contact
        return False

    cdef int enter(
        self, FlowCore flow, Contact contact, str name, int64_t ms, bytes packed, int32_t depth, str key
    ) except -1:
        """A new run, walked until it waits or ends. Without a name it was a schedule that entered it."""
        cdef Run run = Run.__new__(Run)
        cdef dict detail = None
        self.run_count += 1
        run.id = self.run_count
        run.contact = contact
        run.flow = flow
        run.version = flow.version
        run.node = -1
        run.entered_ms = self.now_ms
        run.logical_ms = ms
        run.due_ms = INT64_MIN
        run.depth = depth
        run.event_name = name
        run.event_ms = ms
        run.properties = packed
        run.key = key
        contact.mark_or_new(flow.no).reserved += 1
        flow.counters(flow.launch.no)[ARRIVED] += 1
        if self.trace is not None:
            detail = {"schedule": ms} if name is None else {"event": name}
        self.note(flow, run.id, contact, flow.launch.no, ENTERED, ms, detail)
        return self.advance(run, flow.launch.no, flow.launch.next)

    def sweep(self, FlowCore flow not None, int64_t occurrence_ms, str after, Py_ssize_t limit):
        """Rule 11: enter the contacts for whom `where` holds, in order of id, beginning behind `after` (None: with
        the first), at most `limit` looked at. The id to go on behind, or None when all were looked at. Contacts
        that came after the occurrence are not meant."""
        cdef Contact contact
        cdef Py_ssize_t start = 0 if after is None else self.ids.bisect_right(after)
        cdef list ids = list(self.ids.islice(start, start + limit))
        for id in ids:
            found = self.contacts.get(id)
            if found is None or (<Contact>found).index < 0:
                continue
            contact = found
            if contact.created_ms > occurrence_ms:
                continue
            if flow.where is not None:
                self.see(contact, None, occurrence_ms, None)
                if flow.where.run(self.view) != 1:
                    continue
            self.touch(contact)
            self.try_enter(flow, contact, None, occurrence_ms, None, 0)
            self.drain()
        return ids[len(ids) - 1] if len(ids) == limit else None

    cdef int refuse(self, FlowCore flow, Contact contact, dict detail) except -1:
        """Rule 13 and its kin: no run, one record."""
        self.note(flow, 0, contact, flow.launch.no, REFUSED, detail.get("until", 0), detail)
        return 0

    cdef int64_t gate(self, FlowCore flow, Contact contact, int64_t* until) except -2:
        """Whether frequency lets the contact in now (rules 12 to 15): OPEN, or what refuses it. `until` is set
        only where the period decides."""
        cdef Mark* mark = contact.mark(flow.no)
        if mark == NULL:
            return OPEN
        if mark.once or (flow.mode == MODE_ONCE and mark.launches > 0):
            return GATE_ONCE
        if flow.max_launches >= 0 and mark.launches >= flow.max_launches:
            return GATE_MAX
        if mark.reserved > 0 and (flow.mode != MODE_EVERY_TIME or flow.max_launches >= 0):
            return GATE_RESERVED
        if flow.mode == MODE_PERIODICALLY and mark.launches > 0 and self.now_ms < mark.last_ms + flow.every_ms:
            until[0] = mark.last_ms + flow.every_ms
            return GATE_PERIOD
        return OPEN

    def entry(self, FlowCore flow not None, Contact contact not None):
        """`(what refuses an entry now or "", from when it may enter or None)`, for `why`."""
        cdef int64_t until = INT64_MIN
        cdef int64_t found = self.gate(flow, contact, &until)
        return GATES[found], None if until == INT64_MIN else until

    # Walking

    cdef int advance(self, Run run, int32_t at, int32_t no) except -1:
        """Walk from node `at` to node `no` and on, until the run waits or ends. Flows are acyclic, so this ends."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef Contact contact = run.contact
        cdef NodeCore node
        cdef int64_t* counts
        cdef int truth
        cdef bint passed
        while no >= 0:
            node = <NodeCore>flow.nodes[no]
            counts = flow.counters(no)
            counts[ARRIVED] += 1
            at = no
            if node.code == KIND_CONDITION:
                self.see(contact, run.event_name, run.event_ms, run.properties)
                truth = node.plan.run(self.view)
                counts[TRUE if truth == 1 else FALSE] += 1
                self.note(flow, run.id, contact, no, CONDITION, truth == 1, self.condition_detail(node.plan, truth))
                no = node.next if truth == 1 else node.other
            elif node.code == KIND_STEP:
                no = node.next
                self.step(run, node)
            elif node.code == KIND_WAIT:
                no = self.arrive_at_wait(run, node)
                if no == -2:
                    return 0
                if no == -3:
                    return self.finish(run, at, NO_DATE)
            elif node.code == KIND_LIMIT:
                passed = node.passages.pass_(self.now_ms)
                self.note(
                    flow, run.id, contact, no, PASSED if passed else OVER, 0,
                    {"count": node.passages.count(self.now_ms)} if self.trace is not None else None,
                )
                no = node.next if passed else node.other
                if not passed and no < 0:
                    return self.finish(run, at, LIMIT_REACHED)
            else:
                no = self.branch(run, node)
        return self.finish(run, at, COMPLETED)

    cdef dict condition_detail(self, Plan plan, int truth):
        """Why a condition came out as it did (rule 20)."""
        if self.trace is None:
            return None
        if truth == -1:
            return {"result": False, "error": plan.error}
        return {"result": truth == 1}

    cdef int step(self, Run run, NodeCore node) except -1:
        """Rules 3, 12, 13, 16: expired, or the actions and their outcome; the first counted step is the launch."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef Mark* mark
        cdef int32_t what
        if node.relevance_ms >= 0 and self.now_ms > run.logical_ms + node.relevance_ms:
            self.note(flow, run.id, run.contact, node.no, EXPIRED, 0, None)
            return 0
        what, detail = self.host.act(run, node)
        self.stale = True
        self.note(flow, run.id, run.contact, node.no, what, 0, detail)
        if what == EXECUTED or what == NOT_SENT:
            mark = run.contact.mark_or_new(flow.no)
            if not run.counted:
                run.counted = True
                mark.reserved -= 1
                mark.launches += 1
            mark.last_ms = self.now_ms
            if flow.mode == MODE_ONCE:
                mark.once = True
        return 0

    cdef int32_t branch(self, Run run, NodeCore node) except -2:
        """Rule 21: the number of the node behind the branch drawn (split) or assigned (A/B)."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef uint64_t drawn
        cdef int64_t id = run.id
        cdef int64_t place = (<int64_t>flow.no << 16) | node.no
        cdef Py_ssize_t length = 0
        cdef const char* text
        cdef str name
        kept = None
        if node.code == KIND_SPLIT:
            drawn = siphash24_c(node.salt, <const uint8_t*>&id, 8)
        else:
            if run.contact.trials is not None and place in run.contact.trials:
                kept = run.contact.trials[place][0]
            text = PyUnicode_AsUTF8AndSize(run.contact.id, &length)
            drawn = siphash24_c(node.salt, <const uint8_t*>text, length)
        drawn %= 10_000
        chosen = None
        for entry in node.branches:
            if entry[0] == kept:
                chosen = entry
                break
            if chosen is None and drawn < <uint64_t>entry[1]:
                chosen = entry
                if kept is None:
                    break
        name = chosen[0]
        if node.code == KIND_AB_TEST and name != kept:
            run.contact.set_trial(place, (name, self.now_ms, 0, 0))
            totals = flow.trials.get((node.no, name), [0] * 7)
            flow.trials[(node.no, name)] = [totals[0] + 1, *totals[1:]]
            flow.trials_began.setdefault(node.no, self.now_ms)
        flow.branches[(node.no, name)] = flow.branches.get((node.no, name), 0) + 1
        self.note(
            flow, run.id, run.contact, node.no, BRANCH, chosen[1], {"name": name} if self.trace is not None else None
        )
        return chosen[2]

    cdef int arrive_at_wait(self, Run run, NodeCore node) except? -1:
        """Rules 2, 4, 5, 6. The number of the node to go on to (-1: the run ends), -2 where the run now waits,
        -3 where there is no date and no edge for that."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int64_t end = run.logical_ms + node.for_ms
        if node.plan is not None:
            self.see(run.contact, run.event_name, run.event_ms, run.properties)
            date = self.host.date_of(run, node, self.view)
            if date is None:
                return node.other if node.other >= 0 else -3
            end = date
        if node.windows:
            end = self.host.opening(run.contact, flow, node.windows, max(end, self.now_ms))
        self.note(flow, run.id, run.contact, node.no, WAITING, end, {"until": end} if self.trace is not None else None)
        if node.matches and self.heard_before(run, node):
            flow.counters(node.no)[TRUE] += 1
            return node.next
        if end <= self.now_ms:
            run.logical_ms = end
            return self.timed_out(flow, node)
        run.node = node.no
        self.arm(run, end)
        self.attach(run)
        return -2

    cdef int32_t timed_out(self, FlowCore flow, NodeCore node) noexcept:
        """The edge of a wait that is over: `else` where it was for an event that did not come."""
        if not node.matches:
            return node.next
        flow.counters(node.no)[FALSE] += 1
        return node.other

    cdef int leave_by_event(self, Run run, int32_t depth) except -1:
        """The event that a run waited for has come: it goes on, within the chain that the event belongs to."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int32_t at = run.node
        if not flow.runs_at(self.now_ms):
            return self.keep_held(flow, run) if flow.hold else self.finish(run, at, STOPPED)
        run.logical_ms = run.due_ms
        run.depth = depth
        self.detach(run)
        flow.counters(at)[TRUE] += 1
        run.satisfied = False
        return self.advance(run, at, (<NodeCore>flow.nodes[at]).next)

    cdef int leave(self, Run run, int64_t due) except -1:
        """A wait has ended (its timer is gone from the wheel)."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef NodeCore node
        cdef int64_t opens
        self.touch(run.contact)
        run.armed = False
        if run.arrival <= flow.doom[run.node]:
            return self.finish(run, run.node, flow.doom_reason[run.node])
        node = <NodeCore>flow.nodes[run.node]
        if run.satisfied:
            return self.leave_by_event(run, 0)
        if not flow.runs_at(due):
            if flow.hold:
                if not flow.runs_at(self.now_ms):
                    return self.keep_held(flow, run)
            else:
                return self.finish(run, node.no, STOPPED)
        if node.windows and self.now_ms > due:
            opens = self.host.opening(run.contact, flow, node.windows, self.now_ms)
            if opens > self.now_ms:
                self.note(
                    flow, run.id, run.contact, node.no, WAITING, opens,
                    {"until": opens} if self.trace is not None else None,
                )
                self.arm(run, opens)
                return 0
        run.logical_ms = due
        run.depth = 0
        self.detach(run)
        return self.advance(run, node.no, self.timed_out(flow, node))

    cdef int finish(self, Run run, int32_t node, int32_t reason) except -1:
        """The run ends here. A launch it had only reserved is given back (rule 14)."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef Contact contact = run.contact
        flow.counters(node)[WHATS_END + reason] += 1
        self.note(
            flow, run.id, contact, node, LEFT, reason, {"reason": REASONS[reason]} if self.trace is not None else None
        )
        if not run.counted:
            contact.mark_or_new(flow.no).reserved -= 1
        if run.node >= 0 and run.id in self.runs:
            self.detach(run)
        contact.add_ended(
            Ended(
                run=run.id,
                entered_ms=run.entered_ms,
                left_ms=self.now_ms,
                flow=flow.no,
                node=node,
                version=run.version,
                reason=reason,
            )
        )
        return 0

    cdef int note(
        self, FlowCore flow, int64_t run, Contact contact, int32_t node, int32_t what, int64_t extra, dict detail
    ) except -1:
        """Count what happened, fold it into the digest, and record it where a trace is wanted."""
        cdef int64_t[8] seen
        flow.counters(node)[what] += 1
        seen[0] = self.digest
        seen[1] = self.now_ms
        seen[2] = flow.no
        seen[3] = flow.version
        seen[4] = run
        seen[5] = node
        seen[6] = what
        seen[7] = extra
        self.digest = siphash24_c(<const uint8_t*>PyBytes_AS_STRING(self.key), <const uint8_t*>seen, 64)
        if self.trace is not None:
            self.trace.append(
                TraceRecord(
                    self.now_ms, flow.id, flow.version, run, contact.id, flow.ids[node], WHATS[what],
                    {} if detail is None else detail,
                )
            )
        return 0

    def mix(self, int64_t value):
        """Fold something else that happened (an operation, an effect) into the digest."""
        cdef int64_t[2] seen
        seen[0] = self.digest
        seen[1] = value
        self.digest = siphash24_c(<const uint8_t*>PyBytes_AS_STRING(self.key), <const uint8_t*>seen, 16)

    # Where a waiting run is found

    cdef int arm(self, Run run, int64_t due_ms) except -1:
        """Give a run its timer."""
        run.due_ms = due_ms
        run.timer = self.wheel.insert(due_ms, run.id)
        run.armed = True
        return 0

    cdef int disarm(self, Run run) except -1:
        """Take its timer away."""
        if run.armed:
            assert self.wheel.cancel(run.timer), "a run's timer was not in the wheel"
            run.armed = False
        return 0

    cdef int attach(self, Run run) except -1:
        """A run arrives at its wait: into the table and the lists of its contact and its node."""
        self.arrival_count += 1
        run.arrival = self.arrival_count
        self.runs[run.id] = run
        self.link_contact(run)
        self.link_node(run)
        return 0

    cdef int link_contact(self, Run run) except -1:
        run.previous_of_contact = NULL
        run.next_of_contact = run.contact.runs
        if run.contact.runs != NULL:
            (<Run>run.contact.runs).previous_of_contact = <void*>run
        run.contact.runs = <void*>run
        return 0

    cdef int unlink_contact(self, Run run) except -1:
        if run.previous_of_contact != NULL:
            (<Run>run.previous_of_contact).next_of_contact = run.next_of_contact
        else:
            run.contact.runs = run.next_of_contact
        if run.next_of_contact != NULL:
            (<Run>run.next_of_contact).previous_of_contact = run.previous_of_contact
        return 0

    cdef int link_node(self, Run run) except -1:
        """At the tail: the newest arrival."""
        cdef FlowCore flow = <FlowCore>run.flow
        run.next_at_node = NULL
        run.previous_at_node = flow.tails[run.node]
        if flow.tails[run.node] != NULL:
            (<Run>flow.tails[run.node]).next_at_node = <void*>run
        else:
            flow.heads[run.node] = <void*>run
        flow.tails[run.node] = <void*>run
        flow.waiting[run.node] += 1
        return 0

    cdef int detach(self, Run run) except -1:
        """Out of the table and both lists. The caller holds a reference."""
        cdef FlowCore flow = <FlowCore>run.flow
        self.unlink_contact(run)
        if run.previous_at_node != NULL:
            (<Run>run.previous_at_node).next_at_node = run.next_at_node
        else:
            flow.heads[run.node] = run.next_at_node
        if run.next_at_node != NULL:
            (<Run>run.next_at_node).previous_at_node = run.previous_at_node
        else:
            flow.tails[run.node] = run.previous_at_node
        flow.waiting[run.node] -= 1
        if run.arrival <= flow.doom[run.node]:
            flow.doomed[run.node] -= 1
        del self.runs[run.id]
        return 0

    # Snapshots

    def snapshot(self, bint full):
        """Start a snapshot of the contacts as they are now. `(generation, ids deleted since the last one)`."""
        assert not self.packing, "one snapshot at a time"
        deleted = self.deleted
        self.packing = True
        self.packing_all = full
        self.pending = self.order if full else self.dirty
        self.pending_at = 0
        self.pending_end = len(self.order)
        self.early = []
        self.dirty = []
        self.deleted = []
        self.generation += 1
        return deleted

    def snapshot_part(self, Py_ssize_t records_max):
        """The next contacts as `(id, packed)`, about `records_max`; None when all were given."""
        cdef list part = self.early
        cdef Contact contact
        cdef int64_t end = self.pending_end if self.packing_all else len(self.pending)
        cdef object entry
        self.early = []
        while len(part) < records_max and self.pending_at < end:
            entry = self.pending[self.pending_at]
            self.pending_at += 1
            if entry is None:
                continue
            contact = entry
            if contact.index < 0 or contact.index >= self.pending_end or contact.packed == self.generation:
                continue
            contact.packed = self.generation
            part.append((contact.id, contact.pack()))
        if not part:
            self.packing = False
            self.pending = None
            return None
        return part

    def abandon_snapshot(self):
        """The snapshot will not be finished; the next one has to be full."""
        self.packing = False
        self.pending = None
        self.early = []

    def all_packed(self):
        """Every contact packed, in order of id: for the digest."""
        cdef Contact contact
        for contact in sorted([entry for entry in self.order if entry is not None], key=_contact_id):
            yield contact.pack()

    def restore(self, bytes packed):
        """Take a packed contact and its runs; the flows are there already."""
        cdef list fields = unpack_value(packed)
        cdef Contact contact = Contact.unpack(fields[:9])
        cdef Run run
        contact.index = len(self.order)
        self.order.append(contact)
        self.contacts[contact.id] = contact
        for entry in fields[9]:
            run = Run.__new__(Run)
            run.contact = contact
            (
                run.id, flow, run.version, run.node, run.entered_ms, run.logical_ms, run.due_ms,
                run.arrival, armed, run.counted, run.depth, run.event_name, run.event_ms, run.properties, codes,
                run.key, run.satisfied,
            ) = entry
            run.flow = self.flows[flow]
            run.codes = dict(codes) if codes is not None else None
            self.runs[run.id] = run
            self.link_contact(run)
            self.restored.append(run)
            if armed:
                self.arm(run, run.due_ms)

    def restored_all(self):
        """After the last `restore`: put contacts in order of id, and the runs at each node in order of arrival."""
        cdef FlowCore flow
        cdef Run run
        self.ids = SortedList(contact.id for contact in self.order if contact is not None)
        self.restored.sort(key=_arrival)
        for run in self.restored:
            self.link_node(run)
            flow = <FlowCore>run.flow
            if run.arrival <= flow.doom[run.node]:
                flow.doomed[run.node] += 1
            if not run.armed:
                self.keep_held(flow, run)
        self.restored = []

    def pack(self):
        """What is neither a contact nor a flow, but for the fingerprints."""
        return {
            "digest": self.digest,
            "runs": self.run_count,
            "arrivals": self.arrival_count,
            "dooms": list(self.dooms),
            "events": self.event_count,
            "duplicates": self.duplicate_count,
            "cut": self.cut_count,
            "names": list(self.names),
            "properties": list(self.properties),
        }

    def unpack(self, dict packed, int64_t now_ms):
        """Become what `pack` gave, at the time it was given."""
        self.now_ms = now_ms
        self.digest = packed["digest"]
        self.run_count = packed["runs"]
        self.arrival_count = packed["arrivals"]
        self.dooms = deque((flow, node) for flow, node in packed["dooms"])
        self.event_count = packed["events"]
        self.duplicate_count = packed["duplicates"]
        self.cut_count = packed["cut"]
        self.names = {name: number for number, name in enumerate(packed["names"])}
        self.properties = {name: number for number, name in enumerate(packed["properties"])}
        self.wheel = Wheel(now_ms)


def _arrival(Run run):
    return run.arrival


def _contact_id(Contact contact):
    return contact.id


def unpacked_json(bytes packed):
    """MessagePack of an emitted event's properties as JSON, the form history is read from."""
    from msgspec.json import encode

    return encode(unpack_value(packed))
