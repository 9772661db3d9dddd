"""Conditions as a truth, without a value in between; see truth.pyx."""

from ext.expressions.node cimport Decide, Node, Run
from ext.expressions.value cimport Work

cdef int junction(Node* n, Work* w) noexcept
cdef int by_value(Node* n, Work* w) noexcept
cdef Decide decide_of(str op)
cdef Decide memo_decide()
cdef Run decided_run()
