"""Conditions decided: 1 true, 0 false, -1 an error (the fault is in the Work). What `&&` and `||` ask of their kids.

Most nodes of a condition only ever matter as a truth, and a truth is a number in a register where a value is sixteen
bytes to put together and take apart. So a node has two functions: `run` gives its value, `decide` its truth; each kind
of node has one of them by nature, and the other in terms of that one.

CEL's rule for errors is kept here: `false && error` is false and `error && false` as well; only where nothing decides
is the first error the result. Bounds are not errors in this sense: once one is exceeded the whole evaluation is over
(`Work.breached`).
"""

from libc.stdint cimport int64_t, uint32_t

from ext.expressions.node cimport Decide, Node, Run
from ext.expressions.value cimport BOOL, ERROR, NOT_A_BOOL, Fault, Value, Work, fail_kinds, no_value, of_bool, spend


cdef int by_value(Node* n, Work* w) noexcept:
    """Decide a node that has a value. A value that is no bool is an error of the caller, not of a node."""
    cdef Value v = n.plain(n, w)
    if v.kind == BOOL:
        return v.of.i != 0
    if v.kind != ERROR:
        fail_kinds(w, NULL, NOT_A_BOOL, 1, v.kind, 0)
    return -1


cdef Value by_truth(Node* n, Work* w) noexcept:
    """Evaluate a node that is decided, as a value."""
    cdef int truth = n.decide(n, w)
    return no_value() if truth < 0 else of_bool(truth)


cdef int junction(Node* n, Work* w) noexcept:
    """Decide `&&` (`option` 0) and `||` (1) over any number of kids: the first that equals `option` decides."""
    cdef uint32_t i
    cdef int truth
    for i in range(n.n):
        truth = n.kids[i].decide(n.kids[i], w)
        if truth == n.option:
            return truth
        if truth < 0:
            return after_error(n, w, i + 1)
    return not n.option


cdef int after_error(Node* n, Work* w, uint32_t i) noexcept:
    """Decide by the kids from `i` on, after one in error: any of them may still decide."""
    cdef Fault kept
    cdef int truth
    if w.fault.node is NULL and w.fault.code == NOT_A_BOOL:
        w.fault.node = n
    kept = w.fault
    while i < n.n and not w.breached:
        truth = n.kids[i].decide(n.kids[i], w)
        if truth == n.option:
            return truth
        i += 1
    w.fault = kept
    return -1


cdef int remembered(Node* n, Work* w) noexcept:
    """Decide a condition that several plans share: it is evaluated once in a generation."""
    cdef int64_t before
    cdef int truth
    if n.memo.generation == w.generation:
        if n.memo.steps and not spend(w, n.memo.steps):
            return -1
        if n.memo.truth < 0:
            w.fault = n.memo.fault
        return n.memo.truth
    before = w.steps
    truth = n.own(n, w)
    if not w.breached:
        n.memo.generation = w.generation
        n.memo.steps = before - w.steps
        n.memo.truth = truth
        if truth < 0:
            n.memo.fault = w.fault
    return truth


cdef Decide decide_of(str op):
    """Return the function that decides a kind of node."""
    return junction if op == "and" or op == "or" else by_value


cdef Decide memo_decide():
    return remembered


cdef Run decided_run():
    return by_truth
