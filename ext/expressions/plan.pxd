"""Planned expressions; see plan.pyx. `View`, what they see, is cimported from here as well."""

from ext.expressions.node_group cimport NodeGroup
from ext.expressions.value cimport Fault, Work
from ext.expressions.view cimport View

cdef void prepare(Work* w, View view) noexcept        # an evaluation of this view begins; `ext.expressions.value.leave` ends it
cdef int raise_again(Work* w) except -2


cdef class Plan:
    cdef readonly str text
    cdef NodeGroup group
    cdef list offsets
    cdef Fault fault

    cpdef bint test(self, View view) except -1
    cpdef object value(self, View view)
    cpdef object json(self, View view)
    cdef int run(self, View view) except -2   # 1 true, 0 false, -1 an error (see `error`); -2 raises: a fault of the engine's own
    cdef object given(self, View view, bint as_json)
    cdef str sentence(self)
    cdef tuple place(self)
