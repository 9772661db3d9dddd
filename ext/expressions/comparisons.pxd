"""Conditions on one key and a constant; see comparisons.pyx."""

from ext.expressions.node cimport Decide, Node, Run

cdef Decide shortcut_of(str name, Node* n, Run path, Run constant) except? NULL
