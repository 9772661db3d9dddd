"""The sentence of a fault; see error_text.pyx."""
from ext.expressions.value cimport Fault

cdef str sentence(const Fault* fault, str label)
