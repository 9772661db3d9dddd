"""The keys of root maps that plans read, and where they are in the maps of the present view.

A root map is a contact's traits, an event's properties or the variables of an evaluation. It is walked at most once in
a generation, however many conditions ask for however many of its keys. The walk stops at the key that is asked for,
and notes on the way the positions of all keys that some plan reads:

    map    │ city  "York" │ name  "Ann" │ score  7 │ tags  [..] │ vip  true │
    trail  │ city ●       │ name        │ score ●  │ tags       │ vip       │     ● a plan reads the key
                                              ▲
                              at: the walk was asked for `score` and stopped behind it

Most contacts have the same keys in the same order, and so have most events of one name. So a walk leaves a trail: the
key it met at each place. The next walk over a map of as many entries trusts the trail. It skips keys that no plan reads
by their length alone, and compares the others with the trail's. Keys of a map are unique, so a key found where it was
expected is the key. A trail is in one of three states:

    UNKNOWN ──a walk to the end of its map──▶ TRUSTED ──a map that is another──▶ DOUBTED
       ▲                                                                            │
       └──────────────────── DOUBTS walks that looked at every key ─────────────────┘

Invariant: the positions found never depend on trails, only the time it takes to find them does.

The keys that plans read are found by their text in a table of their own (open addressing, linear probing, removal by
moving back): `ext.structures.hash_table` grows while it is used, which a table that changes only with plans need not.

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
    SOON = 4              # entries, which are skipped faster than a walk is taken up again
    DOUBTS = 199          # walks that look at every key before a trail is learned again

cdef enum TrailState:
    UNKNOWN               # the next walk learns it, and for that goes to the end of its map
    TRUSTED               # the next walk follows it
    DOUBTED               # a map was another: the next walks look at every key

# What the map walked before had as its entry at this place.
cdef struct TrailStep:
    KeyPosition* found          # NULL: no plan reads the key
    uint8_t first         # the key's first byte, which says how long it is; 0: none, as no key has that number
    uint8_t n             # bytes of the packed key
    bint more             # a key that is read comes soon behind: a walk that is here goes on to it
    uint64_t[4] words     # they themselves

cdef struct Trail:
    TrailState state
    uint32_t doubts       # walks until a DOUBTED trail is UNKNOWN
    TrailStep[STEPS] steps

cdef struct KeySlot:
    const uint8_t* name
    uint32_t n
    KeyPosition* found          # NULL: an empty slot

cdef struct KeyRing:
    KeySlot* slots
    uint64_t mask         # slots less one; a power of two of slots, at most half of them full
    uint64_t count

# The walk over a root's map, and how far it has come.
cdef struct MapWalk:
    uint64_t generation
    const uint8_t* at
    TrailStep* step            # what to expect next
    TrailStep* end             # where the map should end; NULL: it does not trust the trail
    uint32_t left         # entries
    bint whole            # it goes to the end, whatever is asked for
    Trail* trail
    Trail[TRAILS + 1] trails
    KeyRing ring

cdef MapWalk[ROOTS] walks
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


cdef class ReadKey:
    """A key of a root map (0 traits, 1 properties, 2 variables), as long as some plan reads it."""

    def __cinit__(self, int root, bytes name):
        self.root = root
        self.name = name
        self.found.generation = 0
        self.found.walk = &walks[root]
        put(&walks[root], name, len(name), &self.found)

    def __dealloc__(self):
        drop(self.found.walk, self.name, len(self.name))


cdef ReadKey key_of(int root, str name):
    """Return the key of a name, which all plans share."""
    key = keys.get((root, name))
    if key is None:
        key = keys[root, name] = ReadKey(root, name.encode())
    return key


cdef inline KeySlot* slot_of(KeyRing* ring, const uint8_t* name, uint32_t n) noexcept nogil:
    """Return the slot of a key, or the empty one where it would be."""
    cdef uint64_t i = tm_key_hash(name, n) & ring.mask
    cdef KeySlot* slot
    while True:
        slot = &ring.slots[i]
        if slot.found is NULL or (slot.n == n and same_bytes(slot.name, name, n)):
            return slot
        i = (i + 1) & ring.mask


cdef void forget(MapWalk* walk) noexcept:
    """Forget all trails, because the keys that plans read have changed."""
    memset(walk.trails, 0, sizeof(walk.trails))
    walk.generation = 0


cdef int put(MapWalk* walk, const uint8_t* name, uint32_t n, KeyPosition* found) except -1:
    """Add a key that a plan reads."""
    cdef KeyRing* ring = &walk.ring
    cdef KeyRing wider
    cdef uint64_t i
    cdef KeySlot* slot
    if ring.slots is NULL or (ring.count + 1) * 2 > ring.mask:
        wider.mask = ring.mask * 2 + 1 if ring.slots is not NULL else 63
        wider.count = ring.count
        wider.slots = <KeySlot*>calloc(wider.mask + 1, sizeof(KeySlot))
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


cdef void drop(MapWalk* walk, const uint8_t* name, uint32_t n) noexcept:
    """Remove a key, and move back those behind it that probing would no longer reach."""
    cdef KeyRing* ring = &walk.ring
    cdef KeySlot* slot
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


cdef inline void begin(MapWalk* walk, uint64_t generation, const uint8_t* map) noexcept nogil:
    """Begin a walk at the first entry of a map, with the trail of maps of as many entries."""
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


cdef void distrust(MapWalk* walk, Trail* trail) noexcept nogil:
    """Let a walk look at every key, because its trail is new, was wrong or is too short for the map."""
    walk.end = NULL
    walk.whole = trail.state == UNKNOWN
    if trail.state == UNKNOWN:
        trail.state = TRUSTED
    elif trail.state == DOUBTED:
        trail.doubts -= 1
        if trail.doubts == 0:
            trail.state = UNKNOWN


cdef const uint8_t* learn(MapWalk* walk, TrailStep* step, const uint8_t* p) noexcept nogil:
    """Record the key at `p`, to be expected at this place from now on. Return where it ends."""
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


cdef inline void note(MapWalk* walk, KeyPosition* found, const uint8_t* p) noexcept nogil:
    """Keep the position of a key in this generation; NULL: the map has no such key."""
    found.generation = walk.generation
    found.at = p


cdef const uint8_t* search(MapWalk* walk, KeyPosition* wanted) noexcept nogil:
    """Look at every key until the wanted one. Return its value, NULL if the map has no such key."""
    cdef const uint8_t* p = walk.at
    cdef TrailStep* step = walk.step
    cdef TrailStep* last = &walk.trail.steps[STEPS - 1]
    cdef KeyPosition* found
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


cdef void link(TrailStep* first, TrailStep* step) noexcept nogil:
    """Decide for each step of a trail, back from its end, whether a walk that is there should go on."""
    cdef int32_t distance = SOON
    while step is not first:
        step -= 1
        step.more = distance < SOON
        distance = 0 if step.found is not NULL else distance + 1


cdef const uint8_t* mistaken(KeyPosition* wanted, uint64_t generation, const uint8_t* map) noexcept nogil:
    """Begin again and look at every key, because the map is not what the trail says."""
    cdef MapWalk* walk = wanted.walk
    walk.trail.state = DOUBTED
    walk.trail.doubts = DOUBTS
    begin(walk, generation, map)
    return search(walk, wanted)


cdef inline const uint8_t* behind(const uint8_t* p) noexcept nogil:
    """Return where an element ends, as `skip` does; the commonest ones without a table, which costs a wait for memory."""
    if p[0] < 0x80:
        return p + 1
    if p[0] & 0xe0 == 0xa0:
        return p + 1 + (p[0] & 31)
    return skip(p)


cdef const uint8_t* locate(KeyPosition* wanted, uint64_t generation, const uint8_t* map) noexcept nogil:
    """Walk on over a root's map to the wanted key. Return its value, NULL if the map has no such key."""
    cdef MapWalk* walk = wanted.walk
    cdef const uint8_t* p
    cdef TrailStep* step
    cdef KeyPosition* found
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
