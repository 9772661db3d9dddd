from cpython.ref cimport PyObject
from libc.stdint cimport int64_t

from ext.kernel.run cimport Run
from ext.structures.hash_table cimport Slots

cdef class RunTable:
    cdef Slots slots

    cdef PyObject* found(self, int64_t id) noexcept
    cdef void prefetch(self, int64_t id) noexcept
    cdef int put(self, Run run) except -1
    cdef bint take(self, Run run) noexcept
