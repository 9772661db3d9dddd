# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The last so many fingerprints: which message ids were seen lately (rule 8).

Two arrays. A ring keeps the fingerprints in the order in which they were added: the oldest is overwritten
and so forgotten. A table of open addressing (linear probing, at most half full) answers whether one is
among them. Forgetting closes the gap by moving the rest of the cluster back (Knuth's algorithm R), so there
are no tombstones and a table used for years probes like a new one. Both arrays grow by doubling: an engine
that has seen little holds little; at the capacity of 4 Mi it is 32 MiB of ring and 64 MiB of table.

The number 0 marks an empty place of the table and is a legal fingerprint as well: it is kept in a flag.

A fingerprint already there is not made younger by being seen again: a repeated message changes nothing, this
memory included. Rejected: a Bloom filter (it refuses messages that are new), two generations of sets swapped
at half capacity (simpler, but what is remembered then jumps), a dict (100 bytes an entry).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

cdef uint64_t GOLDEN = 0x9E3779B97F4A7C15ULL
cdef int FIRST_BITS = 6


cdef class Fingerprints:
    def __cinit__(self, Py_ssize_t capacity):
        if capacity < 1:
            raise ValueError("a memory of fingerprints holds at least one")
        self.capacity = capacity
        self._mask = (<uint64_t>1 << FIRST_BITS) - 1
        self._shift = 64 - FIRST_BITS
        self._table = <uint64_t*>calloc(self._mask + 1, sizeof(uint64_t))
        if self._table == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self._table)
        free(self._ring)

    def __len__(self):
        return self._count

    def __contains__(self, uint64_t fingerprint):
        return self.has(fingerprint)

    @property
    def mark(self):
        return self._total

    @property
    def bytes_used(self):
        return (self._ring_room + <Py_ssize_t>self._mask + 1) * sizeof(uint64_t)

    cdef bint has(self, uint64_t fingerprint) noexcept nogil:
        cdef uint64_t at
        if fingerprint == 0:
            return self._zero
        at = (fingerprint * GOLDEN) >> self._shift
        while self._table[at] != 0:
            if self._table[at] == fingerprint:
                return True
            at = (at + 1) & self._mask
        return False

    cpdef bint add(self, uint64_t fingerprint) except -1:
        cdef Py_ssize_t at
        if self.has(fingerprint):
            return False
        if self._count == self.capacity:
            at = self._total % self.capacity
            self._remove(self._ring[at])
        else:
            if self._count == self._ring_room:
                self._grow_ring()
            if <uint64_t>self._count * 2 > self._mask:
                self._grow_table()
            at = self._count
            self._count += 1
        self._ring[at] = fingerprint
        self._put(fingerprint)
        self._total += 1
        return True

    cdef void _forget(self) noexcept:
        """Everything. A delta that fills the memory may have lost its beginning, and may then hold what was
        forgotten and seen anew: added to an older memory it would count as known and keep its old place."""
        memset(self._table, 0, (self._mask + 1) * sizeof(uint64_t))
        self._zero = False
        self._count = 0
        self._total = 0

    cdef int _grow_ring(self) except -1:
        cdef Py_ssize_t room = min(max(self._ring_room * 2, 32), self.capacity)
        cdef uint64_t* grown = <uint64_t*>realloc(self._ring, room * sizeof(uint64_t))
        if grown == NULL:
            raise MemoryError()
        self._ring = grown
        self._ring_room = room
        return 0

    cdef int _grow_table(self) except -1:
        """Twice the places; the ring says what belongs in them (it is not yet circular while tables grow)."""
        cdef uint64_t places = (self._mask + 1) * 2
        cdef uint64_t* grown = <uint64_t*>calloc(places, sizeof(uint64_t))
        cdef Py_ssize_t at
        if grown == NULL:
            raise MemoryError()
        free(self._table)
        self._table = grown
        self._mask = places - 1
        self._shift -= 1
        for at in range(self._count):
            self._put(self._ring[at])
        return 0

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

    cpdef bytes pack_since(self, uint64_t mark):
        cdef uint64_t first = max(mark, self._total - <uint64_t>self._count)
        cdef Py_ssize_t number, start, unbroken
        cdef bytes packed
        cdef char* out
        if first > self._total:
            raise ValueError(f"mark {mark} lies ahead of {self._total}")
        number = <Py_ssize_t>(self._total - first)
        packed = PyBytes_FromStringAndSize(NULL, number * sizeof(uint64_t))
        out = PyBytes_AS_STRING(packed)
        start = <Py_ssize_t>(first % <uint64_t>self.capacity)
        unbroken = min(number, self.capacity - start)
        if number:
            memcpy(out, self._ring + start, unbroken * sizeof(uint64_t))
            memcpy(out + unbroken * sizeof(uint64_t), self._ring, (number - unbroken) * sizeof(uint64_t))
        return packed

    cpdef unpack(self, bytes data):
        cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef Py_ssize_t at
        cdef uint64_t fingerprint
        if length % sizeof(uint64_t):
            raise ValueError("packed fingerprints have 8 bytes each")
        if length // <Py_ssize_t>sizeof(uint64_t) >= self.capacity:
            self._forget()
        for at in range(0, length, sizeof(uint64_t)):
            memcpy(&fingerprint, text + at, sizeof(uint64_t))
            self.add(fingerprint)
