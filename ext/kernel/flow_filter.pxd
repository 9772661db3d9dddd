"""The filter of the flows that an event may launch; see flow_filter.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from ext.expressions.node cimport Node
from ext.expressions.view cimport View

cdef struct Clause:
    Node* node
    uint32_t first        # the words in which `flows` has bits
    uint32_t words
    uint64_t* flows       # owned: the flows that it rules out where it is not true, a bit each


cdef class Matcher:
    cdef readonly tuple flows
    cdef list kept
    cdef Clause* clauses
    cdef Py_ssize_t clause_count
    cdef uint64_t* left   # the flows not ruled out
    cdef Py_ssize_t words

    cdef int add(self, Node* node, list flows) except -1
    cdef int rule_out(self, View view, Py_ssize_t begin) except -1
    cdef Py_ssize_t following(self, Py_ssize_t begin) noexcept
