"""Conversions between the types of expressions (`int()`, `string()`, `timestamp()`…) and the parts of a date.

Conversions are exact or errors: an int out of a double beyond 63 bits, a number out of `"12a"`, a string out of bytes
that are not UTF-8. The text of a time has no trailing zeros (`3.5s`); that of a double is the shortest that reads back,
with an exponent from a million on and below 0.0001.

The parts of a timestamp are those in UTC, in a zone given by name, or at an offset (`+05:30`). Which zones there are is
not known here: `use_zones` gives the function that does, so that no machine's own zone files are ever read.
"""

from cpython.mem cimport PyMem_Free
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite, isinf, isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, strlen

import datetime

from ext.expressions.cel_time cimport (
    TEXT_BYTES_MAX, in_range, parse_duration, parse_offset, parse_timestamp, print_duration, print_timestamp,
)
from ext.expressions.value cimport (
    BAD_CONVERSION,
    BAD_UTF8,
    BAD_ZONE,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    NO_SUCH_OVERLOAD,
    OUT_OF_RANGE,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    Value,
    Work,
    fail,
    fail_kinds,
    fail_raised,
    fail_text,
    fail_value,
    no_value,
    of_bool,
    of_double,
    of_int,
    of_slice,
    of_time,
    of_uint,
    spend,
    take,
)
from ext.wire.calendar cimport Civil, civil
from libc.string cimport memcmp

cdef extern from "Python.h":
    char* PyOS_double_to_string(double value, char format, int precision, int flags, int* kind) noexcept
    double PyOS_string_to_double(const char* text, char** end, void* overflow) except? -1.0

cdef object zone_of = None
cdef object EPOCH = datetime.datetime(1970, 1, 1)
cdef object SECOND = datetime.timedelta(seconds=1)


def use_zones(find):
    """Let `find(name)` give the tzinfo of a zone, or None where there is none of that name."""
    global zone_of
    zone_of = find


cdef inline Value overload(Work* w, void* node, Value* a) noexcept:
    return fail_kinds(w, node, NO_SUCH_OVERLOAD, 1, a[0].kind, 0)


# --- numbers ---

cdef bint read_digits(Value text, bint* minus, uint64_t* number) noexcept nogil:
    """Read decimal digits after at most one sign, within 64 bits."""
    cdef uint32_t i = 0
    cdef uint64_t digit
    minus[0] = False
    number[0] = 0
    if text.n and (text.of.p[0] == 45 or text.of.p[0] == 43):
        minus[0] = text.of.p[0] == 45
        i = 1
    if i == text.n:
        return False
    while i < text.n:
        if text.of.p[i] < 48 or text.of.p[i] > 57:
            return False
        digit = text.of.p[i] - 48
        if number[0] > (<uint64_t>-1 - digit) // 10:
            return False
        number[0] = number[0] * 10 + digit
        i += 1
    return True


cdef Value to_int(Work* w, void* node, Value* a, int option) noexcept:
    cdef bint minus
    cdef uint64_t u
    if a[0].kind == INT:
        return a[0]
    if a[0].kind == UINT:
        return of_int(a[0].of.i) if a[0].of.i >= 0 else fail(w, node, OUT_OF_RANGE)
    if a[0].kind == DOUBLE:
        if not -9223372036854775808.0 < a[0].of.d < 9223372036854775808.0:
            return fail(w, node, OUT_OF_RANGE)
        return of_int(<int64_t>a[0].of.d)
    if a[0].kind == TIMESTAMP:
        return of_int(a[0].of.i)
    if a[0].kind != STRING:
        return overload(w, node, a)
    if not read_digits(a[0], &minus, &u) or u > (<uint64_t>1 << 63) - (not minus):
        return fail_value(w, node, BAD_CONVERSION, a[0])
    return of_int(<int64_t>(0 - u) if minus else <int64_t>u)


cdef Value to_uint(Work* w, void* node, Value* a, int option) noexcept:
    cdef bint minus
    cdef uint64_t u
    if a[0].kind == UINT:
        return a[0]
    if a[0].kind == INT:
        return of_uint(a[0].of.u) if a[0].of.i >= 0 else fail(w, node, OUT_OF_RANGE)
    if a[0].kind == DOUBLE:
        if not 0.0 <= a[0].of.d < 18446744073709551616.0:
            return fail(w, node, OUT_OF_RANGE)
        return of_uint(<uint64_t>a[0].of.d)
    if a[0].kind != STRING:
        return overload(w, node, a)
    if not read_digits(a[0], &minus, &u) or minus:
        return fail_value(w, node, BAD_CONVERSION, a[0])
    return of_uint(u)


cdef Value to_double(Work* w, void* node, Value* a, int option) noexcept:
    cdef char* text
    cdef double d
    if a[0].kind == DOUBLE:
        return a[0]
    if a[0].kind == INT:
        return of_double(<double>a[0].of.i)
    if a[0].kind == UINT:
        return of_double(<double>a[0].of.u)
    if a[0].kind != STRING:
        return overload(w, node, a)
    text = <char*>take(w, <size_t>a[0].n + 1)
    if text is NULL:
        return no_value()
    memcpy(text, a[0].of.p, a[0].n)
    text[a[0].n] = 0
    try:
        if strlen(text) != a[0].n:
            raise ValueError
        return of_double(PyOS_string_to_double(text, NULL, NULL))
    except ValueError:
        return fail_value(w, node, BAD_CONVERSION, a[0])


# --- texts ---

cdef Value copied(Work* w, const char* text, size_t n) noexcept:
    cdef void* p = take(w, n)
    if p is NULL:
        return no_value()
    memcpy(p, text, n)
    return of_slice(STRING, <const uint8_t*>p, <uint32_t>n)


cdef int print_double(double d, char* out) noexcept:
    """Write the shortest text that reads back; as C's %g writes it, but with all its digits."""
    cdef char* text
    cdef char digits[24]
    cdef int n = 0, count = 0, exponent = 0, i = 0, point = -1, value
    if isnan(d) or isinf(d):
        text = b"nan" if isnan(d) else (b"inf" if d > 0 else b"-inf")
        memcpy(out, text, strlen(text))
        return <int>strlen(text)
    text = PyOS_double_to_string(d, c"r", 0, 0, NULL)
    if text[0] == 45:
        out[0] = 45
        n = 1
        i = 1
    while text[i] and text[i] != 101:
        if text[i] == 46:
            point = count
        elif count or text[i] != 48:
            digits[count] = text[i]
            count += 1
        elif point >= 0:
            exponent -= 1        # a zero between the point and the first digit
        i += 1
    value = 0
    if text[i] == 101:
        value = signed_digits(text + i + 1)
    PyMem_Free(text)
    if count == 0:
        out[n] = 48
        return n + 1
    # digits d1 d2 … dk stand for 0.d1d2…dk × 10^exponent
    exponent += (point if point > 0 else (0 if point == 0 else count)) + value
    while count > 1 and digits[count - 1] == 48:
        count -= 1
    return n + spelled(digits, count, exponent - 1, out + n)


cdef int signed_digits(const char* text) noexcept nogil:
    cdef int value = 0, i = 0
    cdef bint minus = text[0] == 45
    if text[0] == 45 or text[0] == 43:
        i = 1
    while text[i]:
        value = value * 10 + text[i] - 48
        i += 1
    return -value if minus else value


cdef int spelled(const char* digits, int count, int exponent, char* out) noexcept nogil:
    """Write digits d1 d2 … dk that stand for d1.d2…dk × 10^exponent."""
    cdef int n = 0, i
    if exponent < -4 or exponent >= 6:
        out[0] = digits[0]
        n = 1
        if count > 1:
            out[1] = 46
            memcpy(out + 2, digits + 1, count - 1)
            n = count + 1
        return n + snprintf(out + n, 8, "e%s%02d", <const char*>(b"-" if exponent < 0 else b"+"),
                            exponent if exponent >= 0 else -exponent)
    if exponent < 0:
        memcpy(out, b"0.0000", 6)
        n = 1 - exponent
        memcpy(out + n, digits, count)
        return n + count
    for i in range(count if count > exponent + 1 else exponent + 1):
        if i == exponent + 1:
            out[n] = 46
            n += 1
        out[n] = digits[i] if i < count else 48
        n += 1
    return n


cdef bint is_utf8(Value v) noexcept:
    try:
        PyUnicode_DecodeUTF8(<const char*>v.of.p, v.n, NULL)
        return True
    except UnicodeDecodeError:
        return False


cdef Value to_string(Work* w, void* node, Value* a, int option) noexcept:
    cdef char out[TEXT_BYTES_MAX]
    cdef uint8_t kind = a[0].kind
    cdef Value v
    if kind == STRING:
        return a[0]
    if kind == BYTES:
        if not spend(w, a[0].n >> 8) or not is_utf8(a[0]):
            return fail(w, node, BAD_UTF8) if w.steps >= 0 else no_value()
        v = a[0]
        v.kind = STRING
        return v
    if kind == BOOL:
        return copied(w, b"true", 4) if a[0].of.i else copied(w, b"false", 5)
    if kind == INT:
        return copied(w, out, snprintf(out, TEXT_BYTES_MAX, "%lld", <long long>a[0].of.i))
    if kind == UINT:
        return copied(w, out, snprintf(out, TEXT_BYTES_MAX, "%llu", <unsigned long long>a[0].of.u))
    if kind == DOUBLE:
        return copied(w, out, print_double(a[0].of.d, out))
    if kind == TIMESTAMP:
        return copied(w, out, print_timestamp(a[0].of.i, a[0].n, out))
    if kind == DURATION:
        return copied(w, out, print_duration(a[0].of.i, a[0].n, out))
    return overload(w, node, a)


cdef Value to_bytes(Work* w, void* node, Value* a, int option) noexcept:
    cdef Value v = a[0]
    if v.kind != STRING and v.kind != BYTES:
        return overload(w, node, a)
    v.kind = BYTES
    return v


cdef Value to_bool(Work* w, void* node, Value* a, int option) noexcept:
    if a[0].kind == BOOL:
        return a[0]
    if a[0].kind != STRING:
        return overload(w, node, a)
    word = a[0].of.p[:a[0].n] if a[0].n < 6 else b""
    if word in (b"true", b"True", b"TRUE", b"t", b"1"):
        return of_bool(True)
    if word in (b"false", b"False", b"FALSE", b"f", b"0"):
        return of_bool(False)
    return fail_value(w, node, BAD_CONVERSION, a[0])


cdef Value to_type(Work* w, void* node, Value* a, int option) noexcept:
    return of_time(TYPE, a[0].kind, 0)


cdef Value to_dyn(Work* w, void* node, Value* a, int option) noexcept:
    return a[0]


# --- times ---

cdef Value to_timestamp(Work* w, void* node, Value* a, int option) noexcept:
    cdef int64_t seconds = 0
    cdef uint32_t nanos = 0
    cdef int read
    if a[0].kind == TIMESTAMP:
        return a[0]
    if a[0].kind == INT:
        return of_time(TIMESTAMP, a[0].of.i, 0) if in_range(True, a[0].of.i, 0) else fail(w, node, OUT_OF_RANGE)
    if a[0].kind != STRING:
        return overload(w, node, a)
    read = parse_timestamp(a[0].of.p, a[0].n, &seconds, &nanos)
    if read == 1:
        return of_time(TIMESTAMP, seconds, nanos)
    return fail(w, node, OUT_OF_RANGE) if read < 0 else fail_value(w, node, BAD_CONVERSION, a[0])


cdef Value to_duration(Work* w, void* node, Value* a, int option) noexcept:
    cdef int64_t seconds = 0
    cdef uint32_t nanos = 0
    cdef int read
    if a[0].kind == DURATION:
        return a[0]
    if a[0].kind != STRING:
        return overload(w, node, a)
    read = parse_duration(a[0].of.p, a[0].n, &seconds, &nanos)
    if read == 1:
        return of_time(DURATION, seconds, nanos)
    return fail(w, node, OUT_OF_RANGE) if read < 0 else fail_value(w, node, BAD_CONVERSION, a[0])


cdef tuple PARTS = (
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds",
)


cdef Value part_in_utc(Work* w, void* node, Value* a, int part) noexcept:
    if a[0].kind == DURATION:
        return part_of_duration(w, node, a, part)
    if a[0].kind != TIMESTAMP:
        return overload(w, node, a)
    return part_of_date(a[0].of.i, a[0].n, part)


cdef Value part_of_duration(Work* w, void* node, Value* a, int part) noexcept:
    """Return a part of a duration: the whole in one unit, but of milliseconds only the rest, as CEL has it."""
    cdef int64_t seconds = a[0].of.i
    cdef int64_t nanos = a[0].n
    if seconds < 0 and nanos:
        seconds += 1
        nanos -= 1000000000
    if part == 6:
        return of_int(seconds // 3600)
    if part == 7:
        return of_int(seconds // 60)
    if part == 8:
        return of_int(seconds)
    if part == 9:
        return of_int(nanos // 1000000)
    return overload(w, node, a)


cdef Value part_of_date(int64_t seconds, uint32_t nanos, int part) noexcept nogil:
    cdef Civil c
    civil(seconds, &c)
    if part == 0:
        return of_int(c.year)
    if part == 1:
        return of_int(c.month - 1)
    if part == 2:
        return of_int(c.day)
    if part == 3:
        return of_int(c.day - 1)
    if part == 4:
        return of_int(c.weekday)
    if part == 5:
        return of_int(c.yearday)
    if part == 6:
        return of_int(c.hour)
    if part == 7:
        return of_int(c.minute)
    if part == 8:
        return of_int(c.second)
    return of_int(nanos // 1000000)


cdef Value part_in_zone(Work* w, void* node, Value* a, int part) noexcept:
    cdef int64_t offset = 0
    if a[0].kind != TIMESTAMP or a[1].kind != STRING:
        return fail_kinds(w, node, NO_SUCH_OVERLOAD, 2, a[0].kind, a[1].kind)
    if a[1].n == 0 or (a[1].n == 3 and memcmp(a[1].of.p, b"UTC", 3) == 0):
        return part_of_date(a[0].of.i, a[0].n, part)
    if parse_offset(a[1].of.p, a[1].n, &offset) != 1:
        try:
            name = PyUnicode_DecodeUTF8(<const char*>a[1].of.p, a[1].n, "replace")
            zone = zone_of(name) if zone_of is not None else None
            if zone is None:
                return fail_text(w, node, BAD_ZONE, a[1].of.p, a[1].n)
            offset = offset_in(zone, a[0].of.i)
        except BaseException:
            return fail_raised(w, node)
    return part_of_date(a[0].of.i + offset, a[0].n, part)


cdef int64_t offset_in(object zone, int64_t seconds) except? -1:
    """Return the seconds that a zone is ahead of UTC at an instant; at the two ends of the calendar, where Python's datetime has no
    room for the shift, the offset a day nearer to the middle."""
    moment = EPOCH + datetime.timedelta(seconds=seconds)
    if moment.year == 1 and moment.month == 1:
        moment = moment.replace(day=max(moment.day, 2))
    elif moment.year == 9999 and moment.month == 12:
        moment = moment.replace(day=min(moment.day, 30))
    local = zone.fromutc(moment.replace(tzinfo=zone))
    return local.utcoffset() // SECOND


# --- by name ---

cdef Conversion conversion_of(str name, int arguments, int* option):
    option[0] = 0
    if name in PARTS and arguments <= 2:
        option[0] = PARTS.index(name)
        return part_in_utc if arguments == 1 else part_in_zone
    if arguments != 1:
        return NULL
    if name == "int":
        return to_int
    if name == "uint":
        return to_uint
    if name == "double":
        return to_double
    if name == "string":
        return to_string
    if name == "bytes":
        return to_bytes
    if name == "bool":
        return to_bool
    if name == "timestamp":
        return to_timestamp
    if name == "duration":
        return to_duration
    if name == "type":
        return to_type
    if name == "dyn":
        return to_dyn
    return NULL
