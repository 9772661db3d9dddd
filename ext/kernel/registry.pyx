"""Who is there: contacts, their waiting runs, where each is found, and how all of it gets into a snapshot.

A snapshot is consistent as of the batch it was started after, however long it takes to read: a contact that is about
to change before its turn is packed first (`touch`), so reading costs the loop one slice at a time.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc

from ext.kernel.contact_table cimport ContactTable
from ext.kernel.flow cimport FlowCore
from ext.kernel.contact_reader cimport Packed
from ext.kernel.contact_writer cimport Packing
from ext.kernel.records cimport Contact, Run, absorb, aliases_of, set_aliases
from ext.kernel.run_table cimport RunTable
from ext.structures.hash_table cimport Slot, is_live
from ext.expressions.value cimport Value, read, skip
from ext.structures.wheel cimport Wheel

from collections import deque

from sortedcontainers import SortedList

from ext.kernel.contact_writer import pack_contact

cdef enum:
    LOOKED_AT = 8  # places looked at for a contact that is packed: it takes an eighth of the time to see that it was


cdef struct Entry:
    Value id
    Value packed
    uint64_t hash


cdef struct Arrival:
    int64_t arrival
    void* run


cdef class Places:
    """Numbers in the order in which they were added. A list of a million contacts would be as many references for the
    collector of garbage to follow, and to give back at once."""

    def __dealloc__(self):
        free(self.at)

    cdef int add(self, int64_t place) except -1:
        cdef void* block
        if self.size == self.room:
            block = realloc(self.at, (2 * self.room + 64) * sizeof(int64_t))
            if block == NULL:
                raise MemoryError
            self.at = <int64_t*>block
            self.room = 2 * self.room + 64
        self.at[self.size] = place
        self.size += 1
        return 0


cdef class Roster:
    """The contacts and runs of an engine. `Walk` and `Path` build on it."""

    def __cinit__(self, bytes key not None, host):
        self.key = key
        self.contacts = ContactTable(key)
        self.order = []
        self.ids = SortedList()
        self.runs = RunTable()
        self.flows = {}
        self.holding = {}
        self.wheel = Wheel(0)
        self.stale = True
        self.generation = 1
        self.dirty = Places()
        self.deleted = []

    cdef int created(self, Contact contact) except -1:
        """A contact has come into being; told to whoever builds on this."""
        return 0

    def contact(self, str id not None):
        """The contact of an id, or None."""
        return self.contacts.get(id)

    def contact_or_new(self, str id not None):
        """The contact of an id, created if there is none."""
        return self.known(id)

    cdef Contact known(self, str id):
        cdef Py_ssize_t size = 0
        cdef const char* text = PyUnicode_AsUTF8AndSize(id, &size)
        cdef uint64_t hash = self.contacts.hash_of(text, size)
        cdef PyObject* found = self.contacts.found(hash, text, size)
        return self.create(id, hash) if found == NULL else <Contact>found

    cdef Contact known_by(self, const char* id, Py_ssize_t size, uint64_t hash):
        """As `contact_or_new`, of UTF-8 bytes and their `ContactTable.hash_of`."""
        cdef PyObject* found = self.contacts.found(hash, id, size)
        return self.create(PyUnicode_DecodeUTF8(id, size, NULL), hash) if found == NULL else <Contact>found

    cdef Contact create(self, str id, uint64_t hash):
        cdef Contact contact = Contact.__new__(Contact, id, self.now_ms)
        PyUnicode_AsUTF8AndSize(id, NULL)
        contact.index = len(self.order)
        self.order.append(contact)
        self.contacts.put(hash, contact)
        self.ids.add(id)
        self.touch(contact)
        self.created(contact)
        return contact

    cdef Run run_of(self, int64_t id):
        """The waiting run whose timer, or whose place among those held, says this id."""
        cdef PyObject* found = self.runs.found(id)
        assert found != NULL, "a run that waits is in the table"
        return <Run>found

    cpdef int touch(self, Contact contact) except -1:
        """Call before a contact or one of its runs changes: the snapshot in progress gets it as it was."""
        self.stale = True
        if contact.touched == self.generation:
            return 0
        if (
            self.packing is not None
            and contact.packed != self.generation
            and contact.index < self.pending_end
            and (self.pending is None or contact.touched == self.generation - 1)
        ):
            self.packed_now(contact)
        contact.touched = self.generation
        self.dirty.add(contact.index)
        return 0

    cdef int packed_now(self, Contact contact) except -1:
        """It has its turn in the snapshot in progress."""
        self.packing.record(contact)
        contact.packed = self.generation
        if self.packing.size >= self.part_bytes:
            self.early.append(self.packing.taken())
        return 0

    def merge(self, Contact contact not None, Contact previous not None):
        """Everything of `previous` but its traits moves to `contact`; `previous` is gone, its ids lead to `contact`."""
        cdef Run run
        cdef tuple ids = (*aliases_of(previous), previous.id)
        self.touch(contact)
        self.touch(previous)
        absorb(contact, previous)
        for run in previous.live_runs():
            self.unlink_contact(run)
            run.contact = contact
            self.link_contact(run)
        self.forget(previous)
        self.lead(ids, contact)

    def forget(self, Contact contact not None):
        """Take a contact without runs out of the engine."""
        assert contact.runs == NULL
        self.touch(contact)
        self.order[contact.index] = None
        contact.index = -1
        self.deleted.append(contact.id)
        for id in (contact.id, *aliases_of(contact)):
            self.contacts.forget(id, contact)
        self.ids.remove(contact.id)

    def lead(self, tuple ids not None, Contact contact not None):
        """From now on these ids, which lead nowhere else, lead to this contact: they are its aliases."""
        self.touch(contact)
        set_aliases(contact, (*aliases_of(contact), *ids))
        for id in ids:
            self.contacts.lead(id, contact)

    cdef int attach(self, Run run) except -1:
        """A run arrives at its wait: into the table and the lists of its contact and its node."""
        self.arrival_count += 1
        run.arrival = self.arrival_count
        self.runs.put(run)
        run.waiting = True
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
        flow.touch()
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
        run.waiting = False
        self.runs.take(run)
        return 0

    cdef int arm(self, Run run, int64_t due_ms) except -1:
        """Give a run its timer."""
        run.due_ms = due_ms
        run.timer = self.wheel.insert(due_ms, run.id)
        run.armed = True
        return 0

    cdef int disarm(self, Run run) except -1:
        """Take its timer away, or its place among those held."""
        if run.armed:
            self.wheel.cancel_soon(run.timer)
            run.armed = False
        else:
            (<FlowCore>run.flow).held.discard((run.due_ms, run.id))
        return 0

    cdef int keep_held(self, FlowCore flow, Run run) except -1:
        """Its wait is over while the flow is paused and holds: it stays until the flow goes on."""
        flow.held.add((run.due_ms, run.id))
        self.holding[flow.no] = flow
        return 0

    def snapshot(self, bint full, Py_ssize_t part_bytes):
        """Start a snapshot of the contacts as they are now, in parts of about `part_bytes`: a part ends with the
        contact that reaches it. Gives the ids deleted since the last one."""
        assert self.packing is None, "one snapshot at a time"
        deleted = self.deleted
        self.packing = Packing()
        self.part_bytes = part_bytes
        self.pending = None if full else self.dirty
        self.pending_at = 0
        self.pending_end = len(self.order)
        self.early = deque()
        self.dirty = Places()
        self.deleted = []
        self.generation += 1
        return deleted

    def snapshot_part(self, Py_ssize_t records_max):
        """The next part with contacts, `["contacts", [[id, packed]]]`: one that is complete already, or what is begun
        with at most so many more. It may hold none where many have been packed early. None when all were given."""
        cdef Contact contact
        cdef int64_t end = self.pending_end if self.pending is None else self.pending.size
        cdef int64_t look_end = min(end, self.pending_at + LOOKED_AT * records_max)
        cdef Py_ssize_t more = records_max
        cdef int64_t place
        cdef object entry
        if self.packing is None:
            return None
        while not self.early and more and self.pending_at < look_end:
            place = self.pending_at if self.pending is None else self.pending.at[self.pending_at]
            self.pending_at += 1
            entry = self.order[place] if place >= 0 else None  # one deleted when it was touched has none
            if entry is None:
                continue
            contact = entry
            if contact.packed == self.generation:
                continue
            self.packed_now(contact)
            more -= 1
        if self.early:
            return self.early.popleft()
        if self.pending_at < end or self.packing.records:
            return self.packing.taken()
        self.abandon_snapshot()
        return None

    def abandon_snapshot(self):
        """No more of it is wanted; unless all was given the next one has to be full."""
        self.packing = None
        self.pending = None
        self.early = None

    def all_packed(self):
        """Every contact packed, in order of id: for the digest."""
        for contact in sorted([entry for entry in self.order if entry is not None], key=_contact_id):
            yield pack_contact(contact)

    # Restoring

    def restore(self, bytes packed not None, frozenset gone not None):
        """Take packed contacts, a MessagePack list of `[id, contact]`, and their runs; all flows are there, by number.
        Those of newer snapshots come first: one who is known already, or is `gone`, is passed over."""
        cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(packed)
        cdef Value pairs = read(at)
        cdef Entry* entries = <Entry*>malloc(max(pairs.n, 1) * sizeof(Entry))
        cdef Entry* one
        cdef uint32_t n
        if entries == NULL:
            raise MemoryError
        if self.reader is None:
            self.reader = Packed(self.flows)
        at = pairs.of.p
        for n in range(pairs.n):  # all their slots are fetched before the first is looked at
            one = &entries[n]
            one.id = read(at + 1)  # behind the head of a list of two
            at = skip(at + 1)
            one.packed = read(at)
            at = skip(at)
            one.hash = self.contacts.hash_of(<const char*>one.id.of.p, one.id.n)
            self.contacts.prefetch(one.hash)
        try:
            for n in range(pairs.n):
                one = &entries[n]
                if self.contacts.found(one.hash, <const char*>one.id.of.p, one.id.n) != NULL:
                    continue
                if gone and PyUnicode_DecodeUTF8(<const char*>one.id.of.p, one.id.n, NULL) in gone:
                    continue
                self.restore_one(one.hash, one.packed.of.p)
        finally:
            free(entries)

    cdef int restore_one(self, uint64_t hash, const uint8_t* packed) except -1:
        cdef Contact contact = self.reader.contact(packed)
        cdef Run run
        PyUnicode_AsUTF8AndSize(contact.id, NULL)
        contact.index = len(self.order)
        self.order.append(contact)
        self.contacts.put(hash, contact)
        for id in aliases_of(contact):
            self.contacts.lead(id, contact)
        for run in self.reader.runs(contact):
            self.runs.put(run)
            run.waiting = True
            self.link_contact(run)
        return 0

    def restored_all(self):
        """After the last `restore`: put contacts in order of id, the runs at each node in order of arrival, and each
        into the wheel or among those held."""
        cdef Py_ssize_t length = len(self.runs)
        cdef Arrival* arrivals = <Arrival*>malloc(max(length, 1) * sizeof(Arrival))
        cdef Py_ssize_t at
        if arrivals == NULL:
            raise MemoryError
        try:
            _gather(self.runs, arrivals)
            qsort(arrivals, length, sizeof(Arrival), _earlier)
            for at in range(length):
                self.restore_wait(<Run>arrivals[at].run)
        finally:
            free(arrivals)
        self.reader = None
        self.ids = SortedList([contact.id for contact in self.order])

    cdef int restore_wait(self, Run run) except -1:
        cdef FlowCore flow = <FlowCore>run.flow
        self.link_node(run)
        if run.arrival <= flow.doom[run.node]:
            flow.doomed[run.node] += 1
        if run.armed:
            self.arm(run, run.due_ms)
        else:
            self.keep_held(flow, run)
        return 0


cdef void _gather(RunTable runs, Arrival* arrivals) noexcept:
    """All runs, in no order."""
    cdef uint64_t places = <uint64_t>runs.slots.mask + 1
    cdef Slot* slot = runs.slots.table
    cdef Slot* end = slot + places
    while slot != end:
        if slot.what != NULL:
            arrivals.run = slot.what
            arrivals.arrival = (<Run>slot.what).arrival
            arrivals += 1
        slot += 1
    if runs.slots.former != NULL:
        slot = runs.slots.former
        end = slot + places // 2
        while slot != end:
            if is_live(slot):
                arrivals.run = slot.what
                arrivals.arrival = (<Run>slot.what).arrival
                arrivals += 1
            slot += 1


cdef int _earlier(const void* one, const void* other) noexcept nogil:
    cdef int64_t first = (<const Arrival*>one).arrival
    cdef int64_t second = (<const Arrival*>other).arrival
    return (first > second) - (first < second)


def _contact_id(Contact contact):
    return contact.id
