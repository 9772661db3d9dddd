"""Events that the engine itself gives rise to, in order: those of its own and those of `emit` actions (rule 19).

They wait until the input, the timer or the action that caused them is done, and are then worked off first in, first
out. A chain, an event that leads to another, ends at two bounds: CHAIN_DEPTH_MAX events deep, and CHAIN_EVENTS_MAX
events of one contact at one instant, for flows may each launch several others.
"""

cimport cython
from libc.stdint cimport int32_t

from ext.kernel.contact cimport Contact
from ext.kernel.subscriptions cimport Subscriptions

from collections import deque

from engine.limits import CHAIN_DEPTH_MAX, CHAIN_EVENTS_MAX

cdef int32_t DEPTH_MAX = CHAIN_DEPTH_MAX
cdef Py_ssize_t EVENTS_MAX = CHAIN_EVENTS_MAX


@cython.final
cdef class EventQueue:
    """The queue of the engine's own events."""

    def __cinit__(self, Subscriptions subscriptions not None):
        self.subscriptions = subscriptions
        self.waiting = deque()
        self.chained = {}

    cdef bint put(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1:
        """Queue an event unless no flow asks for it. `keep`: it goes into the history, so it is queued in any case.

        Return False if the chain was cut instead."""
        cdef Py_ssize_t chained = 0
        if not (keep or self.subscriptions.wants(name)):
            return True
        if depth > 1:
            chained = self.chained.get(contact.index, 0) + 1
            self.chained[contact.index] = chained
        if depth > DEPTH_MAX or chained > EVENTS_MAX:
            self.cut_count += 1
            return False
        self.waiting.append((contact, name, packed, depth, keep))
        return True
