from libc.stdint cimport int64_t, uint8_t, uint64_t

from ext.kernel.contact cimport Contact
from ext.kernel.contact_reader cimport Packed
from ext.kernel.contact_snapshot cimport ContactSnapshot
from ext.kernel.contact_table cimport ContactTable
from ext.kernel.flow cimport FlowCore
from ext.kernel.run cimport Run
from ext.kernel.run_table cimport RunTable
from ext.structures.wheel cimport Wheel

cdef class Registry:
    cdef readonly ContactTable contacts  # by id; an alias leads to the contact it belongs to
    cdef readonly list order           # every contact in order of creation, None where deleted
    cdef readonly object ids           # SortedList of contact ids: the order of scheduled entries (rule 11)
    cdef readonly RunTable runs        # waiting runs, by id
    cdef readonly Wheel wheel          # their timers
    cdef readonly dict flows           # FlowCore, by number
    cdef readonly dict holding         # FlowCores with held runs, by number
    cdef readonly object dooms         # deque of (flow number, node) whose doomed runs are being ended
    cdef readonly int64_t arrival_count
    cdef readonly ContactSnapshot snapshot
    cdef int64_t revision              # grows with every change of a contact, a run or the time
    cdef Packed reader                 # while a snapshot is being restored

    cdef Contact create(self, str id, uint64_t hash, int64_t now_ms)
    cdef Run run_of(self, int64_t id)
    cpdef int touch(self, Contact contact) except -1
    cdef int restore_one(self, uint64_t hash, const uint8_t* packed) except -1
    cdef int restore_wait(self, Run run) except -1
    cdef int attach(self, Run run) except -1
    cdef int link_contact(self, Run run) except -1
    cdef int unlink_contact(self, Run run) except -1
    cdef int link_node(self, Run run) except -1
    cdef int detach(self, Run run) except -1
    cdef int arm(self, Run run, int64_t due_ms) except -1
    cdef int disarm(self, Run run) except -1
    cdef int keep_held(self, FlowCore flow, Run run) except -1
