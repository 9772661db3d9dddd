from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef enum:
    LEVELS = 11
    SLOTS = 704  # LEVELS * 64

cdef struct Timer:  # 32 bytes: two share a cache line
    int64_t due
    int64_t key
    uint32_t next  # in its slot, or in the list of free ones
    uint32_t prev  # in its slot; its place in the heap for a late one
    uint32_t generation
    uint32_t where  # a slot (0 to 703), RUN, LATE or FREE

cdef struct Entry:  # a timer of the run being given out
    int64_t key
    uint32_t timer
    uint32_t generation

cdef class Wheel:
    cdef Timer* _timers
    cdef uint32_t _room
    cdef uint32_t _used  # timers beyond were never given out
    cdef uint32_t _free
    cdef Py_ssize_t _live

    cdef uint64_t _elapsed  # ordered (see `_ordered`); slots hold what is due after it
    cdef uint16_t _levels  # bitmap of levels with anything in them
    cdef uint64_t[LEVELS] _occupied  # bitmap of slots with anything in them
    cdef uint64_t[LEVELS] _unsure  # bitmap of slots whose `_minima` may be too small
    cdef uint32_t[SLOTS] _heads
    cdef uint32_t[SLOTS] _counts
    cdef int64_t[SLOTS] _minima

    cdef Entry* _run  # the timers of one millisecond, sorted by key
    cdef Py_ssize_t _run_room
    cdef Py_ssize_t _run_at
    cdef Py_ssize_t _run_end
    cdef int64_t _run_due

    cdef uint32_t* _late  # a binary heap by (due, key)
    cdef Py_ssize_t _late_room
    cdef Py_ssize_t _late_count

    cpdef uint64_t insert(self, int64_t due_ms, int64_t key) except 0
    cpdef bint cancel(self, uint64_t handle) noexcept
    cpdef list expire(self, int64_t now_ms, Py_ssize_t limit)
    cdef int expire_into(self, int64_t now_ms, int limit, int64_t* dues, int64_t* keys) except -1
    cdef bint peek(self, int64_t* due_ms) noexcept

    cdef int _grow(self) except -1
    cdef void _release(self, uint32_t at) noexcept
    cdef void _place(self, uint32_t at) noexcept
    cdef void _unlink(self, uint32_t at) noexcept
    cdef uint64_t _start(self, int where) noexcept
    cdef int _turn(self, int64_t now_ms) except -1
    cdef void _cascade(self, int where) noexcept
    cdef int _gather(self, int where) except -1
    cdef void _clear(self, int where) noexcept
    cdef bint _run_top(self) noexcept
    cdef int _late_push(self, uint32_t at) except -1
    cdef void _late_remove(self, Py_ssize_t place) noexcept
    cdef void _late_up(self, Py_ssize_t place) noexcept
    cdef void _late_down(self, Py_ssize_t place) noexcept
    cdef bint _before(self, uint32_t one, uint32_t other) noexcept
