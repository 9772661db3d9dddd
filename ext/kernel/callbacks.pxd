cdef class Callbacks:
    pass
