"""The sentence of a fault; see fault.pyx."""
from ext.expressions.value cimport Fault

cdef str sentence(const Fault* fault, str label)
