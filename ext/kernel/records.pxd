from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from ext.kernel.history cimport Series
from ext.maps.packed_map cimport Kept

cdef struct Mark:
    int32_t flow       # number of the flow
    int32_t launches   # rule 13
    int32_t reserved   # runs in progress without a counted step (rule 14)
    bint once          # counted while the mode was `once` (rule 15)
    int64_t last_ms    # the last counted step

cdef struct Ended:
    int64_t run
    int64_t entered_ms
    int64_t left_ms
    int32_t flow
    int32_t node
    int32_t version
    int32_t reason

# Arrays with their sizes before them, each in one block.
cdef struct Marks:
    int64_t size
    Mark[1] all

cdef struct Endings:
    int64_t size
    Ended[1] all

# Neither class has methods of C: without a table of them an object is 8 bytes smaller.

cdef class Contact:
    cdef readonly str id
    cdef Kept* kept                    # its traits
    cdef public tuple segments         # ids, sorted
    cdef public int64_t points
    cdef readonly int64_t created_ms
    cdef Series* series
    cdef Marks* marks                  # one a flow
    cdef Endings* ended                # the last ones, oldest first
    cdef tuple rare                    # None, or (aliases, trials or None)
    cdef void* runs                    # the first of its Runs (not owned)
    cdef int64_t index                 # place in Path.order, -1 once deleted
    cdef uint32_t touched              # snapshot generation in which it last changed
    cdef uint32_t packed               # snapshot generation for which it was packed

cdef int remember(
    Contact contact, uint32_t name, int64_t at_ms, const uint32_t* properties, const double* values, int n
) except -1
cdef int64_t count_of(Contact contact, uint32_t name, int64_t since_ms, int64_t until_ms) noexcept
cdef int64_t last_of(Contact contact, uint32_t name) noexcept
cdef double sum_of(Contact contact, uint32_t name, uint32_t property, int64_t since_ms, int64_t until_ms) noexcept
cdef Mark* mark_of(Contact contact, int32_t flow) noexcept
cdef Mark* mark_or_new(Contact contact, int32_t flow) except NULL
cdef int set_traits(Contact contact, Kept* traits) except -1
cdef tuple aliases_of(Contact contact)      # further ids that lead here
cdef int set_aliases(Contact contact, tuple aliases) except -1
cdef dict trials_of(Contact contact)        # (flow << 32 | node) -> (variant, first arrival ms, orders, revenue), or None
cdef int set_trial(Contact contact, int64_t place, tuple trial) except -1
cdef int add_ended(Contact contact, Ended entry) except -1
cdef int absorb(Contact contact, Contact other) except -1

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
