from libc.stdint cimport int64_t

cdef struct Instant:
    int64_t ms
    int64_t through  # passages ever recorded up to and including this instant

cdef class Passages:
    cdef readonly int64_t max
    cdef readonly int64_t per_ms  # -1: over all time
    cdef readonly int64_t total  # passages ever recorded
    cdef int64_t _kept  # at least so many of the newest stay known, whatever the window
    cdef int64_t _before  # passages older than the first of the ring
    cdef Instant* _ring
    cdef Py_ssize_t _room  # a power of two, or 0
    cdef Py_ssize_t _first
    cdef Py_ssize_t _length

    cpdef bint pass_(self, int64_t now_ms) except -1
    cpdef int64_t count(self, int64_t now_ms) noexcept
    cpdef resize(self, int64_t max, int64_t per_ms=*)
    cpdef bytes pack(self)
    cpdef unpack(self, bytes data)
    cdef Instant* _at(self, Py_ssize_t n) noexcept nogil
    cdef int64_t _through(self, int64_t ms) noexcept nogil
    cdef int _reserve(self, Py_ssize_t length) except -1
