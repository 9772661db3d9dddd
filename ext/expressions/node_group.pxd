"""Groups of nodes that are owned together; see node_group.pyx."""

from ext.expressions.node cimport Node, Run
from ext.expressions.value cimport Value

cdef class NodeGroup:
    """Nodes owned together: a plan's own, or a condition that plans share."""
    cdef Node* root
    cdef Node** nodes
    cdef size_t count
    cdef size_t holders
    cdef list kept
    cdef list children
    cdef dict labels
    cdef object __weakref__

    cdef Node* make(self, Run run, tuple term) except NULL
    cdef Node* build(self, tuple term) except NULL
    cdef Node* kid(self, tuple term) except NULL
    cdef int fill(self, Node* node, str op, tuple data) except -1
    cdef Value literal(self, int kind, object value) except *
    cdef int fold(self, Node* node) except -1
    cdef int shorten(self, Node* node, str op, tuple data) except -1
    cdef void held(self, int change) noexcept


cdef NodeGroup group_of(tuple term)
cdef dict labels_of(NodeGroup group)
cdef dict places_of(NodeGroup group, list offsets)
