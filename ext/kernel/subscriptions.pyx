"""Subscriptions to events: flows that one may launch, A/B tests whose goal it is, waiting runs that listen.

Planned anew whenever a flow is launched, changed or deleted (`plan`), and only read in between. An event's name has a
number (`ext.structures.name_table`), so that its flows are found without hashing the name.
"""

cimport cython
from libc.stdint cimport uint32_t

from ext.kernel.contact cimport Contact, trials_of
from ext.kernel.flow cimport KIND_AB_TEST, FlowCore, NodeCore
from ext.kernel.flow_filter cimport Matcher
from ext.structures.name_table cimport NO_NUMBER, Names

from engine.tuning import FLOWS_MATCHED_FROM


@cython.final
cdef class Subscriptions:
    """Flows, A/B tests and runs, by the events that they ask for."""

    def __cinit__(self, Names names not None):
        self.names = names
        self.goals = {}
        self.triggers = {}
        self.by_number = []
        self.matchers = {}
        self.matched_from = FLOWS_MATCHED_FROM

    def plan(self, dict flows not None):
        """Find out what each of these flows (FlowCore, by number) asks for. Paused ones stay in: events skip them."""
        cdef FlowCore flow
        cdef dict triggers = {}
        self.matchers = {}
        self.goals = {}
        for flow in sorted(flows.values(), key=_id):
            for name in () if flow.dead else flow.events:
                triggers.setdefault(name, []).append(flow)
            for node in () if flow.dead else flow.nodes:
                if node is not None and (<NodeCore>node).code == KIND_AB_TEST:
                    goal = node.planned.node.goal.event
                    self.goals[goal] = (*self.goals.get(goal, ()), (flow, node))
        self.triggers = {name: tuple(launched) for name, launched in triggers.items()}
        self.by_number = []
        self.listening = any((<FlowCore>flow).listens and not (<FlowCore>flow).dead for flow in flows.values())

    cpdef bint wants(self, str name) except -1:
        """Whether an event of this name may have an effect, for an event of the engine's own."""
        return self.listening or name in self.triggers or name in self.goals

    cdef tuple flows_of(self, uint32_t number, str name):
        """Return the flows that an event may launch, in order of their ids, or None. `number`: of its name."""
        if number == NO_NUMBER:
            return self.triggers.get(name)
        while <uint32_t>len(self.by_number) <= number:
            self.by_number.append(self.triggers.get(<str>self.names.texts[len(self.by_number)]))
        return <tuple>self.by_number[number]

    cdef bint concerns(self, Contact contact, str name) except -1:
        """Whether an event that launches no flow may still have an effect: it is a goal of an A/B test that the contact
        came to, or one of the contact's runs may listen for it."""
        return (trials_of(contact) is not None and name in self.goals) or (self.listening and contact.runs != NULL)

    cdef Matcher matcher_of(self, str name, tuple flows):
        """Return the matcher over all flows of an event name, made at the first call."""
        cdef Matcher matcher = self.matchers.get(name)
        if matcher is None:
            matcher = self.matchers[name] = Matcher(flows)
        return matcher


def _id(FlowCore flow):
    return flow.id
