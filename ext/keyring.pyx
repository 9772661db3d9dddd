# cython: boundscheck=False, wraparound=False, cdivision=True
"""The keys of root maps that plans read, and where they are in the maps of the present view.

A packed map is walked at most once in a generation, however many conditions ask for however many of its keys. The walk
goes only as far as the key that is asked for and stops there; on the way it notes the places of the keys that any plan
reads, found by a table of those keys (open addressing, linear probing). Keys that nobody reads cost one probe.

Rejected: a walk of its own for each key, which for thirty clauses over thirty keys is five hundred comparisons; and an
index of all keys made at the start, which a condition that reads one early key does not need.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import weakref

from ext.value cimport memcmp, skip, tm_u16, tm_u32

cdef enum:
    ROOTS = 3

cdef struct Slot:
    const uint8_t* name
    uint32_t n
    Found* found          # NULL: an empty slot

cdef struct Ring:
    Slot* slots
    uint64_t mask         # slots less one; a power of two of slots, at most half of them full
    uint64_t count

# How far the walk over a root's map has come.
cdef struct Walk:
    uint64_t generation
    const uint8_t* at
    uint32_t left         # entries
    bint at_value         # `at` is the value of the last key found, still to be skipped

cdef Ring[ROOTS] rings
cdef Walk[ROOTS] walks
cdef object keys = weakref.WeakValueDictionary()

cdef extern from *:
    """
    #include <string.h>
    static inline uint64_t tm_key_hash(const uint8_t* p, uint32_t n) {
        uint64_t a = 0, b = 0;
        if (n >= 8) { memcpy(&a, p, 8); memcpy(&b, p + n - 8, 8); }
        else if (n >= 4) { uint32_t x, y; memcpy(&x, p, 4); memcpy(&y, p + n - 4, 4); a = x; b = y; }
        else if (n) { a = p[0] | (uint64_t)p[n >> 1] << 8 | (uint64_t)p[n - 1] << 16; }
        a = (a ^ n) * 0x9E3779B97F4A7C15ULL;
        b = (b + 0x7F4A7C15ULL) * 0xC2B2AE3D27D4EB4FULL;
        a ^= b ^ (b >> 29);
        return a ^ (a >> 32);
    }
    """
    uint64_t tm_key_hash(const uint8_t* p, uint32_t n) noexcept nogil


cdef class Key:
    """A key of a root map (0 traits, 1 properties, 2 variables) while some plan reads it."""

    def __cinit__(self, int root, bytes name):
        self.root = root
        self.name = name
        self.found.generation = 0
        put(&rings[root], name, len(name), &self.found)

    def __dealloc__(self):
        drop(&rings[self.root], self.name, len(self.name))


cdef Key key_of(int root, str name):
    """The key of that name; the same one for everybody."""
    key = keys.get((root, name))
    if key is None:
        key = keys[root, name] = Key(root, name.encode())
    return key


cdef inline Slot* slot_of(Ring* ring, const uint8_t* name, uint32_t n) noexcept nogil:
    """The slot of a key, or the empty one where it would be."""
    cdef uint64_t i = tm_key_hash(name, n) & ring.mask
    cdef Slot* slot
    while True:
        slot = &ring.slots[i]
        if slot.found is NULL or (slot.n == n and memcmp(slot.name, name, n) == 0):
            return slot
        i = (i + 1) & ring.mask


cdef int put(Ring* ring, const uint8_t* name, uint32_t n, Found* found) except -1:
    cdef Ring wider
    cdef uint64_t i
    cdef Slot* slot
    if ring.slots is NULL or (ring.count + 1) * 2 > ring.mask:
        wider.mask = ring.mask * 2 + 1 if ring.slots is not NULL else 63
        wider.count = ring.count
        wider.slots = <Slot*>calloc(wider.mask + 1, sizeof(Slot))
        if wider.slots is NULL:
            raise MemoryError
        if ring.slots is not NULL:
            for i in range(ring.mask + 1):
                if ring.slots[i].found is not NULL:
                    slot_of(&wider, ring.slots[i].name, ring.slots[i].n)[0] = ring.slots[i]
        free(ring.slots)
        ring[0] = wider
    slot = slot_of(ring, name, n)
    slot.name = name
    slot.n = n
    slot.found = found
    ring.count += 1
    return 0


cdef void drop(Ring* ring, const uint8_t* name, uint32_t n) noexcept:
    """Forget a key, and move back those behind it that probing would no longer reach."""
    cdef Slot* slot
    cdef uint64_t hole, i, home
    if ring.slots is NULL:
        return
    slot = slot_of(ring, name, n)
    if slot.found is NULL:
        return
    hole = slot - ring.slots
    i = hole
    while True:
        i = (i + 1) & ring.mask
        if ring.slots[i].found is NULL:
            break
        home = tm_key_hash(ring.slots[i].name, ring.slots[i].n) & ring.mask
        if ((i - home) & ring.mask) >= ((i - hole) & ring.mask):
            ring.slots[hole] = ring.slots[i]
            hole = i
    ring.slots[hole].found = NULL
    ring.count -= 1


cdef inline void begin(Walk* walk, uint64_t generation, const uint8_t* map) noexcept nogil:
    walk.generation = generation
    walk.at_value = False
    if map is NULL:
        walk.left = 0
    elif map[0] == 0xde:
        walk.left = tm_u16(map + 1)
        walk.at = map + 3
    elif map[0] == 0xdf:
        walk.left = tm_u32(map + 1)
        walk.at = map + 5
    else:
        walk.left = map[0] & 15 if map[0] & 0xf0 == 0x80 else 0
        walk.at = map + 1


cdef const uint8_t* locate(int root, Found* wanted, uint64_t generation, const uint8_t* map) noexcept nogil:
    """Go on with the walk over the root's map until the wanted key; its value, or NULL where there is none."""
    cdef Walk* walk = &walks[root]
    cdef const uint8_t* p
    cdef const uint8_t* name
    cdef uint32_t n
    cdef Found* found
    if walk.generation != generation:
        begin(walk, generation, map)
    p = walk.at
    if walk.at_value:
        p = skip(p)
    while walk.left:
        walk.left -= 1
        if p[0] & 0xe0 == 0xa0:
            n = p[0] & 31
            name = p + 1
        elif p[0] == 0xd9:
            n = p[1]
            name = p + 2
        elif p[0] == 0xda:
            n = tm_u16(p + 1)
            name = p + 3
        else:
            p = skip(skip(p))      # no string, or one that is longer than an expression
            continue
        p = name + n
        found = slot_of(&rings[root], name, n).found
        if found is not NULL:
            found.generation = generation
            found.at = p
            if found is wanted:
                walk.at = p
                walk.at_value = True
                return p
        p = skip(p)
    walk.at = p
    walk.at_value = False
    wanted.generation = generation
    wanted.at = NULL
    return NULL
