from libc.stdint cimport int64_t

cdef int64_t MISSING

cdef int64_t parse_utf8(const char* text, Py_ssize_t length) noexcept nogil
cpdef int64_t parse(str text) except? -1
cpdef str format(int64_t ms)
