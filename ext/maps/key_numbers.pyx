"""Keys of maps that come again and again (names of traits, of properties), numbered from 1 on in the order in which they
were first seen: in the maps that the engine keeps (`ext.maps.packed_map`) a key is its number.

The numbers are of the process, as `ext.expressions.key_positions` is. They show nowhere: whatever leaves, a snapshot and a digest among
it, has its keys spelled out. So two engines in one process may share them, and a state restored in another order is the
same state.

A key of more than 64 bytes has no number, nor one that its number would not be shorter than; when 4,096 have one, no
further key gets one. A table of open addressing leads from the text to the number. A look goes to eight places at most:
where they are taken by others the key has no number. So whoever sends keys that meet each other costs the engine
nothing but their bytes, and no secret is needed. Nothing is ever taken out: a key that has no number never gets one
later, and equal maps are kept as equal bytes.
"""

from libc.stdlib cimport calloc, malloc
from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcpy

from ext.maps.msgpack cimport put_text_head

from engine.tuning import KEY_NUMBERED_BYTES_MAX, KEYS_NUMBERED_MAX

assert KEYS_NUMBERED_MAX == NUMBERS_MAX and KEY_NUMBERED_BYTES_MAX == NUMBERED_BYTES_MAX, "the numbers of tuning.py"

cdef enum:
    PLACES = 8192        # twice as many as numbers
    LOOKS_MAX = 8
    PACKED_ROOM = 96     # of a key: header, text, slack

cdef uint16_t[PLACES] places    # numbers; 0: nobody's
cdef int32_t given = 0          # so many numbers, from 1 on
numbered_keys = <Key*>calloc(1 << 16, sizeof(Key))    # so that whatever two bytes say is a place of it

if numbered_keys is NULL:
    raise MemoryError("no memory for the keys of maps")

cdef extern from *:
    """
    static inline uint64_t tm_folded(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    static inline uint64_t tm_hash_of_key(const uint8_t* p, uint32_t n) {
        uint64_t a = 0, b = 0, h = n;
        uint32_t x, y;
        for (; n > 16; p += 16, n -= 16) {
            memcpy(&a, p, 8); memcpy(&b, p + 8, 8);
            h = tm_folded(a ^ h ^ 0xA0761D6478BD642FULL, b ^ 0x9E3779B97F4A7C15ULL);
        }
        a = b = 0;
        if (n >= 8) { memcpy(&a, p, 8); memcpy(&b, p + n - 8, 8); }
        else if (n >= 4) { memcpy(&x, p, 4); memcpy(&y, p + n - 4, 4); a = x; b = y; }
        else if (n) { a = p[0] | (uint64_t)p[n >> 1] << 8 | (uint64_t)p[n - 1] << 16; }
        return tm_folded(a ^ h ^ 0xD6E8FEB86659FD93ULL, b ^ 0x9E3779B97F4A7C15ULL);
    }
    """
    uint64_t hash_of_key "tm_hash_of_key" (const uint8_t* p, uint32_t n) noexcept nogil


cdef int32_t key_number(const uint8_t* text, uint32_t size) noexcept nogil:
    """Return the number of a key, given at first sight; -1 if it gets none."""
    cdef uint64_t hash
    cdef int look
    cdef uint16_t* place
    cdef const Key* key
    if size > NUMBERED_BYTES_MAX:
        return -1
    hash = hash_of_key(text, size)
    for look in range(LOOKS_MAX):
        place = &places[(hash + look) & (PLACES - 1)]
        if place[0] == 0:
            return _new(place, text, size)
        key = &numbered_keys[place[0]]
        if key.size == size and same_bytes(key.packed + key.head, text, size):
            return place[0]
    return -1


cdef int32_t _new(uint16_t* place, const uint8_t* text, uint32_t size) noexcept nogil:
    """Give the next number to a key that has none."""
    global given
    cdef uint32_t head = 1 if size < 32 else 2
    cdef uint8_t[3] number
    cdef uint8_t* packed
    if given == NUMBERS_MAX or put_number(number, given + 1) - number >= head + size:
        return -1
    packed = <uint8_t*>malloc(PACKED_ROOM)
    if packed == NULL:
        return -1  # a map is well without
    put_text_head(packed, size)
    memcpy(packed + head, text, size)
    given += 1
    numbered_keys[given].packed = packed
    numbered_keys[given].head = <uint8_t>head
    numbered_keys[given].size = <uint8_t>size
    place[0] = <uint16_t>given
    return given


def number_of(str key not None):
    cdef bytes text = key.encode()
    cdef int32_t number = key_number(<const uint8_t*><const char*>text, <uint32_t>len(text))
    return None if number < 0 else number


def numbered():
    cdef const Key* key
    cdef int32_t number
    cdef list known = []
    for number in range(1, given + 1):
        key = &numbered_keys[number]
        known.append((<const char*>key.packed)[key.head : key.head + key.size].decode())
    return known
