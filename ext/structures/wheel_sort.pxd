"""Sorting the timers of one millisecond by key: inline parts of `ext.structures.wheel`, without a module of their own.

Few are sorted by insertion, many by a radix sort from the lowest byte up, which takes the same time whatever
the order, and no pass for bytes that are alike in all keys (of a million run ids five of eight are).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

cdef enum:
    FEW = 64
    DIGITS = 8

cdef struct Entry:
    int64_t key
    uint32_t timer


cdef inline uint64_t ordered(int64_t number) noexcept nogil:
    """Map a signed number to an unsigned one, in the same order."""
    return <uint64_t>number ^ (<uint64_t>1 << 63)


cdef inline void sort_few(Entry* entries, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t at, place
    cdef Entry moved
    for at in range(1, length):
        moved = entries[at]
        place = at
        while place > 0 and entries[place - 1].key > moved.key:
            entries[place] = entries[place - 1]
            place -= 1
        entries[place] = moved


cdef inline Entry* sort_many(Entry* entries, Entry* other, Py_ssize_t length) noexcept nogil:
    """Sort entries; return where they are: `entries` itself, or `other`, which has as many places."""
    cdef Py_ssize_t[DIGITS][256] ends
    cdef Py_ssize_t at, sum, number
    cdef int digit, value
    cdef uint64_t key
    cdef Entry* swap
    memset(ends, 0, sizeof(ends))
    for at in range(length):
        key = ordered(entries[at].key)
        for digit in range(DIGITS):
            ends[digit][(key >> (8 * digit)) & 255] += 1
    for digit in range(DIGITS):
        if ends[digit][(ordered(entries[0].key) >> (8 * digit)) & 255] == length:
            continue
        sum = 0
        for value in range(256):
            number = ends[digit][value]
            ends[digit][value] = sum
            sum += number
        for at in range(length):
            value = (ordered(entries[at].key) >> (8 * digit)) & 255
            other[ends[digit][value]] = entries[at]
            ends[digit][value] += 1
        swap = entries
        entries = other
        other = swap
    return entries
