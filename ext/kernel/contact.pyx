"""A contact in memory.

A million contacts have to fit into a few hundred megabytes, and an event may touch only a few cache lines. So:

* traits are a packed map (`ext.maps.packed_map`), which predicates read in place; they are never a dict;
* history (`ext.kernel.history`) is one block of memory for each event name;
* frequency is a `Mark` for each flow, and the last ended runs are a small array;
* a contact does not own its runs (`ext.kernel.run`): it holds the first of an intrusive list of them.

Invariant: no object reachable from a contact refers back to it, so the class takes no part in garbage collection.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint32_t
from libc.string cimport memmove

from ext.kernel.history cimport *
from ext.maps.packed_map cimport EMPTY, Kept, kept_of, plain_map, release, share

from engine.limits import ENDED_RUNS_PER_CONTACT_MAX

cdef int32_t ENDED_MAX = ENDED_RUNS_PER_CONTACT_MAX


@cython.no_gc
@cython.final
cdef class Contact:
    """One contact. Only the kernel changes it, after `Registry.touch`, which hands the snapshot its former state."""

    def __cinit__(self, str id not None, int64_t created_ms):
        self.id = id
        self.created_ms = created_ms
        self.kept = EMPTY
        self.segments = ()

    def __dealloc__(self):
        release(self.kept)
        history_free(self.series)
        PyMem_Free(self.marks)
        PyMem_Free(self.ended)

    @property
    def traits(self):
        """MessagePack map of the traits, keys spelled out."""
        return plain_map(self.kept)

    @traits.setter
    def traits(self, bytes packed not None):
        cdef Kept* kept = kept_of(packed)
        set_traits(self, kept)
        release(kept)

    @property
    def aliases(self):
        """Further ids that lead to this contact."""
        return aliases_of(self)

    @property
    def trials(self):
        """Dict of `Trial` by `flow << 32 | node`, or None."""
        return trials_of(self)

    def events(self):
        """Return `[(name number, events kept, latest timestamp in ms)]`, in order of the name's number."""
        cdef Series* series = self.series
        cdef list found = []
        while series != NULL:
            found.append((series.name, series.size, history_last(series)))
            series = series.next
        return sorted(found)

    # Frequency (rules 12 to 15)

    def frequency(self):
        """Return `[(flow number, launches, reserved, once, last_ms or None)]`, in order of the flow's number."""
        cdef Mark* mark
        cdef list found = []
        cdef int64_t i
        if self.marks != NULL:
            for i in range(self.marks.size):
                mark = &self.marks.all[i]
                last = None if mark.last_ms == INT64_MIN else mark.last_ms
                found.append((mark.flow, mark.launches, mark.reserved, bool(mark.once), last))
        return sorted(found)

    # A/B tests (rules 21, 22)

    def packed_trials(self):
        """Return the trials in order of their places. Revenue is text, because it may outgrow 64 bits."""
        return [(place, (<Trial>trial).packed()) for place, trial in sorted((trials_of(self) or {}).items())]

    # Runs

    def ended_runs(self):
        """Return `[(run, flow number, version, node number, entered_ms, left_ms, reason)]`, oldest first."""
        cdef list found = []
        cdef Ended* e
        cdef int64_t i
        if self.ended != NULL:
            for i in range(self.ended.size):
                e = &self.ended.all[i]
                found.append((e.run, e.flow, e.version, e.node, e.entered_ms, e.left_ms, e.reason))
        return found

    # Snapshots

    def packed_history(self):
        """Return `[(name number, instants, [(property number, numbers)])]`, in order of the name's number."""
        cdef Series* series = self.series
        cdef list histories = []
        cdef list columns
        cdef int32_t i, column
        while series != NULL:
            columns = []
            for column in range(series.columns):
                if not history_empty(series, column):
                    numbers = [column_of(series, column)[i] for i in range(series.size)]
                    columns.append((properties_of(series)[column], numbers))
            histories.append((series.name, [instants_of(series)[i] for i in range(series.size)], columns))
            series = series.next
        histories.sort(key=_first)
        return histories


cdef int remember(
    Contact contact, uint32_t name, int64_t at_ms, const uint32_t* properties, const double* values, int n
) except -1:
    """Keep an event: its instant and `n` numeric properties. Beyond the bound the oldest is forgotten."""
    return history_remember(&contact.series, name, at_ms, properties, values, n)


cdef int64_t count_of(Contact contact, uint32_t name, int64_t since_ms, int64_t until_ms) noexcept:
    """Count the events of a name with since < timestamp <= until."""
    cdef Series* series = history_place(&contact.series, name)[0]
    return 0 if series == NULL else history_count(series, since_ms, until_ms)


cdef int64_t last_of(Contact contact, uint32_t name) noexcept:
    """Return the latest timestamp of a name in ms, INT64_MIN if it has no event."""
    cdef Series* series = history_place(&contact.series, name)[0]
    return INT64_MIN if series == NULL else history_last(series)


cdef double sum_of(Contact contact, uint32_t name, uint32_t property, int64_t since_ms, int64_t until_ms) noexcept:
    """Sum a numeric property over (since, until], in order of time."""
    cdef Series* series = history_place(&contact.series, name)[0]
    return 0 if series == NULL else history_sum(series, property, since_ms, until_ms)


cdef Mark* mark_of(Contact contact, int32_t flow) noexcept:
    """Return the mark of a flow, NULL if the contact has none."""
    cdef int64_t i
    if contact.marks != NULL:
        for i in range(contact.marks.size):
            if contact.marks.all[i].flow == flow:
                return &contact.marks.all[i]
    return NULL


cdef Mark* mark_or_new(Contact contact, int32_t flow) except NULL:
    """Return the mark of a flow, added if missing. The pointer is valid until the contact gets another mark."""
    cdef Mark* mark = mark_of(contact, flow)
    cdef int64_t size = 0 if contact.marks == NULL else contact.marks.size
    cdef Marks* marks
    if mark != NULL:
        return mark
    marks = <Marks*>PyMem_Realloc(contact.marks, sizeof(int64_t) + (size + 1) * sizeof(Mark))
    if marks == NULL:
        raise MemoryError
    contact.marks = marks
    marks.size = size + 1
    mark = &marks.all[size]
    mark.flow = flow
    mark.launches = mark.reserved = 0
    mark.once = False
    mark.last_ms = INT64_MIN
    return mark


cdef int set_traits(Contact contact, Kept* traits) except -1:
    """Replace the traits by a map that both share."""
    cdef Kept* former = contact.kept
    contact.kept = share(traits)
    release(former)
    return 0


cdef tuple aliases_of(Contact contact):
    """Return the further ids that lead to a contact."""
    return () if contact.rare is None else contact.rare[0]


cdef int set_aliases(Contact contact, tuple aliases) except -1:
    """Replace the further ids that lead to a contact."""
    trials = trials_of(contact)
    contact.rare = (aliases, trials) if aliases or trials else None
    return 0


cdef dict trials_of(Contact contact):
    """Return the A/B tests that a contact came to, or None."""
    return None if contact.rare is None else contact.rare[1]


cdef int set_trial(Contact contact, int64_t place, Trial trial) except -1:
    """Keep what a contact did in the A/B test at `flow << 32 | node`."""
    if trials_of(contact) is None:
        contact.rare = (aliases_of(contact), {})
    trials_of(contact)[place] = trial
    return 0


cdef int add_ended(Contact contact, Ended entry) except -1:
    """Keep a run that ended; beyond the bound the oldest is dropped."""
    cdef Endings* ended = contact.ended
    cdef int64_t size = 0 if ended == NULL else ended.size
    if size == ENDED_MAX:
        size -= 1
        memmove(ended.all, &ended.all[1], size * sizeof(Ended))
    else:
        ended = <Endings*>PyMem_Realloc(ended, sizeof(int64_t) + (size + 1) * sizeof(Ended))
        if ended == NULL:
            raise MemoryError
        contact.ended = ended
    ended.all[size] = entry
    ended.size = size + 1
    return 0


cdef int absorb(Contact contact, Contact other) except -1:
    """Take over history, frequency, trials, segments, points and ended runs of another contact (alias).

    Runs and traits are moved by the caller."""
    cdef Series* series = other.series
    cdef Mark* theirs
    cdef Mark* mine
    cdef uint32_t[64] properties
    cdef double[64] values
    cdef int32_t i, column
    cdef int64_t at
    cdef int n
    while series != NULL:
        for i in range(series.size):
            n = 0
            for column in range(series.columns):
                if not isnan(column_of(series, column)[i]):
                    properties[n] = properties_of(series)[column]
                    values[n] = column_of(series, column)[i]
                    n += 1
            remember(contact, series.name, instants_of(series)[i], properties, values, n)
        series = series.next
    if other.marks != NULL:
        for at in range(other.marks.size):
            theirs = &other.marks.all[at]
            mine = mark_or_new(contact, theirs.flow)
            mine.launches += theirs.launches
            mine.reserved += theirs.reserved
            mine.once = mine.once or theirs.once
            mine.last_ms = max(mine.last_ms, theirs.last_ms)
    if trials_of(other) is not None:
        for place, trial in {**trials_of(other), **(trials_of(contact) or {})}.items():
            set_trial(contact, place, trial)
    contact.segments = tuple(sorted(set(contact.segments) | set(other.segments)))
    contact.points += min(other.points, INT64_MAX - contact.points)
    contact.created_ms = min(contact.created_ms, other.created_ms)
    both = sorted([*contact.ended_runs(), *other.ended_runs()], key=_left_at)
    PyMem_Free(contact.ended)
    contact.ended = NULL  # of both the last ones are kept
    for run, flow, version, node, entered_ms, left_ms, reason in both:
        add_ended(contact, 
            Ended(run=run, entered_ms=entered_ms, left_ms=left_ms, flow=flow, node=node, version=version, reason=reason)
        )
    return 0


def _left_at(tuple ended):
    return ended[5], ended[0]


def _first(tuple entry):
    return entry[0]


@cython.final
cdef class Trial:
    """A contact in an A/B test (rules 21, 22). Never changed: an order makes another one."""

    def __init__(self, str variant not None, int64_t first_ms, int64_t orders, revenue):
        self.variant = variant
        self.first_ms = first_ms
        self.orders = orders
        self.revenue = revenue

    def packed(self):
        """Return `(variant, first_ms, orders, revenue as text)`, the form in snapshots."""
        return self.variant, self.first_ms, self.orders, str(self.revenue)
