from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint64_t

from ext.kernel.contact cimport Contact
from ext.structures.hash_table cimport Slots

cdef class ContactTable:
    cdef Slots slots
    cdef uint8_t[16] key

    cdef uint64_t hash_of(self, const char* id, Py_ssize_t size) noexcept
    cdef void prefetch(self, uint64_t hash) noexcept
    cdef void prefetch_contact(self, uint64_t hash) noexcept
    cdef void prefetch_parts(self, uint64_t hash) noexcept
    cdef PyObject* found(self, uint64_t hash, const char* id, Py_ssize_t size) noexcept
    cdef int put(self, uint64_t hash, Contact contact) except -1
    cdef bint take(self, uint64_t hash, Contact contact) noexcept
