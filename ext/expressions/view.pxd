"""The view of an expression; see view.pyx."""

from libc.stdint cimport int64_t, uint64_t

from ext.maps.packed_map cimport Kept


cdef class View:
    cdef Kept* kept_traits
    cdef Kept* kept_properties   # NULL: there is no event
    cdef Kept* kept_variables    # NULL: there are none
    cdef public str event_name
    cdef public int64_t event_ms
    cdef public int64_t now_ms
    cdef public int64_t points
    cdef public tuple segments
    cdef public object facts
    cdef uint64_t generation

    cpdef changed(self)
    cdef void look_at(self, Kept* traits, Kept* properties) noexcept
    cdef int64_t count(self, str name, int64_t since_ms, int64_t until_ms) except? -1
    cdef int64_t last(self, str name) except? -1
    cdef double sum(self, str name, str property, int64_t since_ms, int64_t until_ms) except? -1
    cdef int64_t available(self, str pool) except? -1
    cdef bint has_facts(self) noexcept
