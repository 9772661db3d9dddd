"""Conditions on one key and a constant, which is what most clauses are: `order.total >= 50`,
`customer.city in ["London", "Paris"]`.

Such a node holds what its two kids hold and decides in one step what would take three calls. It decides only the usual
case: the key is there, and its value is of the constant's kind as far as the schema says. Everything else, and so
every error, is left to the node's general function, so that there is one place that knows the rules.

Rejected: machine code made at run time, and a function for each pair of operator and kind: a mask of the outcomes that
an operator takes for true does as well, without a jump.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport malloc

from ext.expressions.truth cimport by_value
from ext.expressions.key_positions cimport locate
from ext.expressions.node cimport Decide, Node, Run, ShortText
from ext.expressions.value cimport (
    BUILT, DOUBLE, INT, LIST, STRING, Value, Work, read,
)

cdef enum:
    TEXT_MAX = 16         # bytes: what two words hold
    TEXTS_MAX = 16

cdef extern from *:
    """
    #include <string.h>
    static inline tm_text tm_text_of(const uint8_t* p, uint32_t n) {
        tm_text t = {n, 0, 0};
        uint32_t x, y;
        if (n >= 8) { memcpy(&t.head, p, 8); memcpy(&t.tail, p + n - 8, 8); }
        else if (n >= 4) { memcpy(&x, p, 4); memcpy(&y, p + n - 4, 4); t.head = x; t.tail = y; }
        else if (n) { t.head = p[0] | (uint64_t)p[n >> 1] << 8; t.tail = p[n - 1]; }
        return t;
    }
    """
    ShortText text_of "tm_text_of" (const uint8_t* p, uint32_t n) noexcept nogil

# The outcomes of comparing a value with the constant.
cdef enum:
    LESS = 1
    EQUAL = 2
    MORE = 4      # none of the three: not a number is among them

cdef dict TRUE_FOR = {"_<_": LESS, "_<=_": LESS | EQUAL, "_>_": MORE, "_>=_": MORE | EQUAL, "_==_": EQUAL, "_!=_": EQUAL}


cdef inline const uint8_t* place_of(Node* n, Work* w) noexcept:
    """Return the value of the node's key, NULL if there is none."""
    if n.found.generation == w.generation:
        return n.found.at
    return locate(n.found, w.generation, w.roots[n.root])


cdef inline bint fits(Node* n, Value v) noexcept:
    return n.declared == 0 or n.declared == v.kind


cdef int with_int(Node* n, Work* w) noexcept:
    """Compare a number with an int."""
    cdef const uint8_t* p = place_of(n, w)
    cdef Value v
    cdef double d
    cdef int outcome
    if p is NULL:
        return by_value(n, w)
    v = read(p)
    if v.kind == INT and fits(n, v):
        outcome = (v.of.i < n.constant.of.i) | (v.of.i == n.constant.of.i) << 1 | (v.of.i > n.constant.of.i) << 2
    elif v.kind == DOUBLE and fits(n, v):
        d = <double>n.constant.of.i
        outcome = (v.of.d < d) | (v.of.d == d) << 1 | (v.of.d > d) << 2
    else:
        return by_value(n, w)
    return ((outcome & n.mask) != 0) ^ n.negated


cdef int with_double(Node* n, Work* w) noexcept:
    """Compare a number with a double."""
    cdef const uint8_t* p = place_of(n, w)
    cdef Value v
    cdef double d
    cdef int outcome
    if p is NULL:
        return by_value(n, w)
    v = read(p)
    if not fits(n, v):
        return by_value(n, w)
    if v.kind == DOUBLE:
        d = v.of.d
    elif v.kind == INT:
        d = <double>v.of.i
    else:
        return by_value(n, w)
    outcome = (d < n.constant.of.d) | (d == n.constant.of.d) << 1 | (d > n.constant.of.d) << 2
    return ((outcome & n.mask) != 0) ^ n.negated


cdef int with_texts(Node* n, Work* w) noexcept:
    """Find out whether a string is one of the constants. Which one it is differs from contact to contact and
    cannot be foreseen, so all are compared, without a jump."""
    cdef const uint8_t* p = place_of(n, w)
    cdef Value v
    cdef ShortText text
    cdef uint32_t i
    cdef bint found = False
    if p is NULL:
        return by_value(n, w)
    v = read(p)
    if v.kind != STRING or not fits(n, v):
        return by_value(n, w)
    if v.n <= TEXT_MAX:
        text = text_of(v.of.p, v.n)
        for i in range(n.text_count):
            found |= ((text.n ^ n.texts[i].n) | (text.head ^ n.texts[i].head) | (text.tail ^ n.texts[i].tail)) == 0
    return found ^ n.negated


cdef Decide shortcut_of(str name, Node* n, Run path, Run constant) except? NULL:
    """Return the function that does a call in one step, and prepare its node; NULL if there is none."""
    cdef Node* key
    cdef Decide found
    if n.n != 2 or n.kids[0].plain != path or n.kids[1].plain != constant:
        return NULL
    key = n.kids[0]
    n.found = key.found
    n.declared = key.declared
    n.root = key.root
    n.mask = TRUE_FOR.get(name, 0)
    n.negated = name == "_!=_"
    n.constant = n.kids[1].constant
    if n.mask and n.constant.kind == INT:
        return with_int
    if n.mask and n.constant.kind == DOUBLE:
        return with_double
    if n.mask == EQUAL or n.negated:
        if keep_texts(n, &n.constant, 1):
            return with_texts
    elif name == "@in" and n.constant.kind == LIST and n.constant.form == BUILT:
        if keep_texts(n, n.constant.of.v, n.constant.n):
            return with_texts
    return NULL


cdef int keep_texts(Node* n, const Value* constants, uint32_t count) except -1:
    """Keep the constants as words. Return 0 if one of them is no short string, or there are many."""
    cdef uint32_t i
    if count == 0 or count > TEXTS_MAX:
        return 0
    for i in range(count):
        if constants[i].kind != STRING or constants[i].n > TEXT_MAX:
            return 0
    n.texts = <ShortText*>malloc(count * sizeof(ShortText))
    if n.texts is NULL:
        raise MemoryError
    n.text_count = count
    for i in range(count):
        n.texts[i] = text_of(constants[i].of.p, constants[i].n)
    return 1
