from libc.stdint cimport uint8_t, uint64_t

cdef uint64_t siphash24_c(const uint8_t* key, const uint8_t* data, Py_ssize_t length) noexcept nogil
cpdef uint64_t siphash24(bytes key, data) except? 0
