"""Virtual time: inputs in order of time, and between them all that is due, each at its own instant.

In virtual time nearly every event is a batch of its own. The objects and calls with which Python applies a batch cost
several times the event. So batches of timers and events alone are applied here, one after the other, exactly as
`Kernel.apply` would. Anything else, an operation or an occurrence of a schedule, is handed back to Python.
`tests/reference/clock.py` is the slow twin: a batch for each instant, all applied by the kernel.
"""

cimport cython
from libc.stdint cimport INT64_MAX, int64_t

from ext.kernel.batch cimport open_batch, take_events
from ext.kernel.core cimport Core
from ext.wire.event cimport Event

from ext.kernel.batch import is_releasing

from engine.limits import BATCH_INPUTS_MAX, REAPED_PER_BATCH_MAX, TIMERS_PER_BATCH_MAX
from engine.tuning import SIMULATED_BATCHES_MAX

cdef Py_ssize_t INPUTS_MAX = BATCH_INPUTS_MAX
cdef Py_ssize_t TIMERS_MAX = TIMERS_PER_BATCH_MAX
cdef Py_ssize_t REAPED_MAX = REAPED_PER_BATCH_MAX
cdef int64_t BATCHES_MAX = SIMULATED_BATCHES_MAX

# Why `drive` returns: time is over, enough has gathered, or Python has to apply an occurrence or some inputs.
OVER, AGAIN, OCCURRENCE, INPUTS = range(4)


cdef bint _due_of(Core core, int64_t* due_ms) except -1:
    """Find when the next batch is due without inputs. Return False if none is."""
    if core.registry.dooms or (core.registry.holding and is_releasing(core)):
        due_ms[0] = core.now_ms
        return True
    return core.registry.wheel.peek(due_ms)


@cython.final
cdef class FastForward:
    """Inputs on their way through virtual time, and how far it has come."""

    def __init__(self, inputs, int64_t now_ms):
        self.inputs = iter(inputs)
        self.ahead = None
        self.group = []
        self.now_ms = now_ms

    cdef bint gather(self) except -1:
        """Collect the inputs of the next instant in `group`, as many as fit into a batch. Return False after the last.

        A restart is a group of its own, between the batches before and after it."""
        cdef int64_t at_ms
        if self.group:
            return True
        self.plain = True
        if self.ahead is None:
            self.ahead = next(self.inputs, None)
        while self.ahead is not None:
            at_ms, item = self.ahead
            if self.group and (at_ms != self.at_ms or len(self.group) == INPUTS_MAX):
                break
            if type(item) is not Event:
                if item.op == "restart":
                    if not self.group:
                        self.at_ms, self.plain = at_ms, False
                        self.group.append(item)
                        self.ahead = None
                    break
                self.plain = False
            self.at_ms = at_ms
            self.group.append(item)
            self.ahead = next(self.inputs, None)
        return len(self.group) > 0

    def take(self):
        """Return the inputs that `drive` has stopped before."""
        cdef list group = self.group
        self.group = []
        return group

    def drive(self, Core core not None, until_ms, occurrence_ms, Py_ssize_t effects_max, Py_ssize_t trace_max):
        """Apply batch after batch, up to one that needs Python; see the stub."""
        cdef int64_t until = INT64_MAX if until_ms is None else until_ms
        cdef int64_t occurrence = INT64_MAX if occurrence_ms is None else occurrence_ms
        cdef int64_t batches_end = self.batches + BATCHES_MAX
        cdef int64_t target
        cdef int64_t due = 0
        cdef bint more
        while True:
            more = self.gather() and self.at_ms <= until
            if more:
                target = max(self.at_ms, self.now_ms)
            else:
                target = self.now_ms if until_ms is None else until
            if not _due_of(core, &due):
                due = INT64_MAX
            due = max(min(due, occurrence), self.now_ms)
            if due <= target:
                self.now_ms = due
                if due >= occurrence:
                    return OCCURRENCE
                open_batch(core, due, TIMERS_MAX, REAPED_MAX)
            elif not more:
                self.now_ms = max(self.now_ms, target)
                return OVER
            else:
                self.now_ms = target
                if not self.plain:
                    return INPUTS
                open_batch(core, target, TIMERS_MAX, REAPED_MAX)
                take_events(core, self.group, 0)
                self.group = []
            core.recorder.end_batch(core.outbox.last_seq)
            self.batches += 1
            if (
                self.batches >= batches_end
                or len(core.effects) >= effects_max
                or (core.recorder.trace is not None and len(core.recorder.trace) >= trace_max)
            ):
                return AGAIN
