from libc.stdint cimport uint64_t

cdef class Fingerprints:
    cdef readonly Py_ssize_t capacity
    cdef uint64_t* _ring  # the remembered ones, by time of adding; circular once it holds `capacity`
    cdef Py_ssize_t _ring_room
    cdef Py_ssize_t _count
    cdef uint64_t _total  # ever added; entry number n sits at _ring[n % capacity]
    cdef uint64_t* _table  # open addressing; 0 is an empty place
    cdef uint64_t _mask
    cdef int _shift
    cdef bint _zero  # the fingerprint 0 is remembered

    cpdef bint add(self, uint64_t fingerprint) except -1
    cdef bint has(self, uint64_t fingerprint) noexcept nogil
    cdef void _forget(self) noexcept
    cdef int _grow_table(self) except -1
    cdef int _grow_ring(self) except -1
    cdef void _put(self, uint64_t fingerprint) noexcept nogil
    cdef void _remove(self, uint64_t fingerprint) noexcept nogil
    cpdef bytes pack_since(self, uint64_t mark)
    cpdef unpack(self, bytes data)
