"""The values an expression computes with: 16 bytes, returned in two registers, never a Python object."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.maps.msgpack cimport read_f32, read_f64, read_u16, read_u32, read_u64, skip
from ext.maps.packed_map cimport read_key


cpdef enum Kind:
    ERROR = 0      # evaluation failed: the fault in the Work says how
    NULL_ = 1
    BOOL = 2
    INT = 3
    UINT = 4
    DOUBLE = 5
    STRING = 6     # UTF-8, n bytes
    BYTES = 7      # n bytes
    TIMESTAMP = 8  # seconds since 1970 in `of.i` (rounded down), nanoseconds in `n`
    DURATION = 9   # the same split: -0.5 s is -1 s and 500,000,000 ns
    TYPE = 10      # `of.i` is the Kind it names
    LIST = 11      # n elements
    MAP = 12       # n entries

# Where the elements of a list or map are.
cdef enum Form:
    PACKED = 0     # `of.p`: as a map that is kept has it (`ext.maps.packed_map`), just behind the header
    BUILT = 1      # `of.v`: an array in the arena; for a map key, value, key, value…

cdef union Payload:
    int64_t i
    uint64_t u
    double d
    const uint8_t* p
    Value* v

cdef struct Value:
    uint8_t kind
    uint8_t form
    uint16_t spare
    uint32_t n
    Payload of

# What went wrong, in a form that costs nothing to make: the sentence is written only if somebody asks.
cpdef enum Wrong:
    NOTHING = 0
    NO_SUCH_KEY = 1
    NO_SUCH_OVERLOAD = 2
    OVERFLOW = 3
    DIVISION_BY_ZERO = 4
    MODULUS_BY_ZERO = 5
    NO_SUCH_INDEX = 6
    BAD_INDEX = 7
    BAD_KEY = 8
    DUPLICATE_KEY = 9
    NOT_A_MAP = 10
    NOT_A_BOOL = 11
    BAD_CONVERSION = 12
    OUT_OF_RANGE = 13
    BAD_ZONE = 14
    BAD_UTF8 = 15
    BAD_PATTERN = 16
    NO_EVENT = 17
    NO_SUCH_EVENT = 18
    NO_FACTS = 19
    WRONG_TYPE = 20
    UNDECLARED = 21
    TOO_MANY_STEPS = 22    # from here on: the whole evaluation is over
    TOO_MUCH_MEMORY = 23
    RAISED = 24            # a Python exception of the engine's own is waiting in the Work

cdef struct Fault:
    uint8_t code
    uint8_t kinds         # how many of kind1, kind2 are set
    uint8_t kind1
    uint8_t kind2
    int32_t text_n        # -1: no text
    int64_t number
    void* node            # the ext.expressions.plan Node that failed
    char text[56]

# What an evaluation works with. On the C stack of whoever evaluates.
cdef struct Work:
    int64_t steps         # left
    uint64_t generation
    uint8_t breached      # the first bound exceeded, or RAISED: no `||` absorbs these
    const uint8_t* roots[3]   # packed maps: traits, properties (NULL: no event), variables
    void* view
    void* raised          # owned exception object or NULL
    Fault fault
    Value slots[32]

cdef inline Value of_bool(bint b) noexcept nogil:
    cdef Value v
    v.kind = BOOL; v.form = 0; v.spare = 0; v.n = 0
    v.of.i = 1 if b else 0
    return v

cdef inline Value of_int(int64_t i) noexcept nogil:
    cdef Value v
    v.kind = INT; v.form = 0; v.spare = 0; v.n = 0
    v.of.i = i
    return v

cdef inline Value of_uint(uint64_t u) noexcept nogil:
    cdef Value v
    v.kind = UINT; v.form = 0; v.spare = 0; v.n = 0
    v.of.u = u
    return v

cdef inline Value of_double(double d) noexcept nogil:
    cdef Value v
    v.kind = DOUBLE; v.form = 0; v.spare = 0; v.n = 0
    v.of.d = d
    return v

cdef inline Value of_slice(uint8_t kind, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef Value v
    v.kind = kind; v.form = PACKED; v.spare = 0; v.n = n
    v.of.p = p
    return v

cdef inline Value of_built(uint8_t kind, Value* items, uint32_t n) noexcept nogil:
    cdef Value v
    v.kind = kind; v.form = BUILT; v.spare = 0; v.n = n
    v.of.v = items
    return v

cdef inline Value of_time(uint8_t kind, int64_t seconds, uint32_t nanos) noexcept nogil:
    cdef Value v
    v.kind = kind; v.form = 0; v.spare = 0; v.n = nanos
    v.of.i = seconds
    return v

cdef inline Value no_value() noexcept nogil:
    cdef Value v
    v.kind = ERROR; v.form = 0; v.spare = 0; v.n = 0
    v.of.i = 0
    return v


cdef Value read_rare(const uint8_t* p) noexcept nogil


cdef inline Value read(const uint8_t* p) noexcept nogil:
    """Return the element at `p` as a value; strings, lists and maps stay where they are."""
    cdef uint8_t b = p[0]
    if b < 0x80:
        return of_int(b)
    if b >= 0xe0:
        return of_int(<int8_t>b)
    if b >= 0xa0 and b < 0xc0:
        return of_slice(STRING, p + 1, b & 31)
    if b == 0xcb:
        return of_double(read_f64(p + 1))
    if b == 0xcd:
        return of_int(read_u16(p + 1))
    if b == 0xcc:
        return of_int(p[1])
    return read_rare(p)


# --- lists and maps, wherever their elements are ---

cdef struct Cursor:
    uint32_t left         # elements, for a map keys and values counted apart
    uint8_t form
    uint8_t keyed         # of a map: every other element is a key
    Payload at


cdef inline Cursor over(Value box) noexcept nogil:
    cdef Cursor c
    c.left = box.n * 2 if box.kind == MAP else box.n
    c.form = box.form
    c.keyed = box.kind == MAP
    c.at = box.of
    return c


cdef inline Value following_key(Cursor* c) noexcept nogil:
    """Return a packed map's next key: a string, or whatever else it is."""
    cdef const uint8_t* p = c.at.p
    cdef const uint8_t* text
    cdef uint32_t n
    c.at.p = read_key(p, &text, &n)
    return read(p) if text == NULL else of_slice(STRING, text, n)


cdef inline Value following(Cursor* c) noexcept nogil:
    """Return the next element; the caller watches `left`."""
    cdef Value v
    c.left -= 1
    if c.form == BUILT:
        v = c.at.v[0]
        c.at.v += 1
    elif c.keyed and c.left & 1:
        v = following_key(c)
    else:
        v = read(c.at.p)
        c.at.p = skip(c.at.p)
    return v


# --- the arena: what an evaluation makes lives until the outermost evaluation ends ---

cdef size_t arena_used
cdef int entered

cdef void* take(Work* w, size_t n) noexcept


cdef inline void enter() noexcept:
    """Begin an evaluation. One inside another (a fact that asks a condition) keeps the outer one's values."""
    global entered, arena_used
    if entered == 0:
        arena_used = 0
    entered += 1


cdef inline void leave() noexcept:
    global entered
    entered -= 1


# --- errors ---

cdef Value fail(Work* w, void* node, uint8_t code) noexcept
cdef Value fail_kinds(Work* w, void* node, uint8_t code, int kinds, uint8_t kind1, uint8_t kind2) noexcept
cdef Value fail_text(Work* w, void* node, uint8_t code, const uint8_t* text, Py_ssize_t n) noexcept
cdef Value fail_value(Work* w, void* node, uint8_t code, Value v) noexcept
cdef Value fail_raised(Work* w, void* node) noexcept

cdef inline bint spend(Work* w, int64_t steps) noexcept:
    """Take steps from the budget. Return False if too few are left; the fault is set then."""
    w.steps -= steps
    if w.steps < 0:
        fail(w, NULL, TOO_MANY_STEPS)
        return False
    return True

# --- comparing ---

cdef int equal(Work* w, Value a, Value b) noexcept            # 1, 0; -1: no steps left
cdef int order(Value a, Value b) noexcept nogil               # -1, 0, 1; 2: not ordered (NaN); 3: no such overload
cdef int lookup(Work* w, Value map, Value key, Value* out) noexcept   # 1, 0; -1: no steps left

# --- out of here ---

cdef object to_python(Value v)
cdef object to_json(Value v)
cdef str kind_name(uint8_t kind)
