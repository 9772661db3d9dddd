"""The proleptic Gregorian calendar: days and seconds since 1970 to dates, and back.

By Howard Hinnant's day count (public domain, "chrono-Compatible Low-Level Date Algorithms"). March is the first month
of a year there, so the leap day is its last day. Valid for the years 1 to 9999.
"""

from libc.stdint cimport int64_t

cdef struct Civil:
    int64_t year
    int month        # 1 to 12
    int day          # 1 to 31
    int hour
    int minute
    int second
    int weekday      # 0 is Sunday
    int yearday      # 0 is the first of January


cdef inline int64_t floor_div(int64_t a, int64_t b) noexcept nogil:
    """Divide by a positive number, rounded down."""
    cdef int64_t q = a // b    # cdivision: towards zero
    return q - 1 if a % b < 0 else q


cdef inline int64_t days_of(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Return the days from 1970-01-01 to a date."""
    cdef int64_t era, of_era, of_year
    if month <= 2:
        year -= 1
    era = (year if year >= 0 else year - 399) // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


cdef inline void civil(int64_t seconds, Civil* out) noexcept nogil:
    """Find the date and time of day of an instant, in seconds since 1970 of the zone it was shifted to."""
    cdef int64_t days = floor_div(seconds, 86400)
    cdef int64_t rest = seconds - days * 86400
    cdef int64_t z = days + 719468
    cdef int64_t era = (z if z >= 0 else z - 146096) // 146097
    cdef int64_t of_era = z - era * 146097
    cdef int64_t year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    cdef int64_t of_year = of_era - (365 * year + year // 4 - year // 100)
    cdef int64_t part = (5 * of_year + 2) // 153
    out.day = <int>(of_year - (153 * part + 2) // 5 + 1)
    out.month = <int>(part + 3 if part < 10 else part - 9)
    out.year = year + era * 400 + (1 if out.month <= 2 else 0)
    out.hour = <int>(rest // 3600)
    out.minute = <int>(rest % 3600 // 60)
    out.second = <int>(rest % 60)
    out.weekday = <int>((days % 7 + 11) % 7)     # 1970-01-01 was a Thursday, 4
    out.yearday = <int>(days - days_of(out.year, 1, 1))
