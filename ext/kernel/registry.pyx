"""Contacts, waiting runs and flows of an engine, and where each is found.

A run that waits is in the table of runs, in the list of its contact and in the list of its node. It has either a timer
in the wheel or, while its flow is paused and holds, a place among the held ones of its flow.

`revision` counts changes: whatever was computed from a contact at another revision is out of date. `touch` comes
before each change; it is also how the snapshot in progress gets a contact's former state.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort

from ext.kernel.contact_table cimport ContactTable
from ext.kernel.flow cimport FlowCore
from ext.kernel.contact_reader cimport Packed
from ext.kernel.contact cimport Contact, absorb, aliases_of, set_aliases
from ext.kernel.contact_snapshot cimport ContactSnapshot
from ext.kernel.run cimport Run, live_runs
from ext.kernel.run_table cimport RunTable
from ext.structures.hash_table cimport Slot, is_live
from ext.expressions.value cimport Value, read
from ext.maps.msgpack cimport skip
from ext.structures.wheel cimport Wheel

from collections import deque

from sortedcontainers import SortedList

from ext.kernel.contact_writer import pack_contact

cdef struct PackedEntry:
    Value id
    Value packed
    uint64_t hash


cdef struct Arrival:
    int64_t arrival
    void* run


@cython.final
cdef class Registry:
    """The contacts, runs and flows of an engine."""

    def __cinit__(self, bytes key not None):
        self.contacts = ContactTable(key)
        self.order = []
        self.ids = SortedList()
        self.runs = RunTable()
        self.flows = {}
        self.holding = {}
        self.dooms = deque()
        self.wheel = Wheel(0)
        self.snapshot = ContactSnapshot(self.order)

    def contact(self, str id not None):
        """Return the contact of an id, or None."""
        return self.contacts.get(id)

    cdef Contact create(self, str id, uint64_t hash, int64_t now_ms):
        """Add a contact of an id that leads to none. `hash`: `ContactTable.hash_of` the id."""
        cdef Contact contact = Contact.__new__(Contact, id, now_ms)
        PyUnicode_AsUTF8AndSize(id, NULL)
        contact.index = len(self.order)
        self.order.append(contact)
        self.contacts.put(hash, contact)
        self.ids.add(id)
        self.touch(contact)
        return contact

    cdef Run run_of(self, int64_t id):
        """Return the waiting run of an id, which comes from a timer or from the held ones."""
        cdef PyObject* found = self.runs.found(id)
        assert found != NULL, "a run that waits is in the table"
        return <Run>found

    cpdef int touch(self, Contact contact) except -1:
        """Call before a contact or one of its runs changes."""
        self.revision += 1
        return 0 if contact.touched == self.snapshot.generation else self.snapshot.changes(contact)

    def merge(self, Contact contact not None, Contact previous not None):
        """Move all of `previous` but its traits to `contact`. `previous` is gone, and its ids lead to `contact` (rule 30)."""
        cdef Run run
        cdef tuple ids = (*aliases_of(previous), previous.id)
        self.touch(contact)
        self.touch(previous)
        absorb(contact, previous)
        for run in live_runs(previous):
            self.unlink_contact(run)
            run.contact = contact
            self.link_contact(run)
        self.forget(previous)
        self.lead(ids, contact)

    def forget(self, Contact contact not None):
        """Remove a contact, which has no runs any more."""
        assert contact.runs == NULL
        self.touch(contact)
        self.order[contact.index] = None
        contact.index = -1
        self.snapshot.deleted.append(contact.id)
        for id in (contact.id, *aliases_of(contact)):
            self.contacts.forget(id, contact)
        self.ids.remove(contact.id)

    def lead(self, tuple ids not None, Contact contact not None):
        """Make these ids, which lead to no contact yet, aliases of a contact."""
        self.touch(contact)
        set_aliases(contact, (*aliases_of(contact), *ids))
        for id in ids:
            self.contacts.lead(id, contact)

    cdef int attach(self, Run run) except -1:
        """Add a run that arrives at its wait to the table and to the lists of its contact and its node."""
        self.arrival_count += 1
        run.arrival = self.arrival_count
        self.runs.put(run)
        run.waiting = True
        self.link_contact(run)
        self.link_node(run)
        return 0

    cdef int link_contact(self, Run run) except -1:
        """Put a run first in the list of its contact."""
        run.previous_of_contact = NULL
        run.next_of_contact = run.contact.runs
        if run.contact.runs != NULL:
            (<Run>run.contact.runs).previous_of_contact = <void*>run
        run.contact.runs = <void*>run
        return 0

    cdef int unlink_contact(self, Run run) except -1:
        """Take a run out of the list of its contact."""
        if run.previous_of_contact != NULL:
            (<Run>run.previous_of_contact).next_of_contact = run.next_of_contact
        else:
            run.contact.runs = run.next_of_contact
        if run.next_of_contact != NULL:
            (<Run>run.next_of_contact).previous_of_contact = run.previous_of_contact
        return 0

    cdef int link_node(self, Run run) except -1:
        """Put a run last in the list of its node: it is the newest arrival."""
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
        """Take a run out of the table and both lists. The caller holds a reference to it."""
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
        """Cancel the timer of a run, or take it out of the held ones."""
        if run.armed:
            self.wheel.cancel_soon(run.timer)
            run.armed = False
        else:
            (<FlowCore>run.flow).held.discard((run.due_ms, run.id))
        return 0

    cdef int keep_held(self, FlowCore flow, Run run) except -1:
        """Keep a run whose wait ended while its flow is paused and holds; it leaves when the flow goes on (rule 28)."""
        flow.held.add((run.due_ms, run.id))
        self.holding[flow.no] = flow
        return 0

    def all_packed(self):
        """Yield every contact packed, in order of id, for the digest."""
        for contact in sorted([entry for entry in self.order if entry is not None], key=_contact_id):
            yield pack_contact(contact)

    # Restoring

    def restore(self, bytes packed not None, frozenset gone not None):
        """Add packed contacts, a MessagePack list of `[id, contact]`, and their runs. Their flows are there already.

        Newer snapshots come first, so a contact that is known already, or `gone`, is skipped."""
        cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(packed)
        cdef Value pairs = read(at)
        cdef PackedEntry* entries = <PackedEntry*>malloc(max(pairs.n, 1) * sizeof(PackedEntry))
        cdef PackedEntry* entry
        cdef uint32_t n
        if entries == NULL:
            raise MemoryError
        if self.reader is None:
            self.reader = Packed(self.flows)
        at = pairs.of.p
        for n in range(pairs.n):  # all their slots are fetched before the first is looked at
            entry = &entries[n]
            entry.id = read(at + 1)  # behind the head of a list of two
            at = skip(at + 1)
            entry.packed = read(at)
            at = skip(at)
            entry.hash = self.contacts.hash_of(<const char*>entry.id.of.p, entry.id.n)
            self.contacts.prefetch(entry.hash)
        try:
            for n in range(pairs.n):
                entry = &entries[n]
                if self.contacts.found(entry.hash, <const char*>entry.id.of.p, entry.id.n) != NULL:
                    continue
                if gone and PyUnicode_DecodeUTF8(<const char*>entry.id.of.p, entry.id.n, NULL) in gone:
                    continue
                self.restore_one(entry.hash, entry.packed.of.p)
        finally:
            free(entries)

    cdef int restore_one(self, uint64_t hash, const uint8_t* packed) except -1:
        """Add one packed contact and its runs."""
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
        """Finish after the last `restore`: contacts in order of id, the runs at each node in order of arrival, each run
        with its timer or among the held ones."""
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
        """Put a restored run into the list of its node, and give it its timer or its place among the held ones."""
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
    """Write all runs of a table to `arrivals`, in no order."""
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
