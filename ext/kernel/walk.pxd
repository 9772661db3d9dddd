from libc.stdint cimport int32_t, int64_t

from ext.kernel.contact cimport Contact
from ext.kernel.core cimport Core
from ext.kernel.flow cimport FlowCore
from ext.kernel.run cimport Run
from ext.maps.packed_map cimport Kept

# What frequency says to an entry: nothing against it, or what refuses it.
cdef enum:
    OPEN, GATE_ONCE, GATE_MAX, GATE_RESERVED, GATE_PERIOD

cdef int64_t gate(Core core, FlowCore flow, Contact contact, int64_t* until) except -2
cdef int enter(
    Core core, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, str key
) except -1
cdef int refuse(Core core, FlowCore flow, Contact contact, dict detail) except -1
cdef int leave_by_event(Core core, Run run, int32_t depth) except -1
cdef int leave(Core core, Run run, int64_t due) except -1
cdef int finish(Core core, Run run, int32_t node, int32_t reason) except -1
