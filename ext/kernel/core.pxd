from libc.stdint cimport int32_t, int64_t, uint32_t

from ext.wire.event cimport Event, Text
from ext.structures.fingerprints cimport Fingerprints
from ext.kernel.flow cimport FlowCore, NodeCore
from ext.maps.packed_map cimport Kept
from ext.expressions.plan cimport Plan
from ext.kernel.records cimport Contact, Run
from ext.kernel.walk cimport Walk

cdef class Path(Walk):
    cdef readonly Fingerprints recent
    cdef dict goals                    # (FlowCore, NodeCore) of A/B tests, by name of the goal event
    cdef dict triggers                 # FlowCores in order of id, by event name
    cdef list asked                    # the same by number of the name, as far as it was asked for; None: no flow
    cdef dict matchers                 # Matchers, by event name, made at the first such event
    cdef public Py_ssize_t matched_from # flows of one event name from which they are tried through a Matcher
    cdef object queue
    cdef dict chained                  # events of chains queued at this instant, by index of the contact
    cdef readonly object dooms         # (flow number, node) whose doomed runs are being ended
    cdef readonly int64_t event_count
    cdef readonly int64_t duplicate_count
    cdef readonly int64_t cut_count
    cdef bint listening                # some flow listens

    cpdef int begin(self, int64_t now_ms) except -1
    cpdef Py_ssize_t fire(self, Py_ssize_t limit) except -1
    cpdef Py_ssize_t take_all(self, list inputs, Py_ssize_t start) except -1
    cpdef bint wants(self, str name) except -1
    cpdef int emit(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1
    cpdef int drain(self) except -1
    cdef int fetch_slots(self, object given) except -1
    cdef int fetch_contact(self, object given) except -1
    cdef int fetch_parts(self, object given) except -1
    cdef int one(self, Event event) except -1
    cdef int identify(self, Contact contact, Event event) except -1
    cdef int arrive(self, Contact contact, Event event) except -1
    cdef tuple asked_by(self, uint32_t number, str name)
    cdef bint concerns(self, Contact contact, str name) except -1
    cdef int mean(self, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, tuple asked) except -1
    cdef int reach_goals(self, Contact contact, str name, int64_t ms, Kept* event) except -1
    cdef int match(self, tuple asked, Contact contact, str name, int64_t ms, Kept* event, int32_t depth) except -1
    cdef int listen(self, Contact contact, str name, int64_t ms, Kept* event, int32_t depth) except -1
    cdef bint heard(
        self, Run run, tuple names, Plan where, str name, int64_t ms, Kept* event
    ) except -1
    cdef str key_of(self, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event)
    cdef int remember_noted(self, Contact contact, uint32_t number, int64_t ms, Event event) except -1
    cdef int remember_packed(self, Contact contact, str name, bytes packed) except -1
    cdef int remember(self, Contact contact, uint32_t number, int64_t ms, Text json) except -1
    cdef int try_enter(self, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth) except -1
