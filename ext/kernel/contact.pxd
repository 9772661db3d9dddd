from libc.stdint cimport int32_t, int64_t, uint32_t

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

# It has no methods of C: without a table of them an object is 8 bytes smaller.
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
    cdef int64_t index                 # place in Registry.order, -1 once deleted
    cdef uint32_t touched              # snapshot generation in which it last changed
    cdef uint32_t packed               # snapshot generation for which it was packed

cdef class Trial:
    cdef readonly str variant          # drawn for the contact, for ever
    cdef readonly int64_t first_ms     # first arrival at the test
    cdef readonly int64_t orders       # goal events since, within the window
    cdef readonly object revenue       # of these, in hundredths of the currency; may outgrow 64 bits

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
cdef dict trials_of(Contact contact)        # (flow << 32 | node) -> Trial, or None
cdef int set_trial(Contact contact, int64_t place, Trial trial) except -1
cdef int add_ended(Contact contact, Ended entry) except -1
cdef int absorb(Contact contact, Contact other) except -1
