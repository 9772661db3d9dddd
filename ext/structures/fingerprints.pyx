"""The last so many fingerprints: which message ids were seen lately (rule 8).

Two arrays. A ring keeps the fingerprints in the order in which they were added: the oldest is overwritten
and so forgotten. A table of open addressing (linear probing, at most half full) answers whether one is
among them. Forgetting closes the gap by moving the rest of the cluster back (Knuth's algorithm R), so there
are no tombstones and a table used for years probes like a new one. Both arrays grow by doubling: an engine
that has seen little holds little; at the capacity of 4 Mi it is 32 MiB of ring and 64 MiB of table. A table that
has doubled takes over the entries of the one before a few with every `add`, and both are asked meanwhile: doing it
at once would hold the loop for a quarter of a second at two million.

Reading all of it for a snapshot is done in slices, while more is added. For that the ring has `slack` places
beyond `capacity`: what `hold` marked stays readable there although it is forgotten already. When even the slack is
used up before the reader is done, what is about to be overwritten is copied, some thousands at a time.

The number 0 marks an empty place of the table and is a legal fingerprint as well: it is kept in a flag.

A fingerprint already there is not made younger by being seen again: a repeated message changes nothing, this
memory included. Rejected: a Bloom filter (it refuses messages that are new), two generations of sets swapped
at half capacity (simpler, but what is remembered then jumps), a dict (100 bytes an entry).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from ext.structures.memory cimport extended, free_array, free_zeros, touch_pages, zeros
from ext.structures.hash_table cimport prefetch_line

cdef uint64_t GOLDEN = 0x9E3779B97F4A7C15ULL
cdef int FIRST_BITS = 6
cdef uint64_t SPILLED_AT_ONCE = 4096
cdef int MOVED_PER_ADD = 4  # entries taken over by a table that has doubled
cdef size_t TOUCHED_PER_ADD = 1536  # bytes of the table to come; 1,024 would do from 31 of 64 full to half
cdef Py_ssize_t AHEAD = 16 * sizeof(uint64_t)  # while all are added that were packed: where the sixteenth from now is


cdef class Fingerprints:
    def __cinit__(self, Py_ssize_t capacity, Py_ssize_t slack=0):
        if capacity < 1:
            raise ValueError("a memory of fingerprints holds at least one")
        if slack < 0:
            raise ValueError("slack is at least zero")
        self.capacity = capacity
        self._span = capacity + slack
        self._mask = (<uint64_t>1 << FIRST_BITS) - 1
        self._shift = 64 - FIRST_BITS
        self._table = <uint64_t*>zeros((self._mask + 1) * sizeof(uint64_t))
        if self._table == NULL:
            raise MemoryError()

    def __dealloc__(self):
        cdef size_t size = (self._mask + 1) * sizeof(uint64_t)
        free_zeros(self._table, size)
        free_zeros(self._former, size // 2)
        free_zeros(self._coming, size * 2)
        free_array(self._ring, self._ring_room * sizeof(uint64_t))

    def __len__(self):
        return self._count

    def __contains__(self, uint64_t fingerprint):
        return self.has(fingerprint)

    @property
    def mark(self):
        return self._total

    @property
    def bytes_used(self):
        cdef Py_ssize_t places = <Py_ssize_t>self._mask + 1
        cdef Py_ssize_t former = 0 if self._former == NULL else places // 2
        cdef Py_ssize_t coming = 0 if self._coming == NULL else places * 2
        return (self._ring_room + places + former + coming) * sizeof(uint64_t)

    cdef bint has(self, uint64_t fingerprint) noexcept nogil:
        if fingerprint == 0:
            return self._zero
        if _found(self._table, self._mask, self._shift, fingerprint):
            return True
        return self._former != NULL and _found(self._former, self._mask >> 1, self._shift + 1, fingerprint)

    cpdef bint add(self, uint64_t fingerprint) except -1:
        if self.has(fingerprint):
            return False
        if self._former != NULL:
            self._move(self._count if self._count == self.capacity else MOVED_PER_ADD)
        if self._total - self._held == <uint64_t>self._span and self._held < self._held_end:
            self._spill()
        if self._count == self.capacity:
            self._remove(self._ring[(self._total - <uint64_t>self.capacity) % <uint64_t>self._span])
        else:
            if <uint64_t>self._count * 64 >= self._mask * 31 and <uint64_t>self.capacity * 2 > self._mask + 1:
                self._prepare()
            if <uint64_t>self._count * 2 > self._mask:
                self._grow_table()
            self._count += 1
        if self._total >= <uint64_t>self._ring_room and self._ring_room < self._span:
            self._grow_ring()
        self._ring[self._total % <uint64_t>self._span] = fingerprint
        self._put(fingerprint)
        self._total += 1
        return True

    cdef void prefetch(self, uint64_t fingerprint, Py_ssize_t ahead) noexcept nogil:
        """Prefetch the place of a fingerprint, and that of the one that the `ahead`th addition from now
        forgets."""
        prefetch_line(&self._table[(fingerprint * GOLDEN) >> self._shift])
        if self._former != NULL:
            prefetch_line(&self._former[(fingerprint * GOLDEN) >> (self._shift + 1)])
        if self._count == self.capacity and ahead < self.capacity:
            fingerprint = self._ring[(self._total - <uint64_t>self.capacity + ahead) % <uint64_t>self._span]
            prefetch_line(&self._table[(fingerprint * GOLDEN) >> self._shift])

    cpdef forget(self):
        """Drop what a delta that fills the memory may have lost: its beginning, and what was dropped and seen
        anew: added to an older memory it would count as known and keep its old place. Hence this."""
        memset(self._table, 0, (self._mask + 1) * sizeof(uint64_t))
        free_zeros(self._former, (self._mask + 1) // 2 * sizeof(uint64_t))
        self._former = NULL
        self._zero = False
        self._count = 0
        self._total = 0
        self._held = self._held_end = 0

    cdef int _grow_ring(self) except -1:
        cdef Py_ssize_t room = min(max(self._ring_room * 2, 32), self._span)
        cdef size_t size = self._ring_room * sizeof(uint64_t)
        cdef uint64_t* grown = <uint64_t*>extended(self._ring, size, room * sizeof(uint64_t))
        if grown == NULL:
            raise MemoryError()
        self._ring = grown
        self._ring_room = room
        return 0

    cdef int _prepare(self) except -1:
        """Take the memory of the next table, or touch some more of it: why, `ext.structures.hash_table` says."""
        cdef size_t size = (self._mask + 1) * 2 * sizeof(uint64_t)
        cdef size_t to = min(self._touched + TOUCHED_PER_ADD, size)
        if self._coming == NULL:
            self._coming = <uint64_t*>zeros(size)
            self._touched = 0
            if self._coming == NULL:
                raise MemoryError()
        elif self._touched < size:
            touch_pages(self._coming, self._touched, to)
            self._touched = to
        return 0

    cdef int _grow_table(self) except -1:
        """Grow to twice the places; `_move` fills them. No entry was dropped yet: entry n is at _ring[n]."""
        if self._coming == NULL:
            self._prepare()
        if self._former != NULL:
            self._move(self._count)
        self._former = self._table
        self._table = self._coming
        self._coming = NULL
        self._mask = self._mask * 2 + 1
        self._shift -= 1
        self._moved = 0
        self._to_move = self._count
        return 0

    cdef void _move(self, Py_ssize_t most) noexcept:
        """Take the next entries over from the former table, which goes when it has no more."""
        cdef Py_ssize_t end = min(self._moved + most, self._to_move)
        while self._moved < end:
            self._put(self._ring[self._moved])
            self._moved += 1
        if self._moved == self._to_move:
            free_zeros(self._former, (self._mask + 1) // 2 * sizeof(uint64_t))
            self._former = NULL

    cdef void _put(self, uint64_t fingerprint) noexcept nogil:
        cdef uint64_t at
        if fingerprint == 0:
            self._zero = True
            return
        at = (fingerprint * GOLDEN) >> self._shift
        while self._table[at] != 0:
            at = (at + 1) & self._mask
        self._table[at] = fingerprint

    cdef void _remove(self, uint64_t fingerprint) noexcept nogil:
        """Take out one that is there; those after it in the cluster move back where their home allows."""
        cdef uint64_t hole, at, home
        if fingerprint == 0:
            self._zero = False
            return
        hole = (fingerprint * GOLDEN) >> self._shift
        while self._table[hole] != fingerprint:
            hole = (hole + 1) & self._mask
        at = hole
        while True:
            at = (at + 1) & self._mask
            if self._table[at] == 0:
                break
            home = (self._table[at] * GOLDEN) >> self._shift
            if ((at - home) & self._mask) >= ((at - hole) & self._mask):
                self._table[hole] = self._table[at]
                hole = at
        self._table[hole] = 0

    cdef bytes _packed(self, uint64_t first, uint64_t end):
        """Pack the entries from number `first` to before `end`, which the ring still has."""
        cdef Py_ssize_t number = <Py_ssize_t>(end - first)
        cdef Py_ssize_t start = <Py_ssize_t>(first % <uint64_t>self._span)
        cdef Py_ssize_t unbroken = min(number, self._span - start)
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, number * sizeof(uint64_t))
        cdef char* out = PyBytes_AS_STRING(packed)
        if number:
            memcpy(out, self._ring + start, unbroken * sizeof(uint64_t))
            memcpy(out + unbroken * sizeof(uint64_t), self._ring, (number - unbroken) * sizeof(uint64_t))
        return packed

    cdef uint64_t _first_since(self, uint64_t mark) except? 0:
        """Return the number of the first entry added since `mark` that is still there."""
        if mark > self._total:
            raise ValueError(f"mark {mark} lies ahead of {self._total}")
        return max(mark, self._total - <uint64_t>self._count)

    cpdef bytes pack_since(self, uint64_t mark):
        return self._packed(self._first_since(mark), self._total)

    def hold(self, uint64_t mark):
        self._held = self._first_since(mark)
        self._held_end = self._total
        self._spilled = None
        return <Py_ssize_t>(self._held_end - self._held) == self.capacity

    def held_part(self, Py_ssize_t most):
        cdef bytes part = b""
        cdef uint64_t first
        if self._spilled is not None:
            part = bytes(self._spilled[: most * <Py_ssize_t>sizeof(uint64_t)])
            del self._spilled[: PyBytes_GET_SIZE(part)]
            if not self._spilled:
                self._spilled = None
        most -= PyBytes_GET_SIZE(part) // <Py_ssize_t>sizeof(uint64_t)
        first = self._held
        self._held = min(self._held_end, first + <uint64_t>most)
        if self._held > first:
            part += self._packed(first, self._held)
        return part or None

    def let_go(self):
        self._held = self._held_end
        self._spilled = None

    cdef int _spill(self) except -1:
        """Copy some entries before the next `add` takes the place of one that is still to be read."""
        cdef uint64_t first = self._held
        self._held = min(self._held_end, first + SPILLED_AT_ONCE)
        if self._spilled is None:
            self._spilled = bytearray()
        self._spilled += self._packed(first, self._held)
        return 0

    cpdef unpack(self, bytes data):
        cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef Py_ssize_t at
        cdef uint64_t fingerprint
        if length % sizeof(uint64_t):
            raise ValueError("packed fingerprints have 8 bytes each")
        if length // <Py_ssize_t>sizeof(uint64_t) >= self.capacity:
            self.forget()
        for at in range(0, length, sizeof(uint64_t)):
            if at + AHEAD < length:
                memcpy(&fingerprint, text + at + AHEAD, sizeof(uint64_t))
                self.prefetch(fingerprint, 0)
            memcpy(&fingerprint, text + at, sizeof(uint64_t))
            self.add(fingerprint)


cdef bint _found(const uint64_t* table, uint64_t mask, int shift, uint64_t fingerprint) noexcept nogil:
    cdef uint64_t at = (fingerprint * GOLDEN) >> shift
    while table[at] != 0:
        if table[at] == fingerprint:
            return True
        at = (at + 1) & mask
    return False
