"""The values an expression computes with: 16 bytes, returned in two registers, never a Python object."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


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
    PACKED = 0     # `of.p`: msgpack, just behind the header
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
    TOO_MANY_STEPS = 21
    TOO_MUCH_MEMORY = 22
    UNDECLARED = 23
    RAISED = 24    # a Python exception of the engine's own is waiting in the Work

cdef struct Fault:
    uint8_t code
    uint8_t kinds         # how many of kind1, kind2 are set
    uint8_t kind1
    uint8_t kind2
    int32_t text_n        # -1: no text
    int64_t number
    void* node            # the ext.predicate Node that failed
    char text[56]

# What an evaluation works with. On the C stack of whoever evaluates.
cdef struct Work:
    int64_t steps         # left
    uint64_t generation
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
