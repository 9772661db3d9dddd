from libc.stdint cimport int64_t

from ext.expressions.view cimport View
from ext.kernel.callbacks cimport Callbacks
from ext.kernel.contact cimport Contact
from ext.structures.name_table cimport Names

cdef class ContactView(View):
    cdef Names names                   # of events kept in histories
    cdef Names properties              # of their numbers
    cdef Callbacks callbacks
    cdef Contact contact
    cdef int64_t revision              # of the registry when the view was pointed at the contact
