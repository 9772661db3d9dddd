from libc.stdint cimport int32_t, int64_t

from ext.kernel.contact cimport Contact
from ext.kernel.subscriptions cimport Subscriptions

cdef class EventQueue:
    cdef Subscriptions subscriptions
    cdef object waiting                # deque of (contact, name, packed, depth, keep)
    cdef dict chained                  # events of chains queued at this instant, by index of the contact
    cdef readonly int64_t cut_count

    cdef bint put(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1
