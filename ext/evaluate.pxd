"""The functions that evaluate nodes; see evaluate.pyx."""

from ext.node cimport Run

cdef Run run_of(str op)
