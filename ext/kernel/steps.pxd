from libc.stdint cimport int32_t, int64_t, uint8_t

from ext.kernel.fast_action cimport Deed
from ext.kernel.flow cimport NodeCore
from ext.kernel.records cimport Contact, Run
from ext.kernel.registry cimport Roster

cdef class Acting(Roster):
    cdef object host
    cdef public object outbox          # engine.kernel.outbox.Outbox
    cdef public list effects           # those of the batch
    cdef public tuple channels         # configured ones; None: every channel

    cdef int32_t act(self, Run run, NodeCore node, list entries) except -1
    cdef int32_t carry_out(self, Run run, NodeCore node, Deed deed) except -1
    cdef int32_t send(self, Run run, NodeCore node, Deed deed) except -1
    cdef int32_t points(self, Run run, Deed deed) except -1
    cdef int32_t segment(self, Run run, Deed deed) except -1
    cdef int32_t update(self, Run run, Deed deed) except -1
    cpdef bint wants(self, str name) except -1
    cpdef int emit(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1
