from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #define TM_NO_NUMBER 0xFFFFFFFFu
    """
    const uint32_t NO_NUMBER "TM_NO_NUMBER"

cdef struct Named:
    const char* at     # NULL: nothing is here
    uint32_t size
    uint32_t number

cdef class Names:
    cdef readonly list texts           # by number
    cdef Py_ssize_t most
    cdef uint64_t seed
    cdef Named* table
    cdef uint64_t mask

    cdef Named* place(self, const char* at, uint32_t size) noexcept
    cdef uint32_t found(self, const char* at, uint32_t size) noexcept
    cdef uint32_t number(self, const char* at, uint32_t size) except? NO_NUMBER
    cdef uint32_t number_of(self, str text) except? NO_NUMBER
    cdef int add(self, str text) except -1
