from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from ext.structures.wheel_heap cimport Heap, Timer
from ext.structures.wheel_sort cimport Entry

cdef enum:
    LEVELS = 11
    SLOTS = 704  # LEVELS * 64
    LEAVING = 32  # timers that wait to be cancelled, at most
    RUN = 704  # the list of those being given out stands behind the slots

cdef class Wheel:
    cdef Timer* _timers
    cdef uint32_t _room
    cdef uint32_t _used  # timers beyond were never given out
    cdef uint32_t _free
    cdef Py_ssize_t _live

    cdef uint64_t _elapsed  # ordered (see `ordered`); slots hold what is due after it
    cdef uint16_t _levels  # bitmap of levels with anything in them
    cdef uint64_t[LEVELS] _occupied  # bitmap of slots with anything in them
    cdef uint64_t[LEVELS] _unsure  # bitmap of slots whose `_minima` may be too small
    cdef uint32_t[SLOTS + 1] _heads
    cdef uint32_t[SLOTS + 1] _counts
    cdef int64_t[SLOTS] _minima

    cdef Heap _late  # by (due, key)

    cdef uint64_t[LEAVING] _handles  # of timers that are cancelled soon
    cdef int _leaving  # how many

    cpdef uint64_t insert(self, int64_t due_ms, int64_t key) except 0
    cpdef bint cancel(self, uint64_t handle) except -1
    cpdef int cancel_soon(self, uint64_t handle) except -1
    cdef bint _cancel(self, uint64_t handle) noexcept
    cdef int _settle(self) except -1
    cdef void _prefetch_neighbours(self, uint64_t handle) noexcept
    cpdef list expire(self, int64_t now_ms, Py_ssize_t limit)
    cdef int expire_into(self, int64_t now_ms, int limit, int64_t* dues, int64_t* keys) except -1
    cdef bint peek(self, int64_t* due_ms) except -1

    cdef int _grow(self) except -1
    cdef void _release(self, uint32_t at) noexcept
    cdef void _place(self, uint32_t at) noexcept
    cdef void _unlink(self, uint32_t at) noexcept
    cdef int _first(self) noexcept
    cdef int64_t _minimum(self, int where) noexcept
    cdef uint64_t _start(self, int where) noexcept
    cdef int _turn(self, int64_t now_ms) except -1
    cdef void _cascade(self, int where) noexcept
    cdef int _gather(self, int where) except -1
    cdef void _clear(self, int where) noexcept
    cdef void _reverse(self, int where) noexcept
    cdef void _link_run(self, Entry* entries, Py_ssize_t length) noexcept
    cdef int _grow_late(self) except -1
