"""The heap of timers that were due when inserted: inline parts of `ext.structures.wheel`, without a module of their own.

A binary heap by (due, key) of indexes into the wheel's array. Each timer knows its place in the heap
(`prev`), so a cancelled one is taken out at once.
"""

from libc.stdint cimport int64_t, uint32_t

cdef struct Timer:  # 32 bytes: two share a cache line
    int64_t due
    int64_t key
    uint32_t next  # in its list; also in that of the free ones
    uint32_t prev  # in its list; of a late one, its place in the heap
    uint32_t generation
    uint32_t where  # a slot (0 to 703), RUN, LATE or FREE

cdef struct Heap:
    uint32_t* places
    Py_ssize_t room
    Py_ssize_t length


cdef inline bint before(const Timer* timers, uint32_t one, uint32_t other) noexcept nogil:
    if timers[one].due != timers[other].due:
        return timers[one].due < timers[other].due
    return timers[one].key < timers[other].key


cdef inline void heap_set(Heap* heap, Timer* timers, Py_ssize_t place, uint32_t at) noexcept nogil:
    heap.places[place] = at
    timers[at].prev = <uint32_t>place


cdef inline void heap_up(Heap* heap, Timer* timers, Py_ssize_t place) noexcept nogil:
    cdef uint32_t at = heap.places[place]
    cdef Py_ssize_t parent
    while place > 0:
        parent = (place - 1) >> 1
        if not before(timers, at, heap.places[parent]):
            break
        heap_set(heap, timers, place, heap.places[parent])
        place = parent
    heap_set(heap, timers, place, at)


cdef inline void heap_down(Heap* heap, Timer* timers, Py_ssize_t place) noexcept nogil:
    cdef uint32_t at = heap.places[place]
    cdef Py_ssize_t child
    while True:
        child = 2 * place + 1
        if child >= heap.length:
            break
        if child + 1 < heap.length and before(timers, heap.places[child + 1], heap.places[child]):
            child += 1
        if not before(timers, heap.places[child], at):
            break
        heap_set(heap, timers, place, heap.places[child])
        place = child
    heap_set(heap, timers, place, at)


cdef inline void heap_push(Heap* heap, Timer* timers, uint32_t at) noexcept nogil:
    """Add an entry; the caller has made room for it."""
    heap.places[heap.length] = at
    heap.length += 1
    heap_up(heap, timers, heap.length - 1)


cdef inline void heap_remove(Heap* heap, Timer* timers, Py_ssize_t place) noexcept nogil:
    cdef uint32_t last
    heap.length -= 1
    if place < heap.length:
        last = heap.places[heap.length]
        heap_set(heap, timers, place, last)
        heap_up(heap, timers, place)
        heap_down(heap, timers, timers[last].prev)
