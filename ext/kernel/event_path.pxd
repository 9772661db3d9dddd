from libc.stdint cimport int32_t, int64_t

from ext.kernel.contact cimport Contact
from ext.kernel.core cimport Core
from ext.kernel.flow cimport FlowCore
from ext.maps.packed_map cimport Kept
from ext.wire.event cimport Event

cdef int take_event(Core core, Event event) except -1
cpdef int drain(Core core) except -1
cdef int try_enter(
    Core core, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth
) except -1
