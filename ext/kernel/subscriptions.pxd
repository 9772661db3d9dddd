from libc.stdint cimport uint32_t

from ext.kernel.contact cimport Contact
from ext.kernel.flow_filter cimport Matcher
from ext.structures.name_table cimport Names

cdef class Subscriptions:
    cdef Names names                   # of events, as histories number them
    cdef dict goals                    # (FlowCore, NodeCore) of A/B tests, by name of the goal event
    cdef dict triggers                 # FlowCores in order of id, by event name
    cdef list by_number                # the same by number of the name, as far as one was asked for; None: no flow
    cdef dict matchers                 # Matchers, by event name, made at the first such event
    cdef public Py_ssize_t matched_from  # flows of one event name from which they are tried through a Matcher
    cdef bint listening                # some flow has `exit_when` or a wait with `until_event`

    cpdef bint wants(self, str name) except -1
    cdef tuple flows_of(self, uint32_t number, str name)
    cdef bint concerns(self, Contact contact, str name) except -1
    cdef Matcher matcher_of(self, str name, tuple flows)
