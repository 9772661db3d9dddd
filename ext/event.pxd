from libc.stdint cimport int64_t

cpdef enum Kind:
    TRACK = 0
    IDENTIFY = 1
    ALIAS = 2

cdef class Event:
    cdef readonly Kind kind
    cdef readonly int64_t timestamp_ms  # INT64_MIN: not given
    cdef readonly str contact
    cdef readonly str name
    cdef readonly str message_id
    cdef readonly str previous
    cdef readonly bytes body
