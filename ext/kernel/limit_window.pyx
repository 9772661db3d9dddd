"""The passages of a limit node: at no instant more than `max` in `(t - per, t]` (rule 23).

A ring of instants, oldest first; each carries how many had passed in all *through* it. So the passages of a
window are one subtraction: all of them less those through the instant before the window opened, found by
bisection. Nothing is swept, reading changes nothing, and passages of one millisecond share an entry.

    passages at 0, 0, 1800000 with per = 1 h:  (0, 2) (1800000, 3)
    at 3599999: none lies at or before -1, so 3 - 0 = 3 are in the window
    at 3600000: two lie at or before 0, so 3 - 2 = 1 is, and with max = 2 the next may pass

To tell for *any* window whether `max` passed in it, it is enough to know the newest `max` passages. That many
(of the largest `max` there ever was, and never fewer than limits.LIMIT_PASSAGES_KEPT_MIN) are kept even when
they have left the window, so an edit that widens the window finds them; older ones are let go. Over all time
(`per_ms` of -1) the total alone decides, and the ring is kept for the same reason.

Time does not go back: an instant before the newest passage counts as that passage's instant.

Rejected: buckets of a minute (not exact), a counter reset every `per` (twice `max` around the reset), a deque
swept at every call (reading would then change the state).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from engine.limits import LIMIT_PASSAGES_KEPT_MIN

cdef int64_t KEPT_MIN = LIMIT_PASSAGES_KEPT_MIN
cdef int HEADER = 5  # max, per_ms, total, kept, before


cdef class Passages:
    def __cinit__(self, int64_t max, int64_t per_ms=-1):
        self._kept = KEPT_MIN
        self.resize(max, per_ms)

    def __dealloc__(self):
        free(self._ring)

    cdef inline Instant* _at(self, Py_ssize_t n) noexcept nogil:
        return &self._ring[(self._first + n) & (self._room - 1)]

    cdef int64_t _through(self, int64_t ms) noexcept nogil:
        """Count the passages at or before `ms`, of those that are still kept apart."""
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = self._length
        cdef Py_ssize_t middle
        while low < high:
            middle = (low + high) >> 1
            if self._at(middle).ms <= ms:
                low = middle + 1
            else:
                high = middle
        return self._at(low - 1).through if low else self._before

    cpdef int64_t count(self, int64_t now_ms) noexcept:
        cdef int64_t newest
        if self.per_ms < 0:
            return self.total
        if self._length == 0:
            return 0
        newest = self._at(self._length - 1).ms
        if now_ms < newest:
            now_ms = newest
        if now_ms < INT64_MIN + self.per_ms:
            return self.total - self._before
        return self.total - self._through(now_ms - self.per_ms)

    cpdef bint pass_(self, int64_t now_ms) except -1:
        cdef Instant* last
        if self.count(now_ms) >= self.max:
            return False
        if self._length and self._at(self._length - 1).ms >= now_ms:
            last = self._at(self._length - 1)
        else:
            self._reserve(self._length + 1)
            last = self._at(self._length)
            last.ms = now_ms
            self._length += 1
        self.total += 1
        last.through = self.total
        while self.total - self._at(0).through >= self._kept:
            self._before = self._at(0).through
            self._first = (self._first + 1) & (self._room - 1)
            self._length -= 1
        return True

    cpdef resize(self, int64_t max, int64_t per_ms=-1):
        if max < 0 or per_ms < -1 or per_ms == 0:
            raise ValueError("a limit has a max of at least 0 and a per_ms of at least 1, or -1 for all time")
        self.max = max
        self.per_ms = per_ms
        if max > self._kept:
            self._kept = max

    cdef int _reserve(self, Py_ssize_t length) except -1:
        cdef Py_ssize_t room = self._room if self._room else 4
        cdef Instant* grown
        cdef Py_ssize_t n
        if length <= self._room:
            return 0
        while room < length:
            room *= 2
        grown = <Instant*>malloc(room * sizeof(Instant))
        if grown == NULL:
            raise MemoryError()
        for n in range(self._length):
            grown[n] = self._at(n)[0]
        free(self._ring)
        self._ring = grown
        self._room = room
        self._first = 0
        return 0

    cpdef bytes pack(self):
        cdef int64_t[5] header
        cdef Py_ssize_t size = HEADER * sizeof(int64_t)
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, size + self._length * sizeof(Instant))
        cdef char* out = PyBytes_AS_STRING(packed)
        cdef Py_ssize_t unbroken = min(self._length, self._room - self._first)
        header[0] = self.max
        header[1] = self.per_ms
        header[2] = self.total
        header[3] = self._kept
        header[4] = self._before
        memcpy(out, header, size)
        if self._length:
            memcpy(out + size, self._ring + self._first, unbroken * sizeof(Instant))
            size += unbroken * sizeof(Instant)
            memcpy(out + size, self._ring, (self._length - unbroken) * sizeof(Instant))
        return packed

    cpdef unpack(self, bytes data):
        cdef int64_t[5] header
        cdef Py_ssize_t size = HEADER * sizeof(int64_t)
        cdef Py_ssize_t length
        if data is None or len(data) < size or (len(data) - size) % sizeof(Instant):
            raise ValueError("these are not packed passages")
        length = (PyBytes_GET_SIZE(data) - size) // <Py_ssize_t>sizeof(Instant)
        memcpy(header, PyBytes_AS_STRING(data), size)
        self.resize(header[0], header[1])
        self._length = 0
        self._reserve(length)
        self._first = 0
        self._length = length
        if length:
            memcpy(self._ring, PyBytes_AS_STRING(data) + size, length * sizeof(Instant))
        self.total = header[2]
        self._kept = max(header[3], KEPT_MIN)
        self._before = header[4]
