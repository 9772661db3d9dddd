from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from ext.event cimport Event
from ext.fingerprints cimport Fingerprints
from ext.passages cimport Passages
from ext.predicate cimport Plan, View
from ext.records cimport Contact, Run
from ext.wheel cimport Wheel

cdef class NodeCore:
    cdef readonly int32_t no           # stable over versions of the flow
    cdef readonly str id
    cdef readonly str kind
    cdef int32_t code
    cdef readonly int32_t next         # number of the node behind each edge, -1: the run ends
    cdef readonly int32_t other        # `else`, `over` or `missing`
    cdef readonly Plan plan            # a condition's `when`, a dynamic wait's date
    cdef readonly object planned       # engine.flow.program.PlannedNode, for the cold parts
    cdef int64_t for_ms
    cdef int64_t relevance_ms
    cdef readonly tuple windows
    cdef readonly list branches        # [(name, upper bound in hundredths of a per cent, next)]
    cdef uint8_t[16] salt
    cdef readonly Passages passages
    cdef bint matches                  # a wait with `until_event`
    cdef readonly tuple match_events   # names it waits for; none: any event
    cdef Plan match_where
    cdef bint match_sees_event         # `where` can only be decided at an event

cdef class FlowCore:
    cdef readonly int32_t no
    cdef readonly str id
    cdef readonly int32_t version
    cdef readonly object program
    cdef readonly list nodes           # NodeCore or None, by number
    cdef readonly list ids             # node id, by number
    cdef readonly dict numbers         # number, by node id
    cdef readonly dict passages        # Passages, by node number, kept over versions (rule 23)
    cdef readonly dict branches        # how many took (node number, branch name)
    cdef readonly dict trials          # totals of A/B tests (rule 22), by (node number, variant)
    cdef readonly dict trials_began    # first arrival at an A/B test, ms, by node number
    cdef readonly tuple events         # names that trigger it; none for a schedule
    cdef NodeCore launch
    cdef Plan where
    cdef Plan run_key
    cdef bint exits                    # has `exit_when`
    cdef readonly tuple exit_events    # names it is checked on; none: every event
    cdef Plan exit_where
    cdef readonly bint listens         # events concern its runs: `exit_when`, or a wait with `until_event`
    cdef int32_t mode
    cdef int64_t every_ms
    cdef int64_t max_launches          # -1: no bound
    cdef readonly int64_t start_ms     # INT64_MIN: none
    cdef readonly int64_t end_ms       # INT64_MAX: none
    cdef public int64_t paused_ms      # since when; INT64_MAX: not paused
    cdef readonly bint hold
    cdef readonly object held          # SortedList of (due, run id): runs kept while it is paused (rule 28)
    cdef readonly bint dead            # deleted; its runs are still being ended
    cdef void** heads                  # the runs at each node, in order of arrival
    cdef void** tails
    cdef int64_t* waiting              # how many
    cdef int64_t* doomed               # how many of them are to be ended
    cdef int64_t* doom                 # those that arrived up to this
    cdef int32_t* doom_reason
    cdef int64_t* counts               # COUNTERS a node
    cdef int32_t room

    cdef bint runs_at(self, int64_t ms) noexcept
    cdef int64_t* counters(self, int32_t node) noexcept

cdef class ContactView(View):
    cdef Path path
    cdef Contact contact

cdef class Path:
    cdef readonly bytes key
    cdef readonly dict contacts        # by id; an alias leads to the contact it belongs to
    cdef readonly list order           # every contact in order of creation, None where deleted
    cdef readonly object ids           # SortedList of contact ids: the order of scheduled entries (rule 11)
    cdef readonly dict runs            # waiting runs, by id
    cdef readonly Wheel wheel
    cdef readonly Fingerprints recent
    cdef readonly dict names           # number of an event name
    cdef readonly dict properties      # number of a numeric property's name
    cdef readonly dict flows           # FlowCore, by number
    cdef dict goals                    # (FlowCore, NodeCore) of A/B tests, by name of the goal event
    cdef dict triggers                 # FlowCores in order of id, by event name
    cdef object queue
    cdef readonly dict holding         # FlowCores with held runs, by number
    cdef readonly object dooms         # (flow number, node) whose doomed runs are being ended
    cdef list restored
    cdef ContactView view
    cdef object host
    cdef public list trace             # None: not wanted
    cdef readonly int64_t now_ms
    cdef readonly uint64_t digest
    cdef readonly int64_t run_count
    cdef readonly int64_t arrival_count
    cdef readonly int64_t event_count
    cdef readonly int64_t duplicate_count
    cdef readonly int64_t cut_count
    cdef bint listening                # some flow listens
    cdef bint stale
    cdef uint32_t generation
    cdef bint packing
    cdef bint packing_all
    cdef list pending                  # contacts of the snapshot in progress
    cdef int64_t pending_at
    cdef int64_t pending_end
    cdef list early                    # packed before they changed
    cdef list dirty
    cdef list deleted

    cdef uint32_t number_of(self, dict numbers, str name) except? 0xFFFFFFFF
    cdef Contact known(self, str id)
    cdef int see(self, Contact contact, str name, int64_t ms, bytes properties) except -1
    cdef int one(self, Event event) except -1
    cdef int happen(self, Contact contact, str name, int64_t ms, bytes body, bytes packed, int32_t depth, bint keep) except -1
    cdef int listen(self, Contact contact, str name, int64_t ms, bytes packed, int32_t depth) except -1
    cdef bint heard(
        self, Run run, tuple names, Plan where, str name, int64_t ms, bytes packed
    ) except -1
    cdef bint heard_before(self, Run run, NodeCore node) except -1
    cdef str key_of(self, FlowCore flow, Contact contact, str name, int64_t ms, bytes packed)
    cdef int remember(self, Contact contact, str name, int64_t ms, bytes body) except -1
    cdef int try_enter(self, FlowCore flow, Contact contact, str name, int64_t ms, bytes packed, int32_t depth) except -1
    cdef int enter(
        self, FlowCore flow, Contact contact, str name, int64_t ms, bytes packed, int32_t depth, str key
    ) except -1
    cdef int64_t gate(self, FlowCore flow, Contact contact, int64_t* until) except -2
    cdef int refuse(self, FlowCore flow, Contact contact, dict detail) except -1
    cdef dict condition_detail(self, Plan plan, int truth)
    cdef int step(self, Run run, NodeCore node) except -1
    cdef int32_t branch(self, Run run, NodeCore node) except -2
    cdef int arm(self, Run run, int64_t due_ms) except -1
    cdef int disarm(self, Run run) except -1
    cdef int advance(self, Run run, int32_t at, int32_t no) except -1
    cdef int arrive_at_wait(self, Run run, NodeCore node) except? -1
    cdef int keep_held(self, FlowCore flow, Run run) except -1
    cdef int32_t timed_out(self, FlowCore flow, NodeCore node) noexcept
    cdef int leave_by_event(self, Run run, int32_t depth) except -1
    cdef int leave(self, Run run, int64_t due) except -1
    cdef int finish(self, Run run, int32_t node, int32_t reason) except -1
    cdef int note(self, FlowCore flow, int64_t run, Contact contact, int32_t node, int32_t what, int64_t extra, dict detail) except -1
    cdef int attach(self, Run run) except -1
    cdef int link_contact(self, Run run) except -1
    cdef int unlink_contact(self, Run run) except -1
    cdef int link_node(self, Run run) except -1
    cdef int detach(self, Run run) except -1
    cpdef int touch(self, Contact contact) except -1
