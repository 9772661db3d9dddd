from libc.stdint cimport int64_t, uint32_t

from ext.kernel.contact cimport Contact
from ext.kernel.contact_writer cimport Packing

cdef class IndexList:
    cdef int64_t* at
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    cdef int add(self, int64_t index) except -1

cdef class ContactSnapshot:
    cdef list order                    # of the registry: every contact, None where deleted
    cdef uint32_t generation           # of the last snapshot begun
    cdef Packing packing               # the part begun of the snapshot in progress; None: there is none
    cdef IndexList pending             # where in `order` its contacts are; None: it takes all
    cdef int64_t pending_at            # how far it has been read
    cdef int64_t pending_end           # contacts that there were at its start
    cdef Py_ssize_t part_bytes
    cdef object early                  # deque of complete parts: contacts packed before they changed
    cdef IndexList dirty               # where in `order` those are that changed since the last one
    cdef list deleted                  # ids deleted since

    cdef int changes(self, Contact contact) except -1
    cdef int pack(self, Contact contact) except -1
