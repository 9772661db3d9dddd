"""The keys of root maps that plans read, and where they are in the maps of the present view.

A packed map is walked at most once in a generation, however many conditions ask for however many of its keys. The walk
goes only as far as the key that is asked for and stops there; on the way it notes the places of the keys that any plan
reads, found by a table of those keys (open addressing, linear probing).

The maps of most contacts, and of most events of a name, have the same keys in the same order. So a walk leaves a trail
of what it met, and the next one over a map of as many entries trusts it: keys that nobody reads are passed over by
their length alone, those that are read are compared with the trail's. Keys of a map are unique, so a key found where
it was expected is the key. Where the map turns out to be another (or has no such key) the walk begins again, looks at
every key, and the trail is not trusted for a while. What is found never depends on trails.

Rejected: a walk of its own for each key, which for thirty clauses over thirty keys is five hundred comparisons; an
index of all keys made at the start, which a condition that reads one early key does not need; and a probe of the table
for each key of every map, which was two thirds of the time of a condition.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import weakref

from ext.maps.key_numbers cimport same_bytes
from ext.maps.msgpack cimport read_u16, read_u32, skip
from ext.maps.packed_map cimport read_key

cdef enum:
    ROOTS = 3
    TRAILS = 8            # of a root, by the number of entries of its map; and one for maps of too many
    STEPS = 64            # of a trail; the last one serves for all entries beyond
    SOON = 4              # entries, which are passed over faster than a walk is taken up again

# What a trail is good for.
cdef enum:
    UNKNOWN = 0           # the next walk learns it, and for that goes to the end of its map
    TRUSTED = 1
    DOUBTED = 200         # and so many walks, down to TRUSTED, look at every key first

# What the map walked before had as its entry at this place.
cdef struct Step:
    Found* found          # NULL: nobody reads the key
    uint8_t first         # the key's first byte, which says how long it is; 0: none, as no key has that number
    uint8_t n             # bytes of the packed key
    bint more             # a key that is read comes soon behind: a walk that is here goes on to it
    uint64_t[4] words     # they themselves

cdef struct Trail:
    uint32_t state
    Step[STEPS] steps

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
    Step* step            # what to expect next
    Step* end             # where the map should end; NULL: it does not trust the trail
    uint32_t left         # entries
    bint whole            # it goes to the end, whatever is asked for
    Trail* trail
    Trail[TRAILS + 1] trails
    Ring ring

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
    /* A packed key of up to 32 bytes as words; they overlap, so that nothing is read beyond its end. */
    static inline void tm_keep(const uint8_t* p, uint32_t n, uint64_t* words) {
        memset(words, 0, 32);
        if (n >= 8) {
            memcpy(words, p, 8);
            memcpy(words + 1, p + n - 8, 8);
            if (n > 16) { memcpy(words + 2, p + 8, 8); memcpy(words + 3, p + n - 16, 8); }
        } else if (n >= 4) {
            memcpy(words, p, 4);
            memcpy(words + 1, p + n - 4, 4);
        } else if (n > 1) {
            words[0] = p[1];
            words[1] = p[n - 1];
        }
    }
    /* Whether the key at p, of the length of the one kept, is that one. */
    static inline int tm_is_kept(const uint8_t* p, uint32_t n, const uint64_t* words) {
        uint64_t a, b;
        uint32_t x, y;
        if (n >= 8) {
            memcpy(&a, p, 8);
            memcpy(&b, p + n - 8, 8);
            if ((a ^ words[0]) | (b ^ words[1])) return 0;
            if (n <= 16) return 1;
            memcpy(&a, p + 8, 8);
            memcpy(&b, p + n - 16, 8);
            return ((a ^ words[2]) | (b ^ words[3])) == 0;
        }
        if (n >= 4) {
            memcpy(&x, p, 4);
            memcpy(&y, p + n - 4, 4);
            return x == (uint32_t)words[0] && y == (uint32_t)words[1];
        }
        return n < 2 || (p[1] == words[0] && p[n - 1] == words[1]);
    }
    """
    uint64_t tm_key_hash(const uint8_t* p, uint32_t n) noexcept nogil
    void keep "tm_keep" (const uint8_t* p, uint32_t n, uint64_t* words) noexcept nogil
    bint is_kept "tm_is_kept" (const uint8_t* p, uint32_t n, const uint64_t* words) noexcept nogil
    void* memset(void* p, int byte, size_t n) noexcept nogil


cdef class Key:
    """A key of a root map (0 traits, 1 properties, 2 variables) while some plan reads it."""

    def __cinit__(self, int root, bytes name):
        self.root = root
        self.name = name
        self.found.generation = 0
        self.found.walk = &walks[root]
        put(&walks[root], name, len(name), &self.found)

    def __dealloc__(self):
        drop(self.found.walk, self.name, len(self.name))


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
        if slot.found is NULL or (slot.n == n and same_bytes(slot.name, name, n)):
            return slot
        i = (i + 1) & ring.mask


cdef void forget(Walk* walk) noexcept:
    """The keys that are read have changed: what was met before tells nothing about them."""
    memset(walk.trails, 0, sizeof(walk.trails))
    walk.generation = 0


cdef int put(Walk* walk, const uint8_t* name, uint32_t n, Found* found) except -1:
    cdef Ring* ring = &walk.ring
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
    forget(walk)
    slot = slot_of(ring, name, n)
    slot.name = name
    slot.n = n
    slot.found = found
    ring.count += 1
    return 0


cdef void drop(Walk* walk, const uint8_t* name, uint32_t n) noexcept:
    """Forget a key, and move back those behind it that probing would no longer reach."""
    cdef Ring* ring = &walk.ring
    cdef Slot* slot
    cdef uint64_t hole, i, home
    if ring.slots is NULL:
        return
    slot = slot_of(ring, name, n)
    if slot.found is NULL:
        return
    forget(walk)
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
    """At the first entry of the root's map, with the trail of maps of as many entries."""
    cdef Trail* trail
    cdef uint32_t left = 0
    if map is NULL:
        pass
    elif map[0] & 0xf0 == 0x80:
        left = map[0] & 15
        walk.at = map + 1
    elif map[0] == 0xde:
        left = read_u16(map + 1)
        walk.at = map + 3
    elif map[0] == 0xdf:
        left = read_u32(map + 1)
        walk.at = map + 5
    trail = &walk.trails[left % TRAILS if left < STEPS else TRAILS]
    walk.generation = generation
    walk.trail = trail
    walk.left = left
    walk.step = &trail.steps[0]
    walk.end = walk.step + left
    if trail.state != TRUSTED or not 0 < left < STEPS:
        distrust(walk, trail)


cdef void distrust(Walk* walk, Trail* trail) noexcept nogil:
    """The walk is to look at every key: the trail is new, or was wrong, or is too short for the map."""
    walk.end = NULL
    walk.whole = trail.state == UNKNOWN
    if trail.state == UNKNOWN:
        trail.state = TRUSTED
    elif trail.state > TRUSTED:
        trail.state -= 1
        if trail.state == TRUSTED:
            trail.state = UNKNOWN


cdef const uint8_t* learn(Walk* walk, Step* step, const uint8_t* p) noexcept nogil:
    """Behind the key at `p`, and what to expect at this place from now on."""
    cdef const uint8_t* name
    cdef uint32_t n
    cdef const uint8_t* behind = read_key(p, &name, &n)
    step.found = NULL
    step.first = 0xc1          # which begins nothing
    if name is NULL:
        return behind          # no string, or one that is longer than an expression
    if behind - p <= 32:       # a number of one to three bytes, or a string that is not long
        step.first = p[0]
        step.n = <uint8_t>(behind - p)
        keep(p, step.n, step.words)
    step.found = slot_of(&walk.ring, name, n).found
    return behind


cdef inline void note(Walk* walk, Found* found, const uint8_t* p) noexcept nogil:
    found.generation = walk.generation
    found.at = p


cdef const uint8_t* search(Walk* walk, Found* wanted) noexcept nogil:
    """Go on looking at every key until the wanted one; NULL where there is none."""
    cdef const uint8_t* p = walk.at
    cdef Step* step = walk.step
    cdef Step* last = &walk.trail.steps[STEPS - 1]
    cdef Found* found
    note(walk, wanted, NULL)
    while walk.left:
        walk.left -= 1
        if p[0] == step.first and is_kept(p, step.n, step.words):
            p += step.n
        else:
            p = learn(walk, step, p)
        found = step.found
        if step is not last:
            step += 1
        if found is not NULL:
            note(walk, found, p)
            if found is wanted and not walk.whole:
                walk.at = skip(p)
                walk.step = step
                return p
        p = skip(p)
    if walk.whole:
        link(&walk.trail.steps[0], step)
    return wanted.at


cdef void link(Step* first, Step* step) noexcept nogil:
    """Say at each step of a trail, back from its end, whether it is worth going on."""
    cdef int32_t distance = SOON
    while step is not first:
        step -= 1
        step.more = distance < SOON
        distance = 0 if step.found is not NULL else distance + 1


cdef const uint8_t* mistaken(Found* wanted, uint64_t generation, const uint8_t* map) noexcept nogil:
    """The map is not what the trail says: begin again, and look at every key."""
    cdef Walk* walk = wanted.walk
    walk.trail.state = DOUBTED
    begin(walk, generation, map)
    return search(walk, wanted)


cdef inline const uint8_t* behind(const uint8_t* p) noexcept nogil:
    """As `skip`: for the commonest values without a table, whose answer all that follows would have to wait for."""
    if p[0] < 0x80:
        return p + 1
    if p[0] & 0xe0 == 0xa0:
        return p + 1 + (p[0] & 31)
    return skip(p)


cdef const uint8_t* locate(Found* wanted, uint64_t generation, const uint8_t* map) noexcept nogil:
    """Go on with the walk over the root's map until the wanted key; its value, or NULL where there is none."""
    cdef Walk* walk = wanted.walk
    cdef const uint8_t* p
    cdef Step* step
    cdef Found* found
    if walk.generation != generation:
        begin(walk, generation, map)
    if walk.end is NULL:
        return search(walk, wanted)
    p = walk.at
    step = walk.step
    while step is not walk.end:
        if p[0] != step.first:
            break
        found = step.found
        if found is not NULL:
            if not is_kept(p, step.n, step.words):
                break
            p += step.n
            note(walk, found, p)
            p = behind(p)
            if not step.more and wanted.generation == generation:
                walk.at = p
                walk.step = step + 1
                return wanted.at
            step += 1
        else:
            p = behind(p + step.n)
            step += 1
    return mistaken(wanted, generation, map)
