"""The view of an expression: the packed contact, the event, the clock, and facts that are asked for.

The kernel subclasses View and answers `count`, `last`, `sum` and `available` from its own records without a Python
object in between. Tests and tools set `facts`, any object with the same four methods, instead.

Results are remembered per generation. Generations are counted over all views, so what one view remembered can never
be taken for another's; whoever sets an attribute calls `changed()` before the next evaluation.
"""

from ext.wire.instant cimport MISSING
from ext.maps.packed_map cimport EMPTY, Kept, kept_of, plain_map, release, share

cdef uint64_t generations = 0


cdef class View:
    def __cinit__(self):
        self.kept_traits = EMPTY
        self.segments = ()
        self.changed()

    def __dealloc__(self):
        release(self.kept_traits)
        release(self.kept_properties)
        release(self.kept_variables)

    cpdef changed(self):
        """Begin a new generation, because the view or the history behind it changed: remembered results are void."""
        global generations
        generations += 1
        self.generation = generations

    cdef void look_at(self, Kept* traits, Kept* properties) noexcept:
        """Set the maps, which the view shares: they stay in place as long as it looks at them."""
        share(traits)
        share(properties)
        release(self.kept_traits)
        release(self.kept_properties)
        self.kept_traits = traits
        self.kept_properties = properties

    @property
    def traits(self):
        return plain_map(self.kept_traits)

    @traits.setter
    def traits(self, bytes packed not None):
        cdef Kept* kept = kept_of(packed)
        release(self.kept_traits)
        self.kept_traits = kept

    @property
    def properties(self):
        return plain_map(self.kept_properties)

    @properties.setter
    def properties(self, bytes packed):
        cdef Kept* kept = NULL if packed is None else kept_of(packed)
        release(self.kept_properties)
        self.kept_properties = kept

    @property
    def variables(self):
        return plain_map(self.kept_variables)

    @variables.setter
    def variables(self, bytes packed):
        cdef Kept* kept = NULL if packed is None else kept_of(packed)
        release(self.kept_variables)
        self.kept_variables = kept

    cdef bint has_facts(self) noexcept:
        """Whether somebody answers the four questions below."""
        return self.facts is not None or type(self) is not View

    cdef int64_t count(self, str name, int64_t since_ms, int64_t until_ms) except? -1:
        """Count the events of a name with since < timestamp <= until."""
        return self.facts.count(name, since_ms, until_ms)

    cdef int64_t last(self, str name) except? -1:
        """Return the timestamp of the latest event of a name, `ext.wire.instant.MISSING` if there is none."""
        answer = self.facts.last(name)
        return MISSING if answer is None else answer

    cdef double sum(self, str name, str property, int64_t since_ms, int64_t until_ms) except? -1:
        """Sum of a numeric property of the events that `count` counts."""
        return self.facts.sum(name, property, since_ms, until_ms)

    cdef int64_t available(self, str pool) except? -1:
        """Count the codes left in a promo pool."""
        return self.facts.available(pool)
