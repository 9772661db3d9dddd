"""A run in memory, and the list of a contact's runs.

The engine owns runs by id (`ext.kernel.run_table`). Contact and node hold intrusive lists of them, so "the runs of
this contact" and "the runs waiting at this node" need no index and cost four pointers a run. What a million runs
have in common is one object: the event's name belongs to the flow, the number of the step carried out to the node.
What few runs have is kept apart (`Run.rare`).

Invariant: the lists are borrowed pointers, so there is no cycle and the class takes no part in garbage collection.
"""

cimport cython
from libc.stdint cimport int64_t

from ext.kernel.contact cimport Contact
from ext.maps.packed_map cimport plain_map, release

from engine.limits import CHAIN_DEPTH_MAX

assert CHAIN_DEPTH_MAX < 1 << 15, "a depth has 16 bits"


@cython.no_gc
@cython.final
cdef class Run:
    """One contact's passage through one flow, from entering to leaving."""

    def __cinit__(self, int64_t id=0):
        self.id = id

    def __dealloc__(self):
        release(self.event)

    @property
    def properties(self):
        """MessagePack map of its event's properties, keys spelled out."""
        return plain_map(self.event)

    @property
    def acted(self):
        """Numbers of the steps it carried out, an int32 each, or None."""
        return acted_of(self)

    @property
    def codes(self):
        """Promo codes issued to it, by pool, or None."""
        return codes_of(self)

    @codes.setter
    def codes(self, dict codes):
        set_rare(self, acted_of(self), codes, run_key_of(self))

    @property
    def key(self):
        """Value of the flow's `run_key` for its event, or None."""
        return run_key_of(self)

    @property
    def armed(self):
        """Whether it has a timer."""
        return self.armed != 0

    @property
    def counted(self):
        """Whether it has a counted step (rule 13)."""
        return self.counted != 0

    @property
    def satisfied(self):
        """Whether the event it waits for has come while its flow was paused."""
        return self.satisfied != 0


cdef bytes acted_of(Run run):
    """Return the numbers of the steps a run carried out, an int32 each, or None."""
    return run.rare[0] if type(run.rare) is tuple else run.rare


cdef dict codes_of(Run run):
    """Return the promo codes issued to a run, by pool, or None."""
    return run.rare[1] if type(run.rare) is tuple else None


cdef str run_key_of(Run run):
    """Return the value of `run_key` under which a run entered, or None."""
    return run.rare[2] if type(run.rare) is tuple else None


cdef int set_rare(Run run, bytes acted, dict codes, str key) except -1:
    """Keep what few runs have, in the smallest form that holds it."""
    run.rare = acted if codes is None and key is None else (acted, codes, key)
    return 0


cpdef list live_runs(Contact contact):
    """Return the runs of a contact that are in progress, in order of their ids."""
    cdef list runs = []
    cdef void* at = contact.runs
    while at != NULL:
        runs.append(<Run>at)
        at = (<Run>at).next_of_contact
    runs.sort(key=_id)
    return runs


def _id(Run run):
    return run.id
