"""Timestamps and durations as CEL has them, with nanoseconds, over the years 1 to 9999.

`ext.wire.instant` serves the engine, whose times are milliseconds; expressions need what the language promises: nine
digits of a second, durations such as `1h30m` or `-1.5s`, and the parts of a date. Both kinds of value are seconds
rounded down and a rest of nanoseconds, so one addition and one comparison serve both.

Dates are computed by `ext.wire.calendar`. Rejected: Python's datetime, which ends at microseconds and costs an object
for each step.
"""

from libc.stdio cimport snprintf
from libc.string cimport memcpy

from ext.wire.calendar cimport Civil, civil, days_of, floor_div

cdef int64_t GIGA = 1000000000


cdef inline int digits(const uint8_t* s, int n) noexcept nogil:
    """Return the number that `n` digits write, or -1."""
    cdef int value = 0, i
    for i in range(n):
        if s[i] < 48 or s[i] > 57:
            return -1
        value = value * 10 + s[i] - 48
    return value


cdef inline int days_in(int64_t year, int month) noexcept nogil:
    if month == 2:
        return 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef bint in_range(bint timestamp, int64_t seconds, uint32_t nanos) noexcept nogil:
    """Whether the language has such a timestamp (years 1 to 9999), such a duration (10,000 years either way)."""
    if timestamp:
        return TIMESTAMP_SECONDS_MIN <= seconds <= TIMESTAMP_SECONDS_MAX
    return -DURATION_SECONDS_MAX <= seconds < DURATION_SECONDS_MAX or (seconds == DURATION_SECONDS_MAX and nanos == 0)


cdef int parse_offset(const uint8_t* s, Py_ssize_t n, int64_t* seconds) noexcept nogil:
    """Read `+05:30`, `-02:00` and, as CEL allows, `02:00`."""
    cdef int sign = 1, hours, minutes
    if n == 6 and (s[0] == 43 or s[0] == 45):
        sign = -1 if s[0] == 45 else 1
        s += 1
        n -= 1
    if n != 5 or s[2] != 58:
        return 0
    hours = digits(s, 2)
    minutes = digits(s + 3, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return 0
    seconds[0] = sign * (hours * 3600 + minutes * 60)
    return 1


cdef int parse_timestamp(const uint8_t* s, Py_ssize_t n, int64_t* seconds, uint32_t* nanos) noexcept nogil:
    """Read RFC 3339 with an offset. Digits of a second beyond the ninth are cut; second 60 is the next minute's first."""
    cdef int month, day, hour, minute, second
    cdef int64_t year = 0, scale = 100000000, offset = 0
    cdef uint32_t rest = 0
    cdef Py_ssize_t i = 0
    while i < n and 48 <= s[i] <= 57 and i < 6:
        year = year * 10 + s[i] - 48
        i += 1
    if i < 4 or n < i + 16:
        return 0
    if i > 4:
        return -1
    month = digits(s + 5, 2)
    day = digits(s + 8, 2)
    hour = digits(s + 11, 2)
    minute = digits(s + 14, 2)
    second = digits(s + 17, 2)
    if s[4] != 45 or s[7] != 45 or (s[10] != 84 and s[10] != 116) or s[13] != 58 or s[16] != 58:
        return 0
    if month < 1 or month > 12 or day < 1 or day > days_in(year, month):
        return 0
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return 0
    i = 19
    if i < n and s[i] == 46:
        i += 1
        if i >= n or s[i] < 48 or s[i] > 57:
            return 0
        while i < n and 48 <= s[i] <= 57:
            rest += <uint32_t>((s[i] - 48) * scale)
            scale = scale // 10
            i += 1
    if i + 1 == n and (s[i] == 90 or s[i] == 122):
        offset = 0
    elif n - i != 6 or not parse_offset(s + i, n - i, &offset):
        return 0
    seconds[0] = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    nanos[0] = rest
    return 1 if in_range(True, seconds[0], rest) else -1


cdef int64_t unit_at(const uint8_t* s, Py_ssize_t n, Py_ssize_t* length) noexcept nogil:
    """Return the nanoseconds of the unit at `s` (h, m, s, ms, us, ns) and find how long its name is; 0 for no unit."""
    length[0] = 2
    if n >= 2 and s[1] == 115:
        if s[0] == 109:
            return 1000000
        if s[0] == 117:
            return 1000
        if s[0] == 110:
            return 1
    if n >= 3 and ((s[0] == 0xc2 and s[1] == 0xb5) or (s[0] == 0xce and s[1] == 0xbc)) and s[2] == 115:
        length[0] = 3      # µs with either of Unicode's two letters
        return 1000
    length[0] = 1
    if n >= 1:
        if s[0] == 104:
            return 3600 * GIGA
        if s[0] == 109:
            return 60 * GIGA
        if s[0] == 115:
            return GIGA
    return 0


cdef int parse_duration(const uint8_t* s, Py_ssize_t n, int64_t* seconds, uint32_t* nanos) noexcept nogil:
    """Read `1h30m`, `-1.5s`, `250ms`, `0`: numbers with units, a sign in front of them all."""
    cdef Py_ssize_t i = 0, length = 0
    cdef bint minus = False
    cdef int64_t whole, unit, total_s = 0, total_n = 0, fraction, scale
    cdef int seen
    if n and (s[0] == 43 or s[0] == 45):
        minus = s[0] == 45
        i = 1
    if n - i == 1 and s[i] == 48:
        seconds[0] = 0
        nanos[0] = 0
        return 1
    if i >= n:
        return 0
    while i < n:
        whole = fraction = seen = 0
        scale = 1
        while i < n and 48 <= s[i] <= 57:
            whole = whole * 10 + s[i] - 48
            if whole > DURATION_SECONDS_MAX * 1000000:
                return -1
            i += 1
            seen = 1
        if i < n and s[i] == 46:
            i += 1
            while i < n and 48 <= s[i] <= 57:
                if scale < GIGA:
                    fraction = fraction * 10 + s[i] - 48
                    scale *= 10
                i += 1
                seen = 1
        unit = unit_at(s + i, n - i, &length)
        if not seen or not unit:
            return 0
        i += length
        if unit >= GIGA:
            if whole > DURATION_SECONDS_MAX // (unit // GIGA):
                return -1
            total_s += whole * (unit // GIGA)
        else:
            total_s += whole // (GIGA // unit)
            total_n += whole % (GIGA // unit) * unit
        if fraction:
            if unit >= GIGA:
                whole = fraction * (unit // GIGA)
                total_s += whole // scale
                total_n += whole % scale * (GIGA // scale)
            else:
                total_n += fraction * unit // scale
        total_s += total_n // GIGA
        total_n = total_n % GIGA
        if total_s > DURATION_SECONDS_MAX:
            return -1
    if total_s == DURATION_SECONDS_MAX and total_n:
        return -1
    if minus:
        total_s = -total_s
        if total_n:
            total_s -= 1
            total_n = GIGA - total_n
    seconds[0] = total_s
    nanos[0] = <uint32_t>total_n
    return 1


cdef int print_rest(uint32_t nanos, char* out) noexcept nogil:
    """Write `.5`: the nanoseconds without trailing zeros, nothing for zero."""
    cdef int n
    if not nanos:
        return 0
    n = snprintf(out, 16, ".%09u", nanos)
    while out[n - 1] == 48:
        n -= 1
    return n


cdef int print_timestamp(int64_t seconds, uint32_t nanos, char* out) noexcept nogil:
    """Write `2026-08-10T13:00:00.5Z`; return the bytes written."""
    cdef Civil c
    cdef int n
    civil(seconds, &c)
    n = snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d", <int>c.year, c.month, c.day, c.hour, c.minute, c.second)
    n += print_rest(nanos, out + n)
    memcpy(out + n, b"Z", 1)
    return n + 1


cdef int print_duration(int64_t seconds, uint32_t nanos, char* out) noexcept nogil:
    """Write `-1.5s`; return the bytes written."""
    cdef bint minus = seconds < 0
    cdef int n
    if minus:
        if nanos:
            seconds += 1
            nanos = <uint32_t>(GIGA - nanos)
        seconds = -seconds
    n = snprintf(out, 32, "%s%lld", <const char*>(b"-" if minus else b""), <long long>seconds)
    n += print_rest(nanos, out + n)
    memcpy(out + n, b"s", 1)
    return n + 1


def timestamp_text(seconds: int, nanos: int) -> str:
    cdef char out[TEXT_BYTES_MAX]
    cdef int n = print_timestamp(seconds, nanos, out)
    return out[:n].decode()


def duration_text(seconds: int, nanos: int) -> str:
    cdef char out[TEXT_BYTES_MAX]
    cdef int n = print_duration(seconds, nanos, out)
    return out[:n].decode()


def read_timestamp(bytes text):
    cdef int64_t seconds = 0
    cdef uint32_t nanos = 0
    cdef int read = parse_timestamp(<const uint8_t*><char*>text, len(text), &seconds, &nanos)
    return (seconds, nanos) if read == 1 else None


def read_duration(bytes text):
    cdef int64_t seconds = 0
    cdef uint32_t nanos = 0
    cdef int read = parse_duration(<const uint8_t*><char*>text, len(text), &seconds, &nanos)
    return (seconds, nanos) if read == 1 else None
