from libc.stdint cimport uint64_t

cdef class Fingerprints:
    cdef readonly Py_ssize_t capacity
    cdef Py_ssize_t _span  # capacity and slack
    cdef uint64_t* _ring  # by time of adding; circular once it holds `_span`
    cdef Py_ssize_t _ring_room
    cdef Py_ssize_t _count
    cdef uint64_t _total  # ever added; entry number n sits at _ring[n % _span]
    cdef uint64_t* _table  # open addressing; 0 is an empty place
    cdef uint64_t _mask
    cdef int _shift
    cdef uint64_t* _former  # the table before it doubled, while entries move; else NULL
    cdef uint64_t* _coming  # the table after it has doubled, taken beforehand; else NULL
    cdef size_t _touched  # bytes of it
    cdef Py_ssize_t _moved
    cdef Py_ssize_t _to_move
    cdef uint64_t _held  # the entries from this number
    cdef uint64_t _held_end  # to before this one are still to be read
    cdef bytearray _spilled  # those before them, or None
    cdef bint _zero  # the fingerprint 0 is remembered

    cpdef bint add(self, uint64_t fingerprint) except -1
    cdef bint has(self, uint64_t fingerprint) noexcept nogil
    cdef void prefetch(self, uint64_t fingerprint, Py_ssize_t ahead) noexcept nogil
    cpdef forget(self)
    cdef int _prepare(self) except -1
    cdef int _grow_table(self) except -1
    cdef int _grow_ring(self) except -1
    cdef void _put(self, uint64_t fingerprint) noexcept nogil
    cdef void _remove(self, uint64_t fingerprint) noexcept nogil
    cdef void _move(self, Py_ssize_t most) noexcept
    cdef int _spill(self) except -1
    cdef bytes _packed(self, uint64_t first, uint64_t end)
    cdef uint64_t _first_since(self, uint64_t mark) except? 0
    cpdef bytes pack_since(self, uint64_t mark)
    cpdef unpack(self, bytes data)
