from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t

# One block: this, the numbers of the other properties, padding to 8 bytes, `room` instants, then for each property a
# column of `room` doubles. An event with one number takes 32 bytes, with two 48.
cdef extern from *:
    """
    typedef struct tm_series {
        struct tm_series* next;
        unsigned size: 9, room: 9, columns: 7;
        uint16_t name, properties[1];
    } tm_series;
    """
    ctypedef struct Series "tm_series":
        Series* next
        int32_t size          # events kept
        int32_t room          # events there is room for
        int32_t columns       # properties
        uint16_t name         # number of the event's name
        uint16_t* properties  # their numbers, ascending

cdef Series** history_place(Series** first, uint32_t name) noexcept nogil
cdef int history_remember(
    Series** first, uint32_t name, int64_t at_ms, const uint32_t* properties, const double* values, int n
) except -1
cdef Series* history_make(Series** first, uint32_t name, int32_t size, const uint32_t* properties, int32_t columns) except NULL
cdef int64_t history_count(Series* series, int64_t since_ms, int64_t until_ms) noexcept nogil
cdef double history_sum(Series* series, uint32_t property, int64_t since_ms, int64_t until_ms) noexcept nogil
cdef bint history_empty(const Series* series, int32_t column) noexcept nogil
cdef void history_free(Series* first) noexcept


cdef inline size_t head_bytes(int32_t columns) noexcept nogil:
    """Return the offset of the instants: the numbers of properties stand from byte 14 on."""
    return (14 + columns * sizeof(uint16_t) + 7) & ~<size_t>7


cdef inline uint16_t* properties_of(const Series* series) noexcept nogil:
    return <uint16_t*>series.properties


cdef inline int64_t* instants_of(const Series* series) noexcept nogil:
    """Return the instants, ascending."""
    return <int64_t*>(<char*>series + head_bytes(series.columns))


cdef inline double* column_of(const Series* series, int32_t column) noexcept nogil:
    """Return a column: a number for each event, NaN for an event without one."""
    return <double*>(instants_of(series) + series.room * (1 + column))


cdef inline int64_t history_last(const Series* series) noexcept nogil:
    """Return the latest instant; a series is never empty."""
    return instants_of(series)[series.size - 1]
