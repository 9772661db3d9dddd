from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.kernel.contact_table cimport ContactTable
from ext.kernel.flow cimport FlowCore
from ext.kernel.contact_reader cimport Packed
from ext.kernel.contact_writer cimport Packing
from ext.kernel.records cimport Contact, Run
from ext.kernel.run_table cimport RunTable
from ext.structures.wheel cimport Wheel

cdef class Places:
    cdef int64_t* at
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    cdef int add(self, int64_t place) except -1

cdef class Roster:
    cdef readonly bytes key            # of the data directory, 16 bytes
    cdef readonly ContactTable contacts  # by id; an alias leads to the contact it belongs to
    cdef readonly list order           # every contact in order of creation, None where deleted
    cdef readonly object ids           # SortedList of contact ids: the order of scheduled entries (rule 11)
    cdef readonly RunTable runs        # waiting runs, by id
    cdef readonly Wheel wheel
    cdef readonly dict flows           # FlowCore, by number
    cdef readonly dict holding         # FlowCores with held runs, by number
    cdef readonly int64_t now_ms
    cdef readonly int64_t arrival_count
    cdef bint stale
    cdef Packed reader                 # while a snapshot is being restored
    cdef uint32_t generation
    cdef Packing packing               # the part begun of the snapshot in progress, or None
    cdef Places pending                # where in `order` the contacts of the snapshot in progress are; None: all are
    cdef int64_t pending_at
    cdef int64_t pending_end           # contacts that there were at its start
    cdef Py_ssize_t part_bytes
    cdef object early                  # deque of complete parts: contacts packed before they changed
    cdef Places dirty                  # where in `order` those are that changed since the last one
    cdef list deleted

    cdef int created(self, Contact contact) except -1
    cdef Contact known(self, str id)
    cdef Contact known_by(self, const char* id, Py_ssize_t size, uint64_t hash)
    cdef Contact create(self, str id, uint64_t hash)
    cdef Run run_of(self, int64_t id)
    cpdef int touch(self, Contact contact) except -1
    cdef int restore_one(self, uint64_t hash, const uint8_t* packed) except -1
    cdef int restore_wait(self, Run run) except -1
    cdef int packed_now(self, Contact contact) except -1
    cdef int attach(self, Run run) except -1
    cdef int link_contact(self, Run run) except -1
    cdef int unlink_contact(self, Run run) except -1
    cdef int link_node(self, Run run) except -1
    cdef int detach(self, Run run) except -1
    cdef int arm(self, Run run, int64_t due_ms) except -1
    cdef int disarm(self, Run run) except -1
    cdef int keep_held(self, FlowCore flow, Run run) except -1
