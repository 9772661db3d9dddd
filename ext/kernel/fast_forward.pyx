"""The lane of a virtual clock: inputs in order of time, and between them whatever is due, each at its own instant.

In virtual time nearly every event is a batch of its own, and what Python does for a batch (objects for it and its
outcome, a dozen calls) costs several times the event. So batches in which nothing happens but timers and events are
applied here, one after the other, exactly as `Kernel.apply` would; whatever needs more (an operation, an occurrence of
a schedule) is handed back. `tests/reference/clock.py` is the slow twin: a batch an instant, all of them by the kernel.
"""

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from ext.wire.event cimport Event
from ext.kernel.core cimport Path

from engine.limits import BATCH_INPUTS_MAX, REAPED_PER_BATCH_MAX, TIMERS_PER_BATCH_MAX
from engine.tuning import SIMULATED_BATCHES_MAX

cdef Py_ssize_t INPUTS_MAX = BATCH_INPUTS_MAX
cdef Py_ssize_t TIMERS_MAX = TIMERS_PER_BATCH_MAX
cdef Py_ssize_t REAPED_MAX = REAPED_PER_BATCH_MAX
cdef int64_t BATCHES_MAX = SIMULATED_BATCHES_MAX

# Whose turn it is when `drive` comes back.
OVER, AGAIN, OCCURRENCE, INPUTS = range(4)


cpdef int open_batch(Path path, int64_t now_ms, Py_ssize_t timers_max, Py_ssize_t reaped_max) except -1:
    """A batch begins at `now_ms`: timers that are due first, then runs that a launch removed, then held ones."""
    path.begin(now_ms)
    path.fire(timers_max)
    if path.dooms:
        path.reap(reaped_max)
    if path.holding:
        path.release(timers_max)
    return 0


cdef bint due_of(Path path, int64_t* due_ms) except -1:
    """When a timer wants the next batch; False if none does."""
    if path.dooms or (path.holding and path.releasing()):
        due_ms[0] = path.now_ms
        return True
    return path.wheel.peek(due_ms)


def stamped(list events not None):
    cdef Event event
    cdef list timed = []
    for event in events:
        if event.timestamp_ms == INT64_MIN:
            return timed, len(timed)
        timed.append((event.timestamp_ms, event))
    return timed, -1


def misplaced(list timed not None, int64_t after_ms):
    cdef int64_t at_ms
    cdef Py_ssize_t place = 0
    for at_ms, _ in timed:
        if at_ms < after_ms:
            return place
        after_ms = at_ms
        place += 1
    return -1


@cython.final
cdef class Lane:
    def __init__(self, inputs, int64_t now_ms):
        self.inputs = iter(inputs)
        self.ahead = None
        self.group = []
        self.now_ms = now_ms

    cdef bint gather(self) except -1:
        """Have the inputs of the next instant in `group`, as many as fit into a batch; False if there are none left.
        A restart stands alone: what was received before it is a batch, what comes after it another."""
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
        """The inputs that `drive` has stopped before."""
        cdef list group = self.group
        self.group = []
        return group

    def drive(self, Path path not None, until_ms, occurrence_ms, Py_ssize_t effects_max, Py_ssize_t trace_max):
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
            if not due_of(path, &due):
                due = INT64_MAX
            due = max(min(due, occurrence), self.now_ms)
            if due <= target:
                self.now_ms = due
                if due >= occurrence:
                    return OCCURRENCE
                open_batch(path, due, TIMERS_MAX, REAPED_MAX)
            elif not more:
                self.now_ms = max(self.now_ms, target)
                return OVER
            else:
                self.now_ms = target
                if not self.plain:
                    return INPUTS
                open_batch(path, target, TIMERS_MAX, REAPED_MAX)
                path.take_all(self.group, 0)
                self.group = []
            path.mix(path.outbox.last_seq)
            self.batches += 1
            if (
                self.batches >= batches_end
                or len(path.effects) >= effects_max
                or (path.trace is not None and len(path.trace) >= trace_max)
            ):
                return AGAIN
