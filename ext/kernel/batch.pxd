from libc.stdint cimport int64_t

from ext.kernel.core cimport Core

cpdef int open_batch(Core core, int64_t now_ms, Py_ssize_t timers_max, Py_ssize_t reaped_max) except -1
cpdef Py_ssize_t fire(Core core, Py_ssize_t limit) except -1
cpdef Py_ssize_t take_events(Core core, list inputs, Py_ssize_t start) except -1
cpdef Py_ssize_t reap(Core core, Py_ssize_t limit) except -1
cpdef Py_ssize_t release_held(Core core, Py_ssize_t limit) except -1
