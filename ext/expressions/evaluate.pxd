"""The functions that evaluate nodes; see evaluate.pyx."""

from ext.expressions.node cimport Run

cdef Run run_of(str op)
