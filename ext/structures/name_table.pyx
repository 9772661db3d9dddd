"""Names that come again and again (of events, of properties), numbered in the order in which they were first seen.

An event brings its names as bytes. Looking one up makes no object: a table of open addressing (linear probing, at most
half full) leads from the bytes to the number, and the number to the one `str` that everybody shares. Nothing is ever
taken out, and there is a bound on how many there are: beyond it a name has no number.

The hash is folded multiplication (as in wyhash) under a seed of the engine's, so that who sends names cannot know which
of them would meet; the numbers do not depend on it.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

cdef enum:
    ROOM_FIRST = 64

cdef extern from *:
    """
    #include <string.h>
    static inline uint64_t tm_fold(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    static inline uint64_t tm_name_hash(const char* p, uint32_t n, uint64_t seed) {
        uint64_t a = 0, b = 0, h = seed ^ n;
        for (; n > 16; p += 16, n -= 16) {
            memcpy(&a, p, 8); memcpy(&b, p + 8, 8);
            h = tm_fold(a ^ h, b ^ 0x9E3779B97F4A7C15ULL);
        }
        a = b = 0;
        if (n > 8) { memcpy(&a, p, 8); memcpy(&b, p + n - 8, 8); }
        else memcpy(&a, p, n);
        return tm_fold(a ^ h ^ 0xD6E8FEB86659FD93ULL, b ^ seed ^ 0x9E3779B97F4A7C15ULL);
    }
    """
    uint64_t name_hash "tm_name_hash" (const char* p, uint32_t n, uint64_t seed) noexcept nogil


cdef class Names:
    def __cinit__(self, Py_ssize_t most, uint64_t seed=0):
        self.texts = []
        self.most = most
        self.seed = seed
        self.mask = ROOM_FIRST - 1
        self.table = <Named*>calloc(ROOM_FIRST, sizeof(Named))
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)

    def __len__(self):
        return len(self.texts)

    cdef Named* place(self, const char* at, uint32_t size) noexcept:
        """Return the place of a name, or the one where it would be."""
        cdef uint64_t i = name_hash(at, size, self.seed) & self.mask
        cdef Named* slot
        while True:
            slot = &self.table[i]
            if slot.at == NULL or (slot.size == size and memcmp(slot.at, at, size) == 0):
                return slot
            i = (i + 1) & self.mask

    cdef uint32_t found(self, const char* at, uint32_t size) noexcept:
        """Return the number of a name, NO_NUMBER if it has none."""
        cdef Named* slot = self.place(at, size)
        return NO_NUMBER if slot.at == NULL else slot.number

    cdef uint32_t number(self, const char* at, uint32_t size) except? NO_NUMBER:
        """Return the number of a name, given at first sight; NO_NUMBER when the table is full."""
        cdef Named* slot = self.place(at, size)
        if slot.at != NULL:
            return slot.number
        if len(self.texts) >= self.most:
            return NO_NUMBER
        self.add(PyUnicode_DecodeUTF8(at, size, NULL))
        return <uint32_t>(len(self.texts) - 1)

    cdef uint32_t number_of(self, str text) except? NO_NUMBER:
        """Return the number of a `str`, as `number` does."""
        cdef Py_ssize_t size = 0
        cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
        return self.number(at, <uint32_t>size)

    cdef int add(self, str text) except -1:
        """Number a name that has none."""
        cdef Py_ssize_t size = 0
        cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
        cdef Named* slot
        if <uint64_t>len(self.texts) * 2 > self.mask:
            self.grow()
        slot = self.place(at, <uint32_t>size)
        slot.at = at
        slot.size = <uint32_t>size
        slot.number = <uint32_t>len(self.texts)
        self.texts.append(text)
        return 0

    def grow(self):
        """Grow to twice the room. At the largest size this takes a millisecond or two."""
        cdef Named* former = self.table
        cdef uint64_t room = self.mask + 1
        cdef Named* grown = <Named*>calloc(2 * room, sizeof(Named))
        cdef uint64_t i
        if grown == NULL:
            raise MemoryError
        self.table = grown
        self.mask = 2 * room - 1
        for i in range(room):
            if former[i].at != NULL:
                self.place(former[i].at, former[i].size)[0] = former[i]
        free(former)

    def get(self, str text not None):
        cdef Py_ssize_t size = 0
        cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
        cdef uint32_t number = self.found(at, <uint32_t>size)
        return None if number == NO_NUMBER else number

    def give(self, str text not None):
        cdef uint32_t number = self.number_of(text)
        return None if number == NO_NUMBER else number

    def take(self, list texts not None):
        assert not self.texts, "names are taken before any is given"
        for text in texts:
            self.add(text)
