"""A snapshot of the contacts, read in parts while batches go on changing them.

It is consistent as of the batch it was begun after, however long it takes to read: a contact that is about to change
before its turn is packed first (`changes`). So reading costs the loop one part at a time, and nothing is copied.

Each snapshot has a generation. A contact carries two of them: `touched`, in which it last changed, and `packed`, for
which it was packed last.

Invariant: while a snapshot is in progress, each of its contacts is either packed for its generation, or as it was at
the beginning. `dirty` holds exactly the contacts touched in the present generation.
"""

cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc

from ext.kernel.contact cimport Contact
from ext.kernel.contact_writer cimport Packing

from collections import deque

cdef enum:
    LOOKED_AT = 8  # contacts looked at for each that is packed: seeing that it was packed takes an eighth of the time


@cython.final
cdef class IndexList:
    """Indexes in the order in which they were added.

    Rejected: a list of a million contacts, as many references for the garbage collector to follow and to free."""

    def __dealloc__(self):
        free(self.at)

    cdef int add(self, int64_t index) except -1:
        """Append an index."""
        cdef void* block
        if self.size == self.room:
            block = realloc(self.at, (2 * self.room + 64) * sizeof(int64_t))
            if block == NULL:
                raise MemoryError
            self.at = <int64_t*>block
            self.room = 2 * self.room + 64
        self.at[self.size] = index
        self.size += 1
        return 0


@cython.final
cdef class ContactSnapshot:
    """The contacts changed since the last snapshot, and the snapshot in progress."""

    def __cinit__(self, list order not None):
        self.order = order
        self.generation = 1
        self.dirty = IndexList()
        self.deleted = []

    cdef int changes(self, Contact contact) except -1:
        """Pack a contact for the snapshot in progress, which is about to change for the first time since it began."""
        if (
            self.packing is not None
            and contact.packed != self.generation
            and contact.index < self.pending_end
            and (self.pending is None or contact.touched == self.generation - 1)
        ):
            self.pack(contact)
        contact.touched = self.generation
        return self.dirty.add(contact.index)

    cdef int pack(self, Contact contact) except -1:
        """Add a contact to the part begun; a part that is full is set aside."""
        self.packing.record(contact)
        contact.packed = self.generation
        if self.packing.size >= self.part_bytes:
            self.early.append(self.packing.taken())
        return 0

    def begin(self, bint full, Py_ssize_t part_bytes):
        """Begin a snapshot of the contacts as they are now; return the ids deleted since the last one.

        A part ends with the contact by which it reaches `part_bytes`. `full`: all contacts, not only changed ones."""
        assert self.packing is None, "one snapshot at a time"
        deleted = self.deleted
        self.packing = Packing()
        self.part_bytes = part_bytes
        self.pending = None if full else self.dirty
        self.pending_at = 0
        self.pending_end = len(self.order)
        self.early = deque()
        self.dirty = IndexList()
        self.deleted = []
        self.generation += 1
        return deleted

    def part(self, Py_ssize_t records_max):
        """Return the next part, `["contacts", [[id, packed]]]`, or None after the last.

        It is one that is complete already, or the one begun with at most `records_max` more contacts. It may be empty
        where many contacts have been packed early."""
        cdef Contact contact
        cdef int64_t end = self.pending_end if self.pending is None else self.pending.size
        cdef int64_t look_end = min(end, self.pending_at + LOOKED_AT * records_max)
        cdef Py_ssize_t more = records_max
        cdef int64_t index
        cdef object entry
        if self.packing is None:
            return None
        while not self.early and more and self.pending_at < look_end:
            index = self.pending_at if self.pending is None else self.pending.at[self.pending_at]
            self.pending_at += 1
            entry = self.order[index] if index >= 0 else None  # one deleted when it was touched has no index
            if entry is None:
                continue
            contact = entry
            if contact.packed == self.generation:
                continue
            self.pack(contact)
            more -= 1
        if self.early:
            return self.early.popleft()
        if self.pending_at < end or self.packing.records:
            return self.packing.taken()
        self.abandon()
        return None

    def abandon(self):
        """Drop the snapshot in progress. Unless it was read to its end, the next one has to be a full one."""
        self.packing = None
        self.pending = None
        self.early = None
