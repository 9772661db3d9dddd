"""The contact as an expression sees it: functions of `customer` are answered from its history."""

cimport cython
from libc.stdint cimport INT64_MIN, int64_t

from ext.expressions.view cimport View
from ext.kernel.callbacks cimport Callbacks
from ext.kernel.contact cimport count_of, last_of, sum_of
from ext.structures.name_table cimport Names


@cython.final
cdef class ContactView(View):
    """A view of one contact and one event. `Core.see` points it at both."""

    def __cinit__(self, Names names not None, Names properties not None, Callbacks callbacks not None):
        self.names = names
        self.properties = properties
        self.callbacks = callbacks
        self.revision = -1

    cdef int64_t count(self, str name, int64_t since_ms, int64_t until_ms) except? -1:
        cdef object number = self.names.get(name)
        return 0 if number is None else count_of(self.contact, number, since_ms, until_ms)

    cdef int64_t last(self, str name) except? -1:
        cdef object number = self.names.get(name)
        return INT64_MIN if number is None else last_of(self.contact, number)

    cdef double sum(self, str name, str property, int64_t since_ms, int64_t until_ms) except? -1:
        cdef object number = self.names.get(name)
        cdef object column = self.properties.get(property)
        if number is None or column is None:
            return 0
        return sum_of(self.contact, number, column, since_ms, until_ms)

    cdef int64_t available(self, str pool) except? -1:
        return self.callbacks.available(pool)
