"""The operators and functions of expressions, by the kinds their arguments have at run time.

CEL's own names (`_+_`, `@in`, `startsWith`), so that the checked expression needs no translation. Nothing here knows
static types: the compiler has refused what cannot work, the rest (`dyn`) is decided by the values, and a combination
that does not exist is the error "no such overload". Integers never wrap: an overflow is an error.

One deliberate step beyond CEL: an int meeting a double in arithmetic gives a double, because a JSON document does not
say which of the two its writer meant by `70`.

Patterns of `matches` are RE2's and run in time proportional to the text, whoever wrote them; Python's `re` can be made
to run for hours. Plain texts between `^` and `$`, which is what most patterns are, never reach it.
"""

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t

import re2

from ext.expressions.conversions cimport conversion_of
from ext.expressions.cel_time cimport in_range
from ext.expressions.value cimport (
    BAD_INDEX,
    BAD_KEY,
    BAD_PATTERN,
    BOOL,
    BUILT,
    BYTES,
    DIVISION_BY_ZERO,
    DOUBLE,
    DURATION,
    ERROR,
    INT,
    LIST,
    MAP,
    MODULUS_BY_ZERO,
    NOT_A_MAP,
    NO_SUCH_INDEX,
    NO_SUCH_KEY,
    NO_SUCH_OVERLOAD,
    OUT_OF_RANGE,
    OVERFLOW,
    PACKED,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    Cursor,
    Value,
    Work,
    equal,
    fail,
    fail_kinds,
    fail_raised,
    fail_text,
    fail_value,
    following,
    lookup,
    no_value,
    of_bool,
    of_built,
    of_double,
    of_int,
    of_slice,
    of_time,
    of_uint,
    order,
    over,
    read,
    spend,
    take,
)
from ext.maps.key_numbers cimport same_bytes
from ext.maps.msgpack cimport skip
from ext.maps.packed_map cimport find_among
from libc.string cimport memcmp

cdef extern from *:
    """
    #include <string.h>
    static inline int tm_add(int64_t a, int64_t b, int64_t* r) { return __builtin_add_overflow(a, b, r); }
    static inline int tm_sub(int64_t a, int64_t b, int64_t* r) { return __builtin_sub_overflow(a, b, r); }
    static inline int tm_mul(int64_t a, int64_t b, int64_t* r) { return __builtin_mul_overflow(a, b, r); }
    static inline int tm_uadd(uint64_t a, uint64_t b, uint64_t* r) { return __builtin_add_overflow(a, b, r); }
    static inline int tm_usub(uint64_t a, uint64_t b, uint64_t* r) { return __builtin_sub_overflow(a, b, r); }
    static inline int tm_umul(uint64_t a, uint64_t b, uint64_t* r) { return __builtin_mul_overflow(a, b, r); }
    """
    bint tm_add(int64_t a, int64_t b, int64_t* r) noexcept nogil
    bint tm_sub(int64_t a, int64_t b, int64_t* r) noexcept nogil
    bint tm_mul(int64_t a, int64_t b, int64_t* r) noexcept nogil
    bint tm_uadd(uint64_t a, uint64_t b, uint64_t* r) noexcept nogil
    bint tm_usub(uint64_t a, uint64_t b, uint64_t* r) noexcept nogil
    bint tm_umul(uint64_t a, uint64_t b, uint64_t* r) noexcept nogil
    void* memmem(const void* hay, size_t hay_n, const void* needle, size_t needle_n) noexcept nogil
    void* memcpy(void* to, const void* source, size_t n) noexcept nogil
    double fmod(double a, double b) noexcept nogil

cdef int64_t GIGA = 1000000000


cdef inline Value overload(Work* w, void* node, Value* a) noexcept:
    return fail_kinds(w, node, NO_SUCH_OVERLOAD, 2, a[0].kind, a[1].kind)


# --- arithmetic ---

cdef enum Arithmetic:
    ADD = 0
    SUBTRACT = 1
    MULTIPLY = 2
    DIVIDE = 3
    MODULO = 4


cdef Value arithmetic(Work* w, void* node, Value* a, int op) noexcept:
    if a[0].kind == INT and a[1].kind == INT:
        return with_ints(w, node, a[0].of.i, a[1].of.i, op)
    if a[0].kind == DOUBLE and a[1].kind == DOUBLE:
        return with_doubles(w, node, a, a[0].of.d, a[1].of.d, op)
    if a[0].kind == DOUBLE and a[1].kind == INT:
        return with_doubles(w, node, a, a[0].of.d, <double>a[1].of.i, op)
    if a[0].kind == INT and a[1].kind == DOUBLE:
        return with_doubles(w, node, a, <double>a[0].of.i, a[1].of.d, op)
    if a[0].kind == UINT and a[1].kind == UINT:
        return with_uints(w, node, a[0].of.u, a[1].of.u, op)
    if op == ADD:
        return added(w, node, a)
    if op == SUBTRACT:
        return subtracted(w, node, a)
    return overload(w, node, a)


cdef Value with_ints(Work* w, void* node, int64_t x, int64_t y, int op) noexcept:
    cdef int64_t r = 0
    cdef bint over = False
    if op == ADD:
        over = tm_add(x, y, &r)
    elif op == SUBTRACT:
        over = tm_sub(x, y, &r)
    elif op == MULTIPLY:
        over = tm_mul(x, y, &r)
    elif y == 0:
        return fail(w, node, DIVISION_BY_ZERO if op == DIVIDE else MODULUS_BY_ZERO)
    elif y == -1:
        over = tm_sub(0, x, &r)      # the one quotient that does not fit, for the remainder as well
        if op == MODULO:
            r = 0
    else:
        r = x // y if op == DIVIDE else x % y
    return fail(w, node, OVERFLOW) if over else of_int(r)


cdef Value with_uints(Work* w, void* node, uint64_t x, uint64_t y, int op) noexcept:
    cdef uint64_t r = 0
    cdef bint over = False
    if op == ADD:
        over = tm_uadd(x, y, &r)
    elif op == SUBTRACT:
        over = tm_usub(x, y, &r)
    elif op == MULTIPLY:
        over = tm_umul(x, y, &r)
    elif y == 0:
        return fail(w, node, DIVISION_BY_ZERO if op == DIVIDE else MODULUS_BY_ZERO)
    else:
        r = x // y if op == DIVIDE else x % y
    return fail(w, node, OVERFLOW) if over else of_uint(r)


cdef Value with_doubles(Work* w, void* node, Value* a, double x, double y, int op) noexcept:
    if op == ADD:
        return of_double(x + y)
    if op == SUBTRACT:
        return of_double(x - y)
    if op == MULTIPLY:
        return of_double(x * y)
    if op == DIVIDE:
        return of_double(x / y)
    return overload(w, node, a)


cdef Value joined_time(Work* w, void* node, Value x, Value y, int sign, bint timestamp) noexcept:
    """Return x + y, or x - y, of two times: a timestamp or a duration, as asked."""
    cdef int64_t seconds = x.of.i + sign * y.of.i
    cdef int64_t nanos = <int64_t>x.n + sign * <int64_t>y.n
    if nanos < 0:
        nanos += GIGA
        seconds -= 1
    elif nanos >= GIGA:
        nanos -= GIGA
        seconds += 1
    if not in_range(timestamp, seconds, <uint32_t>nanos):
        return fail(w, node, OUT_OF_RANGE)
    return of_time(TIMESTAMP if timestamp else DURATION, seconds, <uint32_t>nanos)


cdef Value added(Work* w, void* node, Value* a) noexcept:
    cdef uint8_t x = a[0].kind, y = a[1].kind
    if (x == STRING or x == BYTES) and x == y:
        return joined(w, a)
    if x == LIST and y == LIST:
        return joined_lists(w, a)
    if (x == TIMESTAMP or x == DURATION) and (y == TIMESTAMP or y == DURATION) and not (x == TIMESTAMP and y == TIMESTAMP):
        return joined_time(w, node, a[0], a[1], 1, x == TIMESTAMP or y == TIMESTAMP)
    return overload(w, node, a)


cdef Value subtracted(Work* w, void* node, Value* a) noexcept:
    cdef uint8_t x = a[0].kind, y = a[1].kind
    cdef Value span
    if y == DURATION and (x == TIMESTAMP or x == DURATION):
        return joined_time(w, node, a[0], a[1], -1, x == TIMESTAMP)
    if x == TIMESTAMP and y == TIMESTAMP:
        span = joined_time(w, node, a[0], a[1], -1, False)
        # CEL: the difference of two timestamps counts nanoseconds in 64 bits, 292 years.
        if span.kind == DURATION and (
            span.of.i > 9223372036 or span.of.i < -9223372037
            or (span.of.i == 9223372036 and span.n > 854775807)
            or (span.of.i == -9223372037 and span.n < 145224192)
        ):
            return fail(w, node, OUT_OF_RANGE)
        return span
    return overload(w, node, a)


cdef Value joined(Work* w, Value* a) noexcept:
    cdef uint64_t n = <uint64_t>a[0].n + a[1].n
    cdef char* p = <char*>take(w, n)
    if p is NULL or not spend(w, <int64_t>(n >> 8)):
        return no_value()
    memcpy(p, a[0].of.p, a[0].n)
    memcpy(p + a[0].n, a[1].of.p, a[1].n)
    return of_slice(a[0].kind, <const uint8_t*>p, <uint32_t>n)


cdef Value joined_lists(Work* w, Value* a) noexcept:
    cdef uint64_t n = <uint64_t>a[0].n + a[1].n, i = 0
    cdef Value* items = <Value*>take(w, n * sizeof(Value))
    cdef Cursor c
    cdef int side
    if items is NULL or not spend(w, <int64_t>n):
        return no_value()
    for side in range(2):
        c = over(a[side])
        while c.left:
            items[i] = following(&c)
            i += 1
    return of_built(LIST, items, <uint32_t>n)


cdef Value negated(Work* w, void* node, Value* a, int option) noexcept:
    cdef int64_t r = 0
    if a[0].kind == INT:
        return fail(w, node, OVERFLOW) if tm_sub(0, a[0].of.i, &r) else of_int(r)
    if a[0].kind == DOUBLE:
        return of_double(-a[0].of.d)
    return fail_kinds(w, node, NO_SUCH_OVERLOAD, 1, a[0].kind, 0)


# --- comparing ---

cdef Value same(Work* w, void* node, Value* a, int wanted) noexcept:
    cdef int r = equal(w, a[0], a[1])
    return no_value() if r < 0 else of_bool(r == wanted)


cdef Value ordered(Work* w, void* node, Value* a, int option) noexcept:
    """Compare two values. `option`: 0 `<`, 1 `<=`, 2 `>`, 3 `>=`."""
    cdef int c = order(a[0], a[1])
    if c == 3:
        return overload(w, node, a)
    if c == 2:
        return of_bool(False)
    if option == 0:
        return of_bool(c < 0)
    if option == 1:
        return of_bool(c <= 0)
    if option == 2:
        return of_bool(c > 0)
    return of_bool(c >= 0)


# --- lists and maps ---

cdef inline bint whole(Value key, int64_t* i) noexcept nogil:
    """Whether a key is a whole number that an index or a map key may be, and which."""
    if key.kind == INT:
        i[0] = key.of.i
        return True
    if key.kind == UINT:
        i[0] = key.of.i
        return key.of.i >= 0
    if key.kind == DOUBLE and -9.2e18 < key.of.d < 9.2e18 and <double><int64_t>key.of.d == key.of.d:
        i[0] = <int64_t>key.of.d
        return True
    return False


cdef inline bint is_key(Value key) noexcept nogil:
    return key.kind == STRING or key.kind == INT or key.kind == UINT or key.kind == BOOL or key.kind == DOUBLE


cdef Value index(Work* w, void* node, Value* a, int option) noexcept:
    cdef int64_t i = 0
    cdef Cursor c
    cdef Value v
    if a[0].kind == MAP:
        return select(w, node, a[0], a[1], False)
    if a[0].kind != LIST:
        return overload(w, node, a)
    if not whole(a[1], &i):
        return fail_kinds(w, node, BAD_INDEX, 1, a[1].kind, 0)
    if i < 0 or i >= a[0].n:
        v = fail(w, node, NO_SUCH_INDEX)
        w.fault.number = i
        return v
    if a[0].form == BUILT:
        return a[0].of.v[i]
    if not spend(w, i >> 3):
        return no_value()
    c = over(a[0])
    while i:
        c.at.p = skip(c.at.p)
        i -= 1
    return read(c.at.p)


cdef Value select(Work* w, void* node, Value box, Value key, bint test) noexcept:
    """Evaluate `box[key]`, `box.key`, and with `test` `has(box.key)`."""
    cdef Value v
    cdef int found
    if box.kind != MAP:
        return fail_kinds(w, node, NOT_A_MAP, 1, box.kind, 0)
    if not is_key(key):
        return fail_kinds(w, node, BAD_KEY, 1, key.kind, 0)
    found = lookup(w, box, key, &v)
    if found < 0:
        return no_value()
    if test:
        return of_bool(found)
    return v if found else fail_value(w, node, NO_SUCH_KEY, key)


cdef Value contained(Work* w, void* node, Value* a, int option) noexcept:
    """Evaluate `a in b`."""
    cdef Cursor c
    cdef Value v
    cdef int r
    if a[1].kind == MAP:
        if not is_key(a[0]):
            return fail_kinds(w, node, BAD_KEY, 1, a[0].kind, 0)
        r = lookup(w, a[1], a[0], &v)
        return no_value() if r < 0 else of_bool(r)
    if a[1].kind != LIST:
        return overload(w, node, a)
    if not spend(w, a[1].n >> 2):
        return no_value()
    c = over(a[1])
    while c.left:
        v = following(&c)
        if a[0].kind == STRING:
            r = v.kind == STRING and v.n == a[0].n and same_bytes(v.of.p, a[0].of.p, v.n)
        else:
            r = equal(w, a[0], v)
        if r:
            return no_value() if r < 0 else of_bool(True)
    return of_bool(False)


cdef Value size(Work* w, void* node, Value* a, int option) noexcept:
    cdef uint32_t i
    cdef int64_t n = 0
    if a[0].kind == LIST or a[0].kind == MAP or a[0].kind == BYTES:
        return of_int(a[0].n)
    if a[0].kind != STRING:
        return fail_kinds(w, node, NO_SUCH_OVERLOAD, 1, a[0].kind, 0)
    if not spend(w, a[0].n >> 8):
        return no_value()
    for i in range(a[0].n):
        n += (a[0].of.p[i] & 0xc0) != 0x80
    return of_int(n)


# --- strings ---

cdef enum Part:
    CONTAINS = 0
    STARTS = 1
    ENDS = 2
    WHOLE = 3


cdef inline bint has_part(Value text, const uint8_t* part, uint32_t n, int where) noexcept nogil:
    if n > text.n:
        return False
    if where == STARTS:
        return memcmp(text.of.p, part, n) == 0
    if where == ENDS:
        return memcmp(text.of.p + (text.n - n), part, n) == 0
    if where == WHOLE:
        return n == text.n and memcmp(text.of.p, part, n) == 0
    return n == 0 or memmem(text.of.p, text.n, part, n) is not NULL


cdef Value part_of(Work* w, void* node, Value* a, int where) noexcept:
    if a[0].kind != STRING or a[1].kind != STRING:
        return overload(w, node, a)
    if not spend(w, a[0].n >> 8):
        return no_value()
    return of_bool(has_part(a[0], a[1].of.p, a[1].n, where))


cdef inline bint is_plain(const uint8_t* p, uint32_t n) noexcept nogil:
    """Whether a pattern has none of RE2's special characters."""
    cdef uint32_t i
    cdef uint8_t c
    for i in range(n):
        c = p[i]
        if c == 46 or (40 <= c <= 43) or c == 63 or (91 <= c <= 94) or (123 <= c <= 125) or c == 36:
            return False
    return True


cdef Value matches(Work* w, void* node, Value* a, int option) noexcept:
    cdef const uint8_t* p
    cdef uint32_t n
    cdef uint32_t starts, ends
    if a[0].kind != STRING or a[1].kind != STRING:
        return overload(w, node, a)
    if not spend(w, (a[0].n + a[1].n) >> 5):
        return no_value()
    p = a[1].of.p
    n = a[1].n
    starts = n > 0 and p[0] == 94
    ends = n > starts and p[n - 1] == 36
    if is_plain(p + starts, n - starts - ends):
        return of_bool(has_part(a[0], p + starts, n - starts - ends, STARTS * starts + ENDS * ends))
    return searched(w, node, a)


PATTERNS_KEPT_MAX = 256
cdef dict patterns = {}
cdef object quiet = re2.Options()
quiet.log_errors = False


cdef Value searched(Work* w, void* node, Value* a) noexcept:
    """Match a pattern with RE2. Compiled patterns are cached; the oldest is evicted."""
    try:
        pattern = PyUnicode_DecodeUTF8(<const char*>a[1].of.p, a[1].n, "replace")
        search = patterns.get(pattern)
        if search is None:
            if len(patterns) >= PATTERNS_KEPT_MAX:
                patterns.pop(next(iter(patterns)))
            try:
                search = re2.compile(pattern, quiet).search
            except re2.error:
                return fail_text(w, node, BAD_PATTERN, a[1].of.p, a[1].n)
            patterns[pattern] = search
        return of_bool(search(PyUnicode_DecodeUTF8(<const char*>a[0].of.p, a[0].n, "replace")) is not None)
    except BaseException:
        return fail_raised(w, node)


# --- by name ---

cdef Function function_of(str name, int arguments, int* option):
    """Return the function of a name and a number of arguments, the receiver counted; NULL if there is none."""
    cdef Function f
    option[0] = 0
    if arguments == 1:
        if name == "size":
            return size
        if name == "-_":
            return negated
    if arguments == 2:
        if name in ("_+_", "_-_", "_*_", "_/_", "_%_"):
            option[0] = ("_+_", "_-_", "_*_", "_/_", "_%_").index(name)
            return arithmetic
        if name in ("_<_", "_<=_", "_>_", "_>=_"):
            option[0] = ("_<_", "_<=_", "_>_", "_>=_").index(name)
            return ordered
        if name in ("_!=_", "_==_"):
            option[0] = ("_!=_", "_==_").index(name)
            return same
        if name in ("contains", "startsWith", "endsWith"):
            option[0] = ("contains", "startsWith", "endsWith").index(name)
            return part_of
        if name == "_[_]":
            return index
        if name == "@in":
            return contained
        if name == "matches":
            return matches
    return <Function>conversion_of(name, arguments, option)
