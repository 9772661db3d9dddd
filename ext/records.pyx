"""What the engine holds in memory of a contact and of a run.

A million contacts have to fit into a few hundred megabytes and an event may touch only a few cache lines, so:

* traits and a run's event are packed MessagePack, read in place by predicates, never dicts;
* history is one `Series` per event name: an ascending array of timestamps (rule 10: the newest 256) and, beside
  it, one `Column` of doubles per numeric property, for `customer.sum`;
* frequency is a `Mark` per flow, the last ended runs are a small ring;
* a contact does not own its runs: the engine does, by run id; contact and node hold intrusive lists of them, so
  "the runs of this contact" and "the runs waiting at this node" need no index and cost four pointers a run.

Neither class takes part in garbage collection: there are no cycles (the lists are borrowed pointers).
"""

cimport cython
from libc.math cimport NAN, isnan
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memmove

from msgspec.msgpack import encode as pack_value

from engine.limits import (
    ENDED_RUNS_PER_CONTACT_MAX,
    HISTORY_EVENTS_PER_NAME_MAX,
    HISTORY_PROPERTIES_PER_NAME_MAX,
)

cdef int32_t HISTORY_MAX = HISTORY_EVENTS_PER_NAME_MAX
cdef int32_t COLUMNS_MAX = HISTORY_PROPERTIES_PER_NAME_MAX
cdef int32_t ENDED_MAX = ENDED_RUNS_PER_CONTACT_MAX
cdef bytes NO_TRAITS = b"\x80"


cdef int32_t _after(const int64_t* at, int32_t size, int64_t ms) noexcept nogil:
    """How many of the ascending instants are <= ms. Most events arrive in order: look at the end first."""
    cdef int32_t low = 0
    cdef int32_t high = size
    cdef int32_t middle
    if size == 0 or at[size - 1] <= ms:
        return size
    while low < high:
        middle = (low + high) // 2
        if at[middle] <= ms:
            low = middle + 1
        else:
            high = middle
    return low


cdef void _free_series(Series* series) noexcept nogil:
    cdef Series* following
    cdef Column* column
    cdef Column* next_column
    while series != NULL:
        following = series.next
        column = series.columns
        while column != NULL:
            next_column = column.next
            free(column.values)
            free(column)
            column = next_column
        free(series.at)
        free(series)
        series = following


cdef int _grow(Series* series) except -1:
    cdef int32_t room = 2 if series.room == 0 else min(series.room * 2, HISTORY_MAX)
    cdef void* block = realloc(series.at, room * sizeof(int64_t))
    if block == NULL:
        raise MemoryError
    series.at = <int64_t*>block
    cdef Column* column = series.columns
    while column != NULL:
        block = realloc(column.values, room * sizeof(double))
        if block == NULL:
            raise MemoryError
        column.values = <double*>block
        column = column.next
    series.room = room
    return 0


cdef bint _is_empty(const Column* column, int32_t size) noexcept nogil:
    cdef int32_t i
    for i in range(size):
        if not isnan(column.values[i]):
            return False
    return True


cdef int32_t _drop_empty(Series* series) noexcept nogil:
    """Let go of the columns whose numbers have all been forgotten; how many are left."""
    cdef Column** link = &series.columns
    cdef Column* column
    cdef int32_t left = 0
    while link[0] != NULL:
        column = link[0]
        if _is_empty(column, series.size):
            link[0] = column.next
            free(column.values)
            free(column)
        else:
            left += 1
            link = &column.next
    return left


cdef Column* _column(Series* series, uint32_t property) except? NULL:
    """The column of a property, made (all NaN) where there is none. NULL: there are as many others as are kept.
    Columns stand in order of their properties, so that the same history is the same list."""
    cdef Column** link = &series.columns
    cdef Column* column
    cdef int32_t columns = 0
    cdef int32_t i
    while link[0] != NULL:
        if link[0].property == property:
            return link[0]
        link = &link[0].next
        columns += 1
    if columns >= COLUMNS_MAX and _drop_empty(series) >= COLUMNS_MAX:
        return NULL
    column = <Column*>malloc(sizeof(Column))
    if column == NULL:
        raise MemoryError
    column.values = <double*>malloc(max(series.room, 1) * sizeof(double))
    if column.values == NULL:
        free(column)
        raise MemoryError
    for i in range(series.size):
        column.values[i] = NAN
    column.property = property
    link = &series.columns
    while link[0] != NULL and link[0].property < property:
        link = &link[0].next
    column.next = link[0]
    link[0] = column
    return column


@cython.no_gc
@cython.final
cdef class Contact:
    """One contact. Changed only by the path and the kernel, who tell the snapshot beforehand."""

    def __cinit__(self, str id not None, int64_t created_ms):
        self.id = id
        self.created_ms = created_ms
        self.traits = NO_TRAITS
        self.segments = ()
        self.aliases = ()

    def __dealloc__(self):
        cdef Mark* mark = self.marks
        cdef Mark* following
        _free_series(self.series)
        while mark != NULL:
            following = mark.next
            free(mark)
            mark = following
        free(self.ended)

    # History (rule 10)

    cdef Series* series_of(self, uint32_t name) noexcept:
        cdef Series* series = self.series
        while series != NULL:
            if series.name == name:
                return series
            series = series.next
        return NULL

    cdef int remember(
        self, uint32_t name, int64_t at_ms, const uint32_t* properties, const double* values, int n
    ) except -1:
        """Keep an event: its instant and `n` numeric properties. Beyond the bound the oldest is forgotten."""
        cdef Series* series = self.series_of(name)
        cdef Column* column
        cdef int32_t place, i
        if series == NULL:
            series = <Series*>malloc(sizeof(Series))
            if series == NULL:
                raise MemoryError
            series.name = name
            series.size = series.room = 0
            series.at = NULL
            series.columns = NULL
            series.next = self.series
            self.series = series
        place = _after(series.at, series.size, at_ms)
        if series.size == HISTORY_MAX:
            if place == 0:
                return 0  # older than all that is kept
            memmove(series.at, series.at + 1, (place - 1) * sizeof(int64_t))
            column = series.columns
            while column != NULL:
                memmove(column.values, column.values + 1, (place - 1) * sizeof(double))
                column.values[place - 1] = NAN
                column = column.next
            place -= 1
        else:
            if series.size == series.room:
                _grow(series)
            memmove(series.at + place + 1, series.at + place, (series.size - place) * sizeof(int64_t))
            column = series.columns
            while column != NULL:
                memmove(column.values + place + 1, column.values + place, (series.size - place) * sizeof(double))
                column.values[place] = NAN
                column = column.next
            series.size += 1
        series.at[place] = at_ms
        for i in range(n):
            column = _column(series, properties[i])
            if column != NULL:
                column.values[place] = values[i]
        return 0

    cdef int64_t count(self, uint32_t name, int64_t since_ms, int64_t until_ms) noexcept:
        """Events of a name with since < timestamp <= until."""
        cdef Series* series = self.series_of(name)
        if series == NULL or until_ms <= since_ms:
            return 0
        return _after(series.at, series.size, until_ms) - _after(series.at, series.size, since_ms)

    cdef int64_t last(self, uint32_t name) noexcept:
        """The latest timestamp of a name; INT64_MIN if there is none."""
        cdef Series* series = self.series_of(name)
        return INT64_MIN if series == NULL or series.size == 0 else series.at[series.size - 1]

    cdef double sum(self, uint32_t name, uint32_t property, int64_t since_ms, int64_t until_ms) noexcept:
        """Sum of a numeric property over (since, until], added in order of time."""
        cdef Series* series = self.series_of(name)
        cdef Column* column
        cdef double total = 0
        cdef int32_t i
        if series == NULL:
            return 0
        column = series.columns
        while column != NULL and column.property != property:
            column = column.next
        if column == NULL:
            return 0
        for i in range(_after(series.at, series.size, since_ms), _after(series.at, series.size, until_ms)):
            if not isnan(column.values[i]):
                total += column.values[i]
        return total

    def events(self):
        """`[(name number, events kept, latest timestamp)]`, in order of the name's number."""
        cdef Series* series = self.series
        cdef list found = []
        while series != NULL:
            found.append((series.name, series.size, series.at[series.size - 1]))
            series = series.next
        return sorted(found)

    # Frequency (rules 12 to 15)

    cdef Mark* mark(self, int32_t flow) noexcept:
        cdef Mark* mark = self.marks
        while mark != NULL:
            if mark.flow == flow:
                return mark
            mark = mark.next
        return NULL

    cdef Mark* mark_or_new(self, int32_t flow) except NULL:
        cdef Mark* mark = self.mark(flow)
        if mark != NULL:
            return mark
        mark = <Mark*>malloc(sizeof(Mark))
        if mark == NULL:
            raise MemoryError
        mark.flow = flow
        mark.launches = mark.reserved = 0
        mark.once = False
        mark.last_ms = INT64_MIN
        mark.next = self.marks
        self.marks = mark
        return mark

    def frequency(self):
        """`[(flow number, launches, reserved, once, last_ms or None)]`, in order of the flow's number."""
        cdef Mark* mark = self.marks
        cdef list found = []
        while mark != NULL:
            last = None if mark.last_ms == INT64_MIN else mark.last_ms
            found.append((mark.flow, mark.launches, mark.reserved, bool(mark.once), last))
            mark = mark.next
        return sorted(found)

    # A/B tests (rules 21, 22)

    cpdef set_trial(self, int64_t place, tuple trial):
        """Keep `(variant, first arrival ms, orders, revenue in hundredths)` of the test at `flow << 32 | node`."""
        if self.trials is None:
            self.trials = {}
        self.trials[place] = trial

    def packed_trials(self):
        """The trials in order of their places; revenue may outgrow 64 bits, hence as text."""
        kept = {} if self.trials is None else self.trials
        return [(place, (*trial[:3], str(trial[3]))) for place, trial in sorted(kept.items())]

    # Runs

    cdef int add_ended(self, Ended entry) except -1:
        cdef void* block
        if self.ended_size == ENDED_MAX:
            memmove(self.ended, self.ended + 1, (ENDED_MAX - 1) * sizeof(Ended))
            self.ended_size -= 1
        else:
            block = realloc(self.ended, (self.ended_size + 1) * sizeof(Ended))
            if block == NULL:
                raise MemoryError
            self.ended = <Ended*>block
        self.ended[self.ended_size] = entry
        self.ended_size += 1
        return 0

    def ended_runs(self):
        """`[(run, flow number, version, node number, entered_ms, left_ms, reason)]`, oldest first."""
        cdef list found = []
        cdef Ended* e
        cdef int32_t i
        for i in range(self.ended_size):
            e = &self.ended[i]
            found.append((e.run, e.flow, e.version, e.node, e.entered_ms, e.left_ms, e.reason))
        return found

    def live_runs(self):
        """Its runs in progress, in order of their ids."""
        cdef list found = []
        cdef void* at = self.runs
        while at != NULL:
            found.append(<Run>at)
            at = (<Run>at).next_of_contact
        found.sort(key=_run_id)
        return found

    cdef int absorb(self, Contact other) except -1:
        """Take over history, frequency, trials, segments, points and ended runs of another contact (alias).
        Runs and traits are the path's and the kernel's business."""
        cdef Series* series = other.series
        cdef Column* column
        cdef Mark* theirs = other.marks
        cdef Mark* mine
        cdef uint32_t[64] properties
        cdef double[64] values
        cdef int32_t i
        cdef int n
        while series != NULL:
            for i in range(series.size):
                n = 0
                column = series.columns
                while column != NULL and n < 64:
                    if not isnan(column.values[i]):
                        properties[n] = column.property
                        values[n] = column.values[i]
                        n += 1
                    column = column.next
                self.remember(series.name, series.at[i], properties, values, n)
            series = series.next
        while theirs != NULL:
            mine = self.mark_or_new(theirs.flow)
            mine.launches += theirs.launches
            mine.reserved += theirs.reserved
            mine.once = mine.once or theirs.once
            mine.last_ms = max(mine.last_ms, theirs.last_ms)
            theirs = theirs.next
        if other.trials is not None:
            self.trials = {**other.trials, **(self.trials or {})}
        self.segments = tuple(sorted(set(self.segments) | set(other.segments)))
        self.points += min(other.points, INT64_MAX - self.points)
        self.created_ms = min(self.created_ms, other.created_ms)
        both = sorted([*self.ended_runs(), *other.ended_runs()], key=_left_at)
        self.ended_size = 0  # the ring keeps the last ones
        for run, flow, version, node, entered_ms, left_ms, reason in both:
            self.add_ended(
                Ended(run=run, entered_ms=entered_ms, left_ms=left_ms, flow=flow, node=node, version=version, reason=reason)
            )
        return 0

    # Snapshots

    def pack(self):
        """All of it as one MessagePack array, its runs included; the same state gives the same bytes."""
        cdef Series* series = self.series
        cdef Column* column
        cdef list histories = []
        cdef list columns
        cdef int32_t i
        while series != NULL:
            columns = []
            column = series.columns
            while column != NULL:
                if not _is_empty(column, series.size):
                    columns.append((column.property, [column.values[i] for i in range(series.size)]))
                column = column.next
            histories.append((series.name, [series.at[i] for i in range(series.size)], columns))
            series = series.next
        histories.sort(key=_first)
        return pack_value(
            (
                self.id,
                self.created_ms,
                self.traits,
                self.segments,
                self.points,
                histories,
                self.frequency(),
                self.packed_trials(),
                self.ended_runs(),
                self.aliases,
                [run.pack() for run in self.live_runs()],
            )
        )

    @staticmethod
    def unpack(list fields):
        """The contact that `pack` gave (decoded); its runs, the last field, are for the path to attach."""
        cdef Contact contact = Contact(fields[0], fields[1])
        cdef uint32_t property
        cdef uint32_t name
        cdef double value
        cdef Mark* mark
        cdef int32_t i
        cdef Series* series
        contact.traits = fields[2]
        contact.segments = tuple(fields[3])
        contact.points = fields[4]
        for entry in fields[5]:
            name = entry[0]
            for at in entry[1]:
                contact.remember(name, at, NULL, NULL, 0)
            series = contact.series_of(name)
            for packed in entry[2]:
                property = packed[0]
                column = _column(series, property)
                for i, value in enumerate(packed[1]):
                    column.values[i] = value
        for flow, launches, reserved, once, last in fields[6]:
            mark = contact.mark_or_new(flow)
            mark.launches = launches
            mark.reserved = reserved
            mark.once = once
            mark.last_ms = INT64_MIN if last is None else last
        for place, (variant, first_ms, orders, revenue) in fields[7]:
            contact.set_trial(place, (variant, first_ms, orders, int(revenue)))
        for run, flow, version, node, entered_ms, left_ms, reason in fields[8]:
            contact.add_ended(
                Ended(run=run, entered_ms=entered_ms, left_ms=left_ms, flow=flow, node=node, version=version, reason=reason)
            )
        contact.aliases = tuple(fields[9])
        return contact


def _run_id(Run run):
    return run.id


def _left_at(tuple ended):
    return ended[5], ended[0]


def _first(tuple entry):
    return entry[0]


@cython.no_gc
@cython.final
cdef class Run:
    """One contact's passage through one flow, wherever it is between entering and leaving."""

    def pack(self):
        """Everything but the contact, as a tuple for `Contact.pack`."""
        return (
            self.id,
            self.flow.no,
            self.version,
            self.node,
            self.entered_ms,
            self.logical_ms,
            self.due_ms,
            self.arrival,
            bool(self.armed),
            bool(self.counted),
            self.depth,
            self.event_name,
            self.event_ms,
            self.properties,
            sorted(self.codes.items()) if self.codes else None,
            self.key,
            bool(self.satisfied),
            self.acted,
        )
