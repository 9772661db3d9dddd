from libc.stdint cimport int32_t, int64_t, uint8_t

from ext.kernel.limit_window cimport Passages
from ext.kernel.trial_totals cimport TrialTotals
from ext.expressions.plan cimport Plan

cdef enum:
    ENTERED, REFUSED, CONDITION, BRANCH, WAITING, EXECUTED, NOT_SENT, FAILED, EXPIRED, PASSED, OVER, LEFT, WHATS_END

cdef enum:
    COMPLETED, NO_DATE, LIMIT_REACHED, STOPPED, REMOVED, DELETED, EXITED, REASONS_END

# Counters of a node: one a what, one a reason, then these.
cdef enum:
    ARRIVED = WHATS_END + REASONS_END
    TRUE
    FALSE
    COUNTERS

cdef enum:
    KIND_LAUNCH, KIND_STEP, KIND_WAIT, KIND_CONDITION, KIND_SPLIT, KIND_AB_TEST, KIND_LIMIT

cdef enum:
    MODE_EVERY_TIME, MODE_ONCE, MODE_PERIODICALLY

cdef enum:
    FAN_MAX = 5  # branches of a node

cdef class NodeCore:
    cdef readonly int32_t no           # stable over versions of the flow
    cdef readonly str id
    cdef readonly str kind
    cdef int32_t code
    cdef readonly int32_t next         # number of the node behind each edge, -1: the run ends
    cdef readonly int32_t other        # `else`, `over` or `missing`
    cdef readonly Plan plan            # a condition's `when`, a dynamic wait's date
    cdef bytes acted                   # its number, as a run that carried it out keeps it
    cdef readonly tuple deeds          # of a step: its actions, each an ext.kernel.fast_action.Deed
    cdef readonly object planned       # engine.flow.program.PlannedNode, for the cold parts
    cdef int64_t for_ms
    cdef int64_t relevance_ms
    cdef readonly tuple windows
    cdef int32_t fan                   # how many branches
    cdef int32_t[FAN_MAX] uppers       # their upper bounds in hundredths of a per cent
    cdef int32_t[FAN_MAX] targets      # the node behind each
    cdef int32_t[FAN_MAX] taken        # where FlowCore counts each
    cdef readonly tuple branches       # their names
    cdef uint8_t[16] salt
    cdef int drawn(self, const char* what, Py_ssize_t size) noexcept
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
    cdef dict taken_at                 # place in `taken`, by (node number, branch name)
    cdef int64_t* taken                # how many took a branch
    cdef int32_t taken_room
    cdef readonly dict trials          # TrialTotals (rule 22), by (node number, variant)
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
    cdef bint wanted                   # by the snapshot in progress, which gets it as it is now
    cdef dict kept                     # packed for it before it changed

    cdef int touch(self) except -1
    cdef TrialTotals totals_of(self, int32_t no, str variant)
    cdef bint runs_at(self, int64_t ms) noexcept
    cdef int64_t* counters(self, int32_t node) except NULL
