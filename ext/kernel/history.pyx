"""The history of a contact (rule 10): of every event name the newest 256 instants and, for `customer.sum`, the numbers
among the properties.

A name has one `Series`, one block of memory that usually fits a cache line: most contacts have done most things once.
It grows by half. Blocks come from Python's allocator, which has no header and classes of 16 bytes.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport NAN, isnan
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t
from libc.string cimport memcpy, memmove

from engine.limits import (
    EVENT_NAMES_MAX,
    HISTORY_EVENTS_PER_NAME_MAX,
    HISTORY_NUMBERS_PER_EVENT_MAX,
    HISTORY_PROPERTIES_PER_NAME_MAX,
)

assert EVENT_NAMES_MAX <= 1 << 16 and HISTORY_EVENTS_PER_NAME_MAX < 1 << 9, "numbers of 16 bits, sizes of 9"
assert HISTORY_NUMBERS_PER_EVENT_MAX <= HISTORY_PROPERTIES_PER_NAME_MAX <= 64, "columns of one series"

cdef int32_t EVENTS_MAX = HISTORY_EVENTS_PER_NAME_MAX
cdef int32_t COLUMNS_MAX = HISTORY_PROPERTIES_PER_NAME_MAX


cdef int32_t _after(const int64_t* at, int32_t size, int64_t ms) noexcept nogil:
    """Count the ascending instants <= ms. Most events arrive in order, so the end is looked at first."""
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


cdef int32_t _column(const Series* series, uint32_t property) noexcept nogil:
    """Return the column of a property, -1 if there is none."""
    cdef const uint16_t* properties = properties_of(series)
    cdef int32_t i
    for i in range(series.columns):
        if properties[i] == property:
            return i
    return -1


cdef Series** history_place(Series** first, uint32_t name) noexcept nogil:
    """Return where the series of a name hangs in the list, or where a new one would: at the end."""
    while first[0] != NULL and first[0].name != name:
        first = &first[0].next
    return first


cdef Series* _block(uint32_t name, int32_t room, const uint16_t* properties, int32_t columns) except NULL:
    """Make an empty series."""
    cdef Series* series = <Series*>PyMem_Malloc(head_bytes(columns) + <size_t>room * (1 + columns) * 8)
    if series == NULL:
        raise MemoryError
    series.next = NULL
    series.name = <uint16_t>name
    series.size = 0
    series.room = room
    series.columns = columns
    if columns:
        memcpy(properties_of(series), properties, columns * sizeof(uint16_t))
    return series


cdef int32_t _insert(uint16_t* properties, int32_t columns, uint32_t property) noexcept nogil:
    """Insert a property into the ascending ones, unless it is there or the bound is reached. Return how many
    there are then."""
    cdef int32_t at = 0
    while at < columns and properties[at] < property:
        at += 1
    if (at < columns and properties[at] == property) or columns >= COLUMNS_MAX:
        return columns
    memmove(properties + at + 1, properties + at, (columns - at) * sizeof(uint16_t))
    properties[at] = <uint16_t>property
    return columns + 1


cdef Series* _relaid(Series* old, int32_t room, const uint32_t* properties, int n) except NULL:
    """Copy a series to one with so much room and with columns for these properties too. Where these become too many, the
    columns whose numbers have all been forgotten go first. The old block is freed."""
    cdef uint16_t[64] wanted
    cdef Series* series
    cdef int32_t columns = 0
    cdef int32_t i, j, was
    for i in range(old.columns):
        if old.columns + n <= COLUMNS_MAX or not history_empty(old, i):
            wanted[columns] = properties_of(old)[i]
            columns += 1
    for i in range(n):
        columns = _insert(wanted, columns, properties[i])
    series = _block(old.name, room, wanted, columns)
    series.next = old.next
    series.size = old.size
    memcpy(instants_of(series), instants_of(old), old.size * sizeof(int64_t))
    for i in range(columns):
        was = _column(old, wanted[i])
        if was >= 0:
            memcpy(column_of(series, i), column_of(old, was), old.size * sizeof(double))
        else:
            for j in range(old.size):
                column_of(series, i)[j] = NAN
    PyMem_Free(old)
    return series


cdef Series* _first(uint32_t name, const uint32_t* properties, int n) except NULL:
    """Make a series with room for one event of these properties."""
    cdef uint16_t[64] wanted
    cdef int32_t columns = 0
    cdef int32_t i
    for i in range(n):
        columns = _insert(wanted, columns, properties[i])
    return _block(name, 1, wanted, columns)


cdef inline int32_t _more(int32_t room) noexcept nogil:
    return min(room + max(1, room // 2), EVENTS_MAX)


cdef int32_t _open(Series* series, int32_t place) noexcept nogil:
    """Make the place for one more event, where all numbers are NaN; beyond the bound the oldest one is forgotten for
    it. Where the place is then."""
    cdef int64_t* at = instants_of(series)
    cdef double* column
    cdef int32_t from_, to, number, i
    if series.size == EVENTS_MAX:
        place -= 1
        from_, to, number = 1, 0, place
    else:
        from_, to, number = place, place + 1, series.size - place
        series.size += 1
    memmove(at + to, at + from_, number * sizeof(int64_t))
    for i in range(series.columns):
        column = column_of(series, i)
        memmove(column + to, column + from_, number * sizeof(double))
        column[place] = NAN
    return place


cdef int history_remember(
    Series** first, uint32_t name, int64_t at_ms, const uint32_t* properties, const double* values, int n
) except -1:
    """Keep an event: its instant and `n` numeric properties. Beyond the bound the oldest is forgotten."""
    cdef Series** link = history_place(first, name)
    cdef Series* series = link[0]
    cdef int32_t place, i, column
    cdef int32_t room
    cdef bint missing = False
    if series == NULL:
        series = link[0] = _first(name, properties, n)
    place = _after(instants_of(series), series.size, at_ms)
    if series.size < EVENTS_MAX:
        room = _more(series.room) if series.size == series.room else series.room
        for i in range(n):
            missing = missing or _column(series, properties[i]) < 0
        if missing or room != series.room:
            series = link[0] = _relaid(series, room, properties, n)
        place = _open(series, place)
    else:
        if place == 0:
            return 0  # older than all that is kept
        place = _open(series, place)
        for i in range(n):
            missing = missing or _column(series, properties[i]) < 0
        if missing:
            series = link[0] = _relaid(series, series.room, properties, n)
    instants_of(series)[place] = at_ms
    for i in range(n):
        column = _column(series, properties[i])
        if column >= 0:
            column_of(series, column)[place] = values[i]
    return 0


cdef Series* history_make(
    Series** first, uint32_t name, int32_t size, const uint32_t* properties, int32_t columns
) except NULL:
    """Make a series of `size` events, which the caller fills in, for a name that has none yet."""
    cdef uint16_t[64] kept
    cdef int32_t i
    for i in range(columns):
        kept[i] = <uint16_t>properties[i]
    cdef Series* series = _block(name, size, kept, columns)
    series.size = size
    series.next = first[0]
    first[0] = series
    return series


cdef int64_t history_count(Series* series, int64_t since_ms, int64_t until_ms) noexcept nogil:
    """Count the events with since < instant <= until."""
    cdef int64_t* at = instants_of(series)
    if until_ms <= since_ms:
        return 0
    return _after(at, series.size, until_ms) - _after(at, series.size, since_ms)


cdef double history_sum(Series* series, uint32_t property, int64_t since_ms, int64_t until_ms) noexcept nogil:
    """Sum of a numeric property over (since, until], added in order of time."""
    cdef int64_t* at = instants_of(series)
    cdef int32_t column = _column(series, property)
    cdef double* values
    cdef double total = 0
    cdef int32_t i
    if column < 0:
        return 0
    values = column_of(series, column)
    for i in range(_after(at, series.size, since_ms), _after(at, series.size, until_ms)):
        if not isnan(values[i]):
            total += values[i]
    return total


cdef bint history_empty(const Series* series, int32_t column) noexcept nogil:
    """Whether all numbers of a column have been forgotten."""
    cdef const double* values = column_of(series, column)
    cdef int32_t i
    for i in range(series.size):
        if not isnan(values[i]):
            return False
    return True


cdef void history_free(Series* first) noexcept:
    cdef Series* following
    while first != NULL:
        following = first.next
        PyMem_Free(first)
        first = following
