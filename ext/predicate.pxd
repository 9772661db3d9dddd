"""Planned expressions and what they see; see predicate.pyx."""

from libc.stdint cimport int64_t, uint64_t

from ext.value cimport Fault


cdef class View:
    cdef public bytes traits
    cdef public bytes properties
    cdef public str event_name
    cdef public int64_t event_ms
    cdef public int64_t now_ms
    cdef public int64_t points
    cdef public tuple segments
    cdef public bytes variables
    cdef public object facts
    cdef uint64_t generation

    cpdef changed(self)
    cdef int64_t count(self, str name, int64_t since_ms, int64_t until_ms) except? -1
    cdef int64_t last(self, str name) except? -1
    cdef double sum(self, str name, str property, int64_t since_ms, int64_t until_ms) except? -1
    cdef int64_t available(self, str pool) except? -1


cdef class Plan:
    cdef readonly str text
    cdef void* root           # the ext.node Node evaluated
    cdef list parts
    cdef dict places
    cdef Fault fault

    cpdef bint test(self, View view) except *
    cpdef object value(self, View view)
    cdef int run(self, View view) except -2   # 1 true, 0 false, -1 an error (see `error`); -2 raises: a fault of the engine's own
