from libc.stdint cimport int64_t, uint8_t

from ext.maps.packed_map cimport Kept
from ext.kernel.contact cimport Contact

cdef class Packing:
    cdef uint8_t* out
    cdef readonly Py_ssize_t size      # bytes written
    cdef readonly Py_ssize_t records   # contacts among them
    cdef Py_ssize_t room
    cdef void** order                  # what is linked in no order is put in order here
    cdef Py_ssize_t order_room

    cdef uint8_t* more(self, Py_ssize_t most) except NULL
    cdef int integer(self, int64_t value) except -1
    cdef int array(self, Py_ssize_t length) except -1
    cdef int text(self, str text) except -1
    cdef int texts(self, tuple texts) except -1
    cdef int data(self, bytes data) except -1
    cdef int map(self, const Kept* kept) except -1
    cdef int raw(self, const char* packed, Py_ssize_t size) except -1
    cdef int listed(self, Py_ssize_t at, void* entry) except -1
    cdef int contact(self, Contact contact) except -1
    cdef int record(self, Contact contact) except -1
    cdef bytes taken(self)
