from libc.stdint cimport int64_t, uint8_t, uint32_t

from ext.kernel.history cimport Series
from ext.maps.packed_map cimport Kept
from ext.kernel.contact cimport Contact
from ext.kernel.run cimport Run
from ext.expressions.value cimport Value

cdef class Packed:
    cdef const uint8_t* at     # what is read next
    cdef dict flows            # FlowCore, by number
    cdef dict shared           # texts and bytes that many have in common, one object each
    cdef str name              # the last event name read

    cdef Value next(self) noexcept
    cdef int64_t number(self) noexcept
    cdef uint32_t enter(self) noexcept
    cdef str text(self)
    cdef bytes data(self)
    cdef Kept* map(self) except? NULL
    cdef object common(self, object read)
    cdef tuple texts(self)
    cdef Contact contact(self, const uint8_t* at)
    cdef int history(self, Contact contact) except -1
    cdef uint32_t columns(self, uint32_t* properties) noexcept
    cdef void fill(self, Series* series, const uint8_t* instants) noexcept
    cdef int frequency(self, Contact contact) except -1
    cdef int trials(self, Contact contact) except -1
    cdef int endings(self, Contact contact) except -1
    cdef list runs(self, Contact contact)
    cdef Run run(self, Contact contact)
    cdef str event_name(self)
    cdef bytes steps(self)
    cdef dict codes(self)
