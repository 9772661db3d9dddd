"""The values an expression computes with: reading them out of msgpack, comparing them, giving them back.

A value is 16 bytes: a kind, a length, and either the number itself or a pointer. Numbers, booleans, timestamps and
durations are immediate; a string is a slice of the contact's own packed bytes; a list or map is the place of its
first element, packed (as it was stored) or built (an array of values in the arena, where an expression made it). So
reading `order.total` costs a walk over the keys before it and nothing else.

Rejected: Python objects (an allocation and a reference count per step, 2 to 7 µs for a whole condition), and
unpacking the context into a table beforehand (most conditions read two keys of thirty).

What is made during an evaluation (strings by `+`, lists by `map`) is taken from one arena by moving a pointer and
given back all at once when the outermost evaluation ends. Its size is a bound, not a hint.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isinf, isnan
from libc.stdint cimport int16_t
from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy

import base64
import datetime
import sys

from engine.limits import EXPRESSION_MEMORY_BYTES_MAX
from ext.expressions.cel_time cimport TEXT_BYTES_MAX, print_duration, print_timestamp
from ext.maps.key_numbers cimport same_bytes
from ext.maps.msgpack cimport read_f32, read_u16, read_u32, read_u64, skip
from ext.maps.packed_map cimport find_among

cdef uint8_t* arena = <uint8_t*>malloc(EXPRESSION_MEMORY_BYTES_MAX)
cdef size_t arena_size = EXPRESSION_MEMORY_BYTES_MAX
arena_used = 0
entered = 0

if arena is NULL:
    raise MemoryError("no memory for the arena of expressions")


cdef void* take(Work* w, size_t n) noexcept:
    """Return `n` bytes of the arena, or NULL and set a fault."""
    global arena_used
    cdef void* p = arena + arena_used
    n = (n + 15) & ~<size_t>15
    if n > arena_size - arena_used:
        fail(w, NULL, TOO_MUCH_MEMORY)
        return NULL
    arena_used += n
    return p


# --- msgpack ---

cdef Value read_rare(const uint8_t* p) noexcept nogil:
    """Read the forms that `read` leaves out. An integer beyond 64 bits with sign is a double, as JSON gives it no type."""
    cdef uint8_t b = p[0]
    cdef uint64_t u
    cdef Value nothing
    nothing.kind = NULL_
    nothing.form = 0
    nothing.spare = 0
    nothing.n = 0
    nothing.of.i = 0
    if b < 0x90:
        return of_slice(MAP, p + 1, b & 15)
    if b < 0xa0:
        return of_slice(LIST, p + 1, b & 15)
    if b == 0xc2 or b == 0xc3:
        return of_bool(b == 0xc3)
    if b == 0xd9:
        return of_slice(STRING, p + 2, p[1])
    if b == 0xda:
        return of_slice(STRING, p + 3, read_u16(p + 1))
    if b == 0xdb:
        return of_slice(STRING, p + 5, read_u32(p + 1))
    if b == 0xca:
        return of_double(read_f32(p + 1))
    if b == 0xce:
        return of_int(read_u32(p + 1))
    if b == 0xcf:
        u = read_u64(p + 1)
        return of_int(<int64_t>u) if <int64_t>u >= 0 else of_double(<double>u)
    if b == 0xd0:
        return of_int(<int8_t>p[1])
    if b == 0xd1:
        return of_int(<int16_t>read_u16(p + 1))
    if b == 0xd2:
        return of_int(<int32_t>read_u32(p + 1))
    if b == 0xd3:
        return of_int(<int64_t>read_u64(p + 1))
    if b == 0xdc:
        return of_slice(LIST, p + 3, read_u16(p + 1))
    if b == 0xdd:
        return of_slice(LIST, p + 5, read_u32(p + 1))
    if b == 0xde:
        return of_slice(MAP, p + 3, read_u16(p + 1))
    if b == 0xdf:
        return of_slice(MAP, p + 5, read_u32(p + 1))
    if b == 0xc4:
        return of_slice(BYTES, p + 2, p[1])
    if b == 0xc5:
        return of_slice(BYTES, p + 3, read_u16(p + 1))
    if b == 0xc6:
        return of_slice(BYTES, p + 5, read_u32(p + 1))
    # Extensions: -1 is msgpack's timestamp (three widths), 1 ours: a duration as seconds and nanoseconds.
    if b == 0xd6 and p[1] == 0xff:
        return of_time(TIMESTAMP, read_u32(p + 2), 0)
    if b == 0xd7 and p[1] == 0xff:
        u = read_u64(p + 2)
        return of_time(TIMESTAMP, <int64_t>(u & 0x3ffffffffULL), <uint32_t>(u >> 34))
    if b == 0xc7 and p[1] == 12 and (p[2] == 0xff or p[2] == 1):
        return of_time(TIMESTAMP if p[2] == 0xff else DURATION, <int64_t>read_u64(p + 7), read_u32(p + 3))
    return nothing


# --- errors ---

cdef Value fail(Work* w, void* node, uint8_t code) noexcept:
    w.fault.code = code
    w.fault.kinds = w.fault.kind1 = w.fault.kind2 = 0
    w.fault.text_n = -1
    w.fault.number = 0
    w.fault.node = node
    if code >= TOO_MANY_STEPS and not w.breached:
        w.breached = code
    return no_value()


cdef Value fail_kinds(Work* w, void* node, uint8_t code, int kinds, uint8_t kind1, uint8_t kind2) noexcept:
    """Set a fault about the kinds of one or two values."""
    fail(w, node, code)
    w.fault.kinds = kinds
    w.fault.kind1 = kind1
    w.fault.kind2 = kind2
    return no_value()


cdef Value fail_text(Work* w, void* node, uint8_t code, const uint8_t* text, Py_ssize_t n) noexcept:
    """Set a fault about a text; a long one is cut."""
    fail(w, node, code)
    w.fault.text_n = <int32_t>(n if n <= <Py_ssize_t>sizeof(w.fault.text) else <Py_ssize_t>sizeof(w.fault.text))
    memcpy(w.fault.text, text, w.fault.text_n)
    return no_value()


cdef Value fail_value(Work* w, void* node, uint8_t code, Value v) noexcept:
    """Set a fault about one value: its kind, and the value itself if it is short."""
    if v.kind == STRING:
        fail_text(w, node, code, v.of.p, v.n)
    else:
        fail(w, node, code)
        w.fault.number = v.of.i
    w.fault.kinds = 1
    w.fault.kind1 = v.kind
    return no_value()


cdef Value fail_raised(Work* w, void* node) noexcept:
    """Keep the Python exception that is set, and unwind; the caller that began the evaluation raises it again."""
    cdef object error = sys.exc_info()[1]
    if w.raised is NULL:
        Py_INCREF(error)
        w.raised = <void*>error
    return fail(w, node, RAISED)


# --- comparing ---

cdef inline bint is_number(uint8_t kind) noexcept nogil:
    return INT <= kind <= DOUBLE


cdef int order_numbers(Value a, Value b) noexcept nogil:
    """Compare numbers of any two kinds. With a double the other is taken as a double, as CEL's engines do."""
    cdef double x, y
    if a.kind != DOUBLE and b.kind != DOUBLE:
        if a.kind == INT and b.kind == INT:
            return (a.of.i > b.of.i) - (a.of.i < b.of.i)
        if a.kind == INT and a.of.i < 0:
            return -1
        if b.kind == INT and b.of.i < 0:
            return 1
        return (a.of.u > b.of.u) - (a.of.u < b.of.u)
    x = a.of.d if a.kind == DOUBLE else (<double>a.of.i if a.kind == INT else <double>a.of.u)
    y = b.of.d if b.kind == DOUBLE else (<double>b.of.i if b.kind == INT else <double>b.of.u)
    if isnan(x) or isnan(y):
        return 2
    return (x > y) - (x < y)


cdef int order(Value a, Value b) noexcept nogil:
    cdef int c
    if is_number(a.kind) and is_number(b.kind):
        return order_numbers(a, b)
    if a.kind != b.kind:
        return 3
    if a.kind == STRING or a.kind == BYTES:     # UTF-8 orders by code point
        c = memcmp(a.of.p, b.of.p, a.n if a.n < b.n else b.n)
        if c == 0:
            c = (a.n > b.n) - (a.n < b.n)
        return (c > 0) - (c < 0)
    if a.kind == TIMESTAMP or a.kind == DURATION:
        c = (a.of.i > b.of.i) - (a.of.i < b.of.i)
        return c if c else (a.n > b.n) - (a.n < b.n)
    if a.kind == BOOL:
        return (a.of.i > b.of.i) - (a.of.i < b.of.i)
    return 3


cdef int equal(Work* w, Value a, Value b) noexcept:
    cdef Cursor x, y
    cdef Value k, v, other
    cdef int same
    if is_number(a.kind) and is_number(b.kind):
        return order_numbers(a, b) == 0
    if a.kind != b.kind:
        return 0
    if a.kind == STRING or a.kind == BYTES:
        return a.n == b.n and same_bytes(a.of.p, b.of.p, a.n)
    if a.kind == BOOL or a.kind == TYPE:
        return a.of.i == b.of.i
    if a.kind == TIMESTAMP or a.kind == DURATION:
        return a.of.i == b.of.i and a.n == b.n
    if a.kind == NULL_:
        return 1
    if a.n != b.n:
        return 0
    x = over(a)
    if a.kind == LIST:
        y = over(b)
        while x.left:
            if not spend(w, 1):
                return -1
            same = equal(w, following(&x), following(&y))
            if same != 1:
                return same
        return 1
    while x.left:
        k = following(&x)
        v = following(&x)
        same = lookup(w, b, k, &other)
        if same == 1:
            same = equal(w, v, other)
        if same != 1:
            return same
    return 1


cdef int lookup(Work* w, Value map, Value key, Value* out) noexcept:
    """Look up the value under a key. Keys are strings, booleans and whole numbers; 1, 1u and 1.0 are one key."""
    cdef Cursor c
    cdef Value k, v
    cdef const uint8_t* p
    if not spend(w, 1 + map.n // 8):
        return -1
    if key.kind == STRING and map.form == PACKED:
        p = find_among(map.of.p, map.n, key.of.p, key.n)
        if p is NULL:
            return 0
        out[0] = read(p)
        return 1
    c = over(map)
    while c.left:
        k = following(&c)
        v = following(&c)
        if order(k, key) == 0:
            out[0] = v
            return 1
    return 0


# --- out of here ---

class TypeName(str):
    """The result of `type(x)`: the name of a type, such as `int` or `google.protobuf.Timestamp`."""

    __slots__ = ()


cdef tuple KIND_NAMES = (
    "error", "null_type", "bool", "int", "uint", "double", "string", "bytes",
    "google.protobuf.Timestamp", "google.protobuf.Duration", "type", "list", "map",
)

cdef object EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


cdef str kind_name(uint8_t kind):
    return KIND_NAMES[kind]


cdef object to_python(Value v):
    """Convert to Python: datetime and timedelta to the microsecond, `TypeName` for a type."""
    cdef Cursor c
    if v.kind == LIST:
        c = over(v)
        items = []
        while c.left:
            items.append(to_python(following(&c)))
        return items
    if v.kind == MAP:
        c = over(v)
        entries = {}
        while c.left:
            key = to_python(following(&c))
            entries[key] = to_python(following(&c))
        return entries
    if v.kind == TIMESTAMP:
        return EPOCH + datetime.timedelta(seconds=v.of.i, microseconds=v.n // 1000)
    if v.kind == DURATION:
        return datetime.timedelta(seconds=v.of.i, microseconds=v.n // 1000)
    if v.kind == TYPE:
        return TypeName(KIND_NAMES[v.of.i])
    if v.kind == DOUBLE:
        return v.of.d
    if v.kind == BYTES:
        return PyBytes_FromStringAndSize(<const char*>v.of.p, v.n)
    return to_plain(v)


cdef object to_plain(Value v):
    """Convert the kinds that JSON and Python share."""
    if v.kind == NULL_:
        return None
    if v.kind == BOOL:
        return v.of.i != 0
    if v.kind == INT:
        return v.of.i
    if v.kind == UINT:
        return v.of.u
    return PyUnicode_DecodeUTF8(<const char*>v.of.p, v.n, "replace")


cdef object to_json(Value v):
    """Convert to what JSON can carry: times as CEL's own text, bytes in base64, a type by its name, NaN and Infinity by theirs."""
    cdef Cursor c
    cdef char out[TEXT_BYTES_MAX]
    if v.kind == LIST:
        c = over(v)
        items = []
        while c.left:
            items.append(to_json(following(&c)))
        return items
    if v.kind == MAP:
        c = over(v)
        entries = {}
        while c.left:
            key = to_json(following(&c))
            entries[key if isinstance(key, str) else str(key).lower()] = to_json(following(&c))
        return entries
    if v.kind == TIMESTAMP:
        return out[:print_timestamp(v.of.i, v.n, out)].decode()
    if v.kind == DURATION:
        return out[:print_duration(v.of.i, v.n, out)].decode()
    if v.kind == TYPE:
        return KIND_NAMES[v.of.i]
    if v.kind == BYTES:
        return base64.b64encode(PyBytes_FromStringAndSize(<const char*>v.of.p, v.n)).decode()
    if v.kind == DOUBLE:
        if isnan(v.of.d):
            return "NaN"
        if isinf(v.of.d):
            return "Infinity" if v.of.d > 0 else "-Infinity"
        return v.of.d
    return to_plain(v)
