"""RFC 3339 instants and milliseconds UTC, both ways.

The proleptic Gregorian calendar by Howard Hinnant's day count (public domain algorithm, "chrono-Compatible
Low-Level Date Algorithms"): March is the first month, so the leap day is the last day of a year.
"""

from libc.stdint cimport INT64_MIN, int64_t

MISSING = INT64_MIN
cdef int64_t DAY_MS = 86_400_000


cdef int64_t days_from_civil(int64_t year, int month, int day) noexcept nogil:
    """Days since 1970-01-01 of a date of the years 1 to 9999."""
    cdef int64_t era, yoe, doy, doe
    if month <= 2:
        year -= 1
    era = (year if year >= 0 else year - 399) // 400
    yoe = year - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


cdef inline int _number(const char* text, Py_ssize_t start, int digits) noexcept nogil:
    """The digits as a number, -1 if one of them is not a digit."""
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
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


cdef int64_t parse_utf8(const char* text, Py_ssize_t length) noexcept nogil:
    """As `parse`, on bytes; INT64_MIN where the text is not an instant."""
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
        days_from_civil(year, month, day) * 86_400_000
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
    cdef int64_t days = ms // DAY_MS
    cdef int64_t rest = ms % DAY_MS
    if rest < 0:
        days -= 1
        rest += DAY_MS
    cdef int64_t z = days + 719468
    cdef int64_t era = (z if z >= 0 else z - 146096) // 146097
    cdef int64_t doe = z - era * 146097
    cdef int64_t yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    cdef int64_t doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    cdef int64_t mp = (5 * doy + 2) // 153
    cdef int64_t day = doy - (153 * mp + 2) // 5 + 1
    cdef int64_t month = mp + (3 if mp < 10 else -9)
    cdef int64_t year = yoe + era * 400 + (1 if month <= 2 else 0)
    cdef int64_t second = rest // 1000
    cdef str text = (
        f"{year:04d}-{month:02d}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    )
    if rest % 1000:
        return f"{text}.{rest % 1000:03d}Z"
    return text + "Z"
