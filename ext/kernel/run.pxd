from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t

from ext.kernel.contact cimport Contact
from ext.maps.packed_map cimport Kept

# It has no methods of C: without a table of them an object is 8 bytes smaller.
cdef class Run:
    cdef readonly int64_t id
    cdef readonly Contact contact
    cdef readonly object flow          # the FlowCore
    cdef readonly int64_t entered_ms
    cdef public int64_t logical_ms     # rule 2
    cdef readonly int64_t due_ms       # end of the wait
    cdef readonly int64_t arrival      # its place among all arrivals at waits: the order of the list at a node
    cdef uint64_t timer                # handle in the wheel
    cdef readonly int64_t event_ms
    cdef readonly str event_name       # None: entered by a schedule
    cdef Kept* event                   # its properties; NULL: none
    cdef object rare                   # None; the steps it carried out; or (these or None, promo codes, key)
    cdef void* next_of_contact
    cdef void* previous_of_contact
    cdef void* next_at_node
    cdef void* previous_at_node
    cdef readonly int32_t version      # that entered it
    cdef readonly int32_t node         # number of the node where it is
    cdef readonly int16_t depth        # rule 19
    cdef uint8_t waiting               # is in the table and in both lists
    cdef uint8_t armed                 # has a timer
    cdef uint8_t counted               # rule 13: has a counted step
    cdef uint8_t satisfied             # the event it waits for has come (while its flow was paused)

cdef bytes acted_of(Run run)                # numbers of the steps it carried out, int32 each; None: none yet
cdef dict codes_of(Run run)
cdef str run_key_of(Run run)
cdef int set_rare(Run run, bytes acted, dict codes, str key) except -1
cpdef list live_runs(Contact contact)
