"""RFC 3339 instants and milliseconds UTC, both ways."""

from libc.stdint cimport INT64_MIN, int64_t

from ext.wire.calendar cimport Civil, civil, days_of, floor_div

MISSING = INT64_MIN


cdef inline int _number(const char* text, Py_ssize_t start, int digits) noexcept nogil:
    """Return digits as a number, -1 if one of them is not a digit."""
    cdef int value = 0
    cdef int digit
    cdef Py_ssize_t at
    for at in range(start, start + digits):
        digit = text[at] - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


cdef inline int _days_in(int year, int month) noexcept nogil:
    """Return the days of a month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


cdef int64_t parse_utf8(const char* text, Py_ssize_t length) noexcept nogil:
    """Return the ms UTC of an RFC 3339 instant in UTF-8, INT64_MIN if it is none."""
    cdef int year, month, day, hour, minute, second, ms, digit, offset_minutes
    cdef Py_ssize_t at = 19
    if length < 20 or length > 40:
        return INT64_MIN
    year = _number(text, 0, 4)
    month = _number(text, 5, 2)
    day = _number(text, 8, 2)
    hour = _number(text, 11, 2)
    minute = _number(text, 14, 2)
    second = _number(text, 17, 2)
    if text[4] != c"-" or text[7] != c"-" or text[13] != c":" or text[16] != c":":
        return INT64_MIN
    if text[10] != c"T" and text[10] != c"t" and text[10] != c" ":
        return INT64_MIN
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _days_in(year, month):
        return INT64_MIN
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return INT64_MIN
    ms = 0
    if text[at] == c".":
        at += 1
        if at >= length or text[at] < c"0" or text[at] > c"9":
            return INT64_MIN
        digit = 100
        while at < length and c"0" <= text[at] <= c"9":
            ms += (text[at] - 48) * digit
            digit //= 10
            at += 1
    if at >= length:
        return INT64_MIN
    offset_minutes = 0
    if text[at] == c"Z" or text[at] == c"z":
        if at + 1 != length:
            return INT64_MIN
    else:
        if (text[at] != c"+" and text[at] != c"-") or at + 6 != length or text[at + 3] != c":":
            return INT64_MIN
        if _number(text, at + 1, 2) < 0 or _number(text, at + 1, 2) > 23:
            return INT64_MIN
        if _number(text, at + 4, 2) < 0 or _number(text, at + 4, 2) > 59:
            return INT64_MIN
        offset_minutes = _number(text, at + 1, 2) * 60 + _number(text, at + 4, 2)
        if text[at] == c"-":
            offset_minutes = -offset_minutes
    return (
        days_of(year, month, day) * 86_400_000
        + (hour * 3600 + minute * 60 + second) * <int64_t>1000
        + ms
        - offset_minutes * <int64_t>60_000
    )


cpdef int64_t parse(str text) except? -1:
    cdef bytes utf8 = text.encode("utf-8", "surrogatepass")
    cdef int64_t ms = parse_utf8(utf8, len(utf8))
    if ms == INT64_MIN:
        raise ValueError(f"{text[:40]!r} is not an instant such as 2026-08-10T13:00:00Z")
    return ms


cpdef str format(int64_t ms):
    cdef int64_t seconds = floor_div(ms, 1000)
    cdef int64_t rest = ms - seconds * 1000
    cdef Civil at
    civil(seconds, &at)
    cdef str text = f"{at.year:04d}-{at.month:02d}-{at.day:02d}T{at.hour:02d}:{at.minute:02d}:{at.second:02d}"
    if rest:
        return f"{text}.{rest:03d}Z"
    return text + "Z"
