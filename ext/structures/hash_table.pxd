"""Open addressing: inline parts of `ext.kernel.contact_table` and `ext.kernel.run_table`, without a module of their own.

A slot has 12 bytes: the upper half of a 64-bit hash, and a pointer. Probing is linear from the place that the upper
bits of the hash name, so a look usually costs one cache line; at most three quarters of the slots are taken. What is
taken out leaves no tombstone: those behind it in the cluster move back where their home allows (Knuth's algorithm R).

A table that has doubled takes over a few slots of the one before with every insertion, in their order, and both are
asked meanwhile: doing it at once would hold the loop for 60 ms at a million. An entry is in one of the two only; in
the former table, which is soon gone, it leaves a tombstone. The memory of the next table is taken before it is needed
and touched bit by bit as well: the system clears pages when they are first touched, and a hash touches all of them
(large ones, a few dozen) within one batch.
"""

from cpython.ref cimport Py_DECREF
from libc.stdint cimport uint32_t, uint64_t

from ext.structures.memory cimport free_zeros, touch_pages, zeros

cdef extern from *:
    """
    #define tm_prefetch(at) __builtin_prefetch(at)
    """
    void prefetch_line "tm_prefetch" (const void* at) noexcept nogil

cdef enum:
    FIRST_BITS = 6
    MOVED_PER_PUT = 8  # slots; four thirds would be enough to be done before the next doubling
    TOUCHED_PER_PUT = 2048  # bytes of the table to come; 1,536 would do from 47 of 64 full to 48

cdef packed struct Slot:
    uint32_t hash
    void* what     # NULL: empty; GONE: in the former table only

cdef struct Slots:
    Slot* table
    uint32_t mask
    int shift
    Py_ssize_t count
    Slot* former   # the table before it doubled, while entries move; else NULL
    uint32_t moved # slots of it that are done with
    Slot* coming   # the table after it has doubled, taken beforehand; else NULL
    size_t touched # bytes of it


cdef inline bint is_live(const Slot* slot) noexcept nogil:
    return <size_t>slot.what > 1


cdef inline void bury(Slot* slot) noexcept nogil:
    slot.hash = 0
    slot.what = <void*>1


cdef inline int slots_make(Slots* slots, int bits) except -1:
    """Make an empty table of 2**bits places."""
    slots.table = <Slot*>zeros(sizeof(Slot) << bits)
    if slots.table == NULL:
        raise MemoryError
    slots.mask = <uint32_t>((<uint64_t>1 << bits) - 1)
    slots.shift = 64 - bits
    return 0


cdef inline void slots_free(Slots* slots) noexcept nogil:
    cdef size_t size = sizeof(Slot) * (<size_t>slots.mask + 1)
    free_zeros(slots.table, size)
    free_zeros(slots.former, size // 2)
    free_zeros(slots.coming, size * 2)
    slots.table = slots.former = slots.coming = NULL


cdef inline void slots_let_go(Slots* slots) noexcept:
    """Drop the reference to every object, where `what` is one that the table holds."""
    cdef uint64_t at
    for at in range(<uint64_t>slots.mask + 1):
        if slots.table[at].what != NULL:
            Py_DECREF(<object>slots.table[at].what)
    if slots.former != NULL:
        for at in range((<uint64_t>slots.mask + 1) >> 1):
            if is_live(&slots.former[at]):
                Py_DECREF(<object>slots.former[at].what)


cdef inline Slot* slots_scan(Slot* table, uint32_t mask, uint32_t at, uint32_t hash) noexcept nogil:
    """Return the first slot of a hash from place `at` to the end of its cluster, or NULL."""
    at &= mask
    while table[at].what != NULL:
        if table[at].hash == hash and is_live(&table[at]):
            return &table[at]
        at = (at + 1) & mask
    return NULL


cdef inline Slot* slots_former(const Slots* slots, uint64_t hash) noexcept nogil:
    if slots.former == NULL:
        return NULL
    return slots_scan(slots.former, slots.mask >> 1, <uint32_t>(hash >> (slots.shift + 1)), <uint32_t>(hash >> 32))


cdef inline Slot* slots_first(const Slots* slots, uint64_t hash) noexcept nogil:
    """Return the first slot of a hash, or NULL. Hashes may agree in what is kept of them: the caller compares, and goes
    on with `slots_following`."""
    cdef Slot* found = slots_scan(slots.table, slots.mask, <uint32_t>(hash >> slots.shift), <uint32_t>(hash >> 32))
    return found if found != NULL else slots_former(slots, hash)


cdef inline Slot* slots_following(const Slots* slots, uint64_t hash, Slot* slot) noexcept nogil:
    cdef uint32_t kept = <uint32_t>(hash >> 32)
    cdef Slot* found
    if slots.table <= slot <= slots.table + slots.mask:
        found = slots_scan(slots.table, slots.mask, <uint32_t>(slot - slots.table) + 1, kept)
        return found if found != NULL else slots_former(slots, hash)
    return slots_scan(slots.former, slots.mask >> 1, <uint32_t>(slot - slots.former) + 1, kept)


cdef inline void slots_set(Slots* slots, uint32_t hash, void* what) noexcept nogil:
    """Put an entry into the first empty place from its home."""
    cdef uint32_t at = <uint32_t>((<uint64_t>hash << 32) >> slots.shift)
    while slots.table[at].what != NULL:
        at = (at + 1) & slots.mask
    slots.table[at].hash = hash
    slots.table[at].what = what


cdef inline void slots_move(Slots* slots, uint32_t most) noexcept nogil:
    """Take the next places over from the former table, which goes when it has no more."""
    cdef uint64_t places = (<uint64_t>slots.mask + 1) >> 1
    cdef Slot* slot
    while most and slots.moved < places:
        slot = &slots.former[slots.moved]
        if is_live(slot):
            slots_set(slots, slot.hash, slot.what)
            bury(slot)
        slots.moved += 1
        most -= 1
    if slots.moved == places:
        free_zeros(slots.former, sizeof(Slot) * places)
        slots.former = NULL


cdef inline int slots_prepare(Slots* slots) except -1:
    """Take the memory of the next table, or touch some more of it."""
    cdef size_t size = sizeof(Slot) * 2 * (<size_t>slots.mask + 1)
    cdef size_t to = min(slots.touched + TOUCHED_PER_PUT, size)
    if slots.coming == NULL:
        slots.coming = <Slot*>zeros(size)
        slots.touched = 0
        if slots.coming == NULL:
            raise MemoryError
    elif slots.touched < size:
        touch_pages(slots.coming, slots.touched, to)
        slots.touched = to
    return 0


cdef inline int slots_put(Slots* slots, uint64_t hash, void* what) except -1:
    """Add an entry that is not there yet."""
    cdef uint64_t places = <uint64_t>slots.mask + 1
    if slots.former != NULL:
        slots_move(slots, MOVED_PER_PUT)
    if <uint64_t>slots.count * 64 >= places * 47:
        slots_prepare(slots)
    if <uint64_t>slots.count * 4 >= places * 3:
        assert slots.former == NULL, "the former table is done with before the next"
        slots.former = slots.table
        slots.table = slots.coming
        slots.coming = NULL
        slots.mask = <uint32_t>(2 * places - 1)
        slots.shift -= 1
        slots.moved = 0
    slots_set(slots, <uint32_t>(hash >> 32), what)
    slots.count += 1
    return 0


cdef inline void slots_remove(Slots* slots, Slot* slot) noexcept nogil:
    """Take out an entry; those after it in the cluster move back where their home allows."""
    cdef uint32_t hole, at, home
    slots.count -= 1
    if not slots.table <= slot <= slots.table + slots.mask:
        bury(slot)
        return
    hole = at = <uint32_t>(slot - slots.table)
    while True:
        at = (at + 1) & slots.mask
        if slots.table[at].what == NULL:
            break
        home = <uint32_t>((<uint64_t>slots.table[at].hash << 32) >> slots.shift)
        if ((at - home) & slots.mask) >= ((at - hole) & slots.mask):
            slots.table[hole] = slots.table[at]
            hole = at
    slots.table[hole].hash = 0
    slots.table[hole].what = NULL


cdef inline Py_ssize_t slots_bytes(const Slots* slots) noexcept nogil:
    cdef Py_ssize_t places = <Py_ssize_t>slots.mask + 1
    if slots.former != NULL:
        places += places >> 1
    elif slots.coming != NULL:
        places += places << 1
    return places * <Py_ssize_t>sizeof(Slot)
