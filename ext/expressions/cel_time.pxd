"""Timestamps and durations as CEL has them: seconds rounded down and nanoseconds 0 to 999,999,999; see cel_time.pyx."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef extern from *:
    """
    #define TM_TIMESTAMP_SECONDS_MIN (-62135596800LL)   /* 0001-01-01T00:00:00Z */
    #define TM_TIMESTAMP_SECONDS_MAX 253402300799LL     /* 9999-12-31T23:59:59Z */
    #define TM_DURATION_SECONDS_MAX 315576000000LL      /* 10,000 years of 365.25 days */
    """
    const int64_t TIMESTAMP_SECONDS_MIN "TM_TIMESTAMP_SECONDS_MIN"
    const int64_t TIMESTAMP_SECONDS_MAX "TM_TIMESTAMP_SECONDS_MAX"
    const int64_t DURATION_SECONDS_MAX "TM_DURATION_SECONDS_MAX"

cdef enum:
    TEXT_BYTES_MAX = 48     # what print_timestamp and print_duration may write

# Of the three that read: 1 read, 0 not of the form, -1 of the form but out of range.
cdef int parse_timestamp(const uint8_t* s, Py_ssize_t n, int64_t* seconds, uint32_t* nanos) noexcept nogil
cdef int parse_duration(const uint8_t* s, Py_ssize_t n, int64_t* seconds, uint32_t* nanos) noexcept nogil
cdef int parse_offset(const uint8_t* s, Py_ssize_t n, int64_t* seconds) noexcept nogil
cdef int print_timestamp(int64_t seconds, uint32_t nanos, char* out) noexcept nogil
cdef int print_duration(int64_t seconds, uint32_t nanos, char* out) noexcept nogil
cdef bint in_range(bint timestamp, int64_t seconds, uint32_t nanos) noexcept nogil
