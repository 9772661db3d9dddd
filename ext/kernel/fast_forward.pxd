from libc.stdint cimport int64_t

cdef class FastForward:
    cdef object inputs                 # iterator of (ms, input)
    cdef object ahead                  # the pair behind those of `group`; None: not looked at, or none left
    cdef list group                    # inputs of one instant that are to be received together
    cdef int64_t at_ms                 # that instant
    cdef bint plain                    # all of them are events
    cdef public int64_t now_ms
    cdef readonly int64_t batches      # applied so far

    cdef bint gather(self) except -1
