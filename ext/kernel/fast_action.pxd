from libc.stdint cimport int32_t, int64_t

from ext.kernel.trait_edits cimport Edits

cdef enum:
    ASK, SEND, POINTS, SEGMENT, UPDATE, EMIT

cdef class Deed:
    cdef int code
    cdef readonly int32_t place        # of the action in its step
    cdef readonly dict entry           # how the trace begins to tell of it: the action, and its channel
    cdef str channel
    cdef bytes channel_key             # the same as a key of `subscriptions`
    cdef bytes address_key             # trait that holds the address, or None
    cdef bint transactional
    cdef bint empty
    cdef object message
    cdef str suffix                    # of the effect's id
    cdef int64_t change
    cdef tuple add
    cdef tuple remove
    cdef tuple events                  # packed properties of `Segment Entered`, then `Segment Left`, in that order
    cdef Edits edits
    cdef str name
    cdef bytes packed
