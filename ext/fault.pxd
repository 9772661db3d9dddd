from ext.value cimport Fault

cdef str sentence(const Fault* fault, str label)
