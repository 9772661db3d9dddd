from libc.stdint cimport int32_t, int64_t, uint64_t

from ext.kernel.steps cimport Acting
from ext.kernel.flow cimport FlowCore, NodeCore
from ext.maps.packed_map cimport Kept
from ext.structures.name_table cimport Names
from ext.expressions.plan cimport Plan, View
from ext.kernel.records cimport Contact, Run

cdef enum:
    OPEN, GATE_ONCE, GATE_MAX, GATE_RESERVED, GATE_PERIOD

cdef enum:
    NOTED_MAX = 1024

cdef class ContactView(View):
    cdef Walk walk
    cdef Contact contact

cdef class Walk(Acting):
    cdef readonly Names names          # of events kept in histories
    cdef readonly Names properties     # of their numbers
    cdef ContactView view
    cdef public list trace             # None: not wanted
    cdef readonly uint64_t digest      # over all that happened up to the end of the last batch
    cdef int64_t[NOTED_MAX] noted      # what happened since, folded into it a thousand words at a time
    cdef int noted_size
    cdef readonly int64_t run_count

    cdef int see(self, Contact contact, str name, int64_t ms, Kept* event) except -1
    cdef int note(self, FlowCore flow, int64_t run, Contact contact, int32_t node, int32_t what, int64_t extra, dict detail) except -1
    cdef void fold(self) noexcept
    cpdef int mix(self, int64_t value) except -1
    cdef int64_t gate(self, FlowCore flow, Contact contact, int64_t* until) except -2
    cdef int enter(
        self, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, str key
    ) except -1
    cdef int refuse(self, FlowCore flow, Contact contact, dict detail) except -1
    cdef int advance(self, Run run, int32_t at, int32_t no) except -1
    cdef dict condition_detail(self, Plan plan, int truth)
    cdef int step(self, Run run, NodeCore node) except -1
    cdef int32_t branch(self, Run run, NodeCore node) except -2
    cdef int variant(self, Run run, NodeCore node) except -1
    cdef int arrive_at_wait(self, Run run, NodeCore node) except? -1
    cdef bint heard_before(self, Run run, NodeCore node) except -1
    cdef int32_t timed_out(self, FlowCore flow, NodeCore node) except -3
    cdef int leave_by_event(self, Run run, int32_t depth) except -1
    cdef int leave(self, Run run, int64_t due) except -1
    cdef int finish(self, Run run, int32_t node, int32_t reason) except -1
