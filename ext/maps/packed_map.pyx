"""Maps as the engine keeps them, a contact's traits and a run's event, in half of the bytes.

What repeats in the maps of a million contacts is their keys. So a map that is kept is MessagePack, but a key that has
a number (`ext.maps.key_numbers`) is written as that number. Byte by byte:

    references     2 bytes: how many hold it; FOR_EVER (65,535): it is not counted any more and stays
    the map        MessagePack: its header, then entry after entry a key and a value, in the order in which they came
      key          a number: 0x01 to 0x7f | 0xcc, one byte | 0xcd, two bytes (the highest first), always as short as it goes
                   | a string, as everywhere: a key that has no number
                   | of a variable that Python gives, not of JSON, a whole number: always 0xd3 and eight bytes
                   | or whatever else MessagePack has, as it is
      value        as everywhere; keys of maps within, however deep, as above

    {"city": "Oslo", "score": 7}    82 01 a4 4f 73 6c 6f 02 07    as the first keys that any engine sees

A value is found where it is, as in any MessagePack, and a key that is looked for is mostly compared by one byte. What
leaves is *spelled out* (`spell`): the bytes are those that were given, so snapshots, digests, effects and whatever
Python sees know nothing of numbers.

Whoever keeps a map shares it (`share`) and releases it: an event that starts three runs is one map. No object of
Python's is made: its head and its hash would be a quarter of it.

Rejected: a number for each list of keys ("shape") with the values alone behind it: it would save a byte an entry more,
but lists of keys are many where optional traits are set in any order, and each would have to be counted and dropped.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Malloc
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from ext.maps.key_numbers cimport KEY_SLACK, Key, key_number, numbered_keys, put_number, read_number
from ext.maps.msgpack cimport put_text_head, read_u16, read_u32, read_u64, scalar_size, skip

cdef enum:
    DEPTH_MAX = 256      # levels; documents nest less, and JSON from outside far less
    GROWN_MAX = 5        # an entry whose key is a whole number takes ten bytes for two, all others less than they did
    ROOM = 16            # bytes that may be written beyond the end
    SPELLED_MAX = 34     # bytes for each that is kept: a key of 66 for its number, with a value of one byte

cdef struct Head:
    uint32_t elements    # keys and values
    uint8_t size         # bytes of the header
    bint is_map

cdef Kept* EMPTY = kept_copy(<const uint8_t*>b"\x80", 1)
EMPTY.references = FOR_EVER

# What is being made, under Python's lock; nothing here calls back into Python.
cdef uint8_t* scratch = NULL
cdef Py_ssize_t scratch_room = 0

cdef extern from *:
    """
    /* Copy n bytes that are few. Overlapping words, nothing beyond. */
    static inline void tm_copy(uint8_t* to, const uint8_t* from, size_t n) {
        uint64_t a, b;
        uint32_t c, d;
        if (n > 16) { memcpy(to, from, n); return; }
        if (n >= 8) {
            memcpy(&a, from, 8); memcpy(&b, from + n - 8, 8);
            memcpy(to, &a, 8); memcpy(to + n - 8, &b, 8);
        } else if (n >= 4) {
            memcpy(&c, from, 4); memcpy(&d, from + n - 4, 4);
            memcpy(to, &c, 4); memcpy(to + n - 4, &d, 4);
        } else if (n) {
            uint8_t x = from[0], y = from[n >> 1], z = from[n - 1];
            to[0] = x; to[n >> 1] = y; to[n - 1] = z;
        }
    }
    """
    void copy "tm_copy" (uint8_t* to, const uint8_t* from_, size_t n) noexcept nogil


cdef int _reserve(Py_ssize_t room) except -1:
    return make_room(&scratch, &scratch_room, room)


cdef Kept* new_kept(Py_ssize_t size) except NULL:
    """Make room for a map of `size` bytes, with one reference."""
    cdef Kept* kept = <Kept*>PyMem_Malloc(sizeof(uint16_t) + size)
    if kept == NULL:
        raise MemoryError
    kept.references = 1
    return kept


cdef Kept* kept_copy(const uint8_t* map, Py_ssize_t size) except NULL:
    """Make a packed map of one whose keys are numbered already."""
    cdef Kept* kept = new_kept(size)
    memcpy(kept.map, map, size)
    return kept


cdef Kept* kept_at(const uint8_t* packed, Py_ssize_t size) except NULL:
    """Make a packed map of a MessagePack map."""
    if size == 1:
        return EMPTY
    _reserve(GROWN_MAX * size + ROOM)
    return kept_copy(scratch, _number(packed, scratch) - scratch)


cdef Kept* kept_of(bytes packed) except NULL:
    """Make a packed map of a MessagePack map in Python's bytes."""
    return kept_at(<const uint8_t*>PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed))


cdef bytes numbered(bytes packed):
    """Return a MessagePack value as it stands in a packed map."""
    _reserve(GROWN_MAX * PyBytes_GET_SIZE(packed) + ROOM)
    return PyBytes_FromStringAndSize(
        <char*>scratch, _number(<const uint8_t*>PyBytes_AS_STRING(packed), scratch) - scratch
    )


cdef bint same_kept(const Kept* one, const Kept* other) noexcept nogil:
    """Whether they are the same, byte for byte."""
    cdef Py_ssize_t size
    if one == other:
        return True
    size = skip(one.map) - one.map
    return skip(other.map) - other.map == size and memcmp(one.map, other.map, size) == 0


cdef inline bint head_of(const uint8_t* at, Head* head) noexcept nogil:
    """Read the header of a list or a map. Return False if it is neither."""
    cdef uint8_t b = at[0]
    head.size = 1
    if 0x80 <= b < 0xa0:
        head.is_map = b < 0x90
        head.elements = b & 15
    elif 0xdc <= b < 0xe0:
        head.is_map = b >= 0xde
        head.size = 5 if b & 1 else 3
        head.elements = read_u32(at + 1) if b & 1 else read_u16(at + 1)
    else:
        return False
    if head.is_map:
        head.elements *= 2
    return True


# --- keys become numbers ---

cdef uint8_t* _number(const uint8_t* at, uint8_t* out) except NULL:
    """Write an element with its keys numbered. Return where it ends."""
    return _number_one(&at, out, 0)


cdef uint8_t* _number_one(const uint8_t** at, uint8_t* out, int depth) except NULL:
    cdef const uint8_t* p = at[0]
    cdef const uint8_t* behind
    cdef Head head
    cdef uint32_t left
    if not head_of(p, &head):
        behind = skip(p)
        copy(out, p, behind - p)
        at[0] = behind
        return out + (behind - p)
    if depth == DEPTH_MAX:
        raise ValueError("a map that is kept nests 256 levels deep at most")
    memcpy(out, p, head.size)
    out += head.size
    at[0] = p + head.size
    left = head.elements
    while left:
        left -= 1
        if head.is_map and left & 1:
            out = _number_key(at, out)
        else:
            out = _number_one(at, out, depth + 1)
    return out


cdef uint8_t* _number_key(const uint8_t** at, uint8_t* out) noexcept:
    """Write a key as its number. One without a number gets the shortest header, as one with a number will."""
    cdef const uint8_t* p = at[0]
    cdef const uint8_t* behind = skip(p)
    cdef uint32_t size = 0
    cdef int header
    cdef int32_t number
    at[0] = behind
    if p[0] & 0xe0 == 0xa0 or 0xd9 <= p[0] <= 0xdb:
        header = 1 if p[0] < 0xd9 else 2 if p[0] == 0xd9 else 3 if p[0] == 0xda else 5
        size = <uint32_t>(behind - p - header)
        number = key_number(p + header, size)
        if number >= 0:
            return put_number(out, number)
        out = put_text_head(out, size)
        memcpy(out, behind - size, size)
        return out + size
    if read_number(p, &size) != NULL:
        memcpy(out, b"\xd3\0\0\0\0\0\0", 7)
        out[7] = <uint8_t>(size >> 8)
        out[8] = <uint8_t>(size & 0xff)
        return out + 9
    copy(out, p, behind - p)
    return out + (behind - p)


# --- numbers become keys ---

cdef inline bint is_whole_key(const uint8_t* p) noexcept nogil:
    """Whether an element is a whole number that had to be kept apart from a key's number."""
    return p[0] == 0xd3 and read_u64(p + 1) < 1 << 16


cdef Py_ssize_t plain_size(const uint8_t* at) noexcept nogil:
    """Count the bytes of an element spelled out."""
    return _plain_size(&at)


cdef bint is_larger(const Kept* kept, Py_ssize_t most) noexcept nogil:
    """Whether it takes more than so many bytes, as it was given: what is refused does not depend on numbers."""
    return (skip(kept.map) - kept.map) * SPELLED_MAX > most and plain_size(kept.map) > most


cdef Py_ssize_t _plain_size(const uint8_t** at) noexcept nogil:
    cdef const uint8_t* p = at[0]
    cdef const uint8_t* behind
    cdef Head head
    cdef uint32_t left, number
    cdef Py_ssize_t size
    if not head_of(p, &head):
        at[0] = skip(p)
        return at[0] - p
    size = head.size
    p += head.size
    left = head.elements
    while left:
        left -= 1
        behind = read_number(p, &number) if head.is_map and left & 1 else NULL
        if behind != NULL:
            size += numbered_keys[number].head + numbered_keys[number].size
            p = behind
        elif head.is_map and left & 1 and is_whole_key(p):
            number = <uint32_t>read_u64(p + 1)
            size += 1 if number < 0x80 else 2 if number < 0x100 else 3
            p += 9
        elif scalar_size[p[0]]:
            size += scalar_size[p[0]]
            p += scalar_size[p[0]]
        else:
            size += _plain_size(&p)
    at[0] = p
    return size


cdef uint8_t* spell(const uint8_t* at, uint8_t* out, const uint8_t* end) noexcept nogil:
    """Write an element as it was given; return where it ends, NULL if it needs room beyond `end` less KEY_SLACK bytes."""
    return _spell(&at, out, end - KEY_SLACK)


cdef uint8_t* _spell(const uint8_t** at, uint8_t* out, const uint8_t* end) noexcept nogil:
    cdef const uint8_t* p = at[0]
    cdef const uint8_t* behind
    cdef Head head
    cdef uint32_t left, number
    cdef Py_ssize_t size
    cdef const Key* key
    if not head_of(p, &head):
        at[0] = skip(p)
        size = at[0] - p
        if size > end - out:
            return NULL
        memcpy(out, p, size)
        return out + size
    copy(out, p, head.size)
    out += head.size
    p += head.size
    left = head.elements
    while left:
        left -= 1
        if end - out < SPELLED_AT_ONCE:
            return NULL
        behind = read_number(p, &number) if head.is_map and left & 1 else NULL
        if behind != NULL:
            key = &numbered_keys[number]
            size = key.head + key.size
            memcpy(out, key.packed, KEY_SLACK)
            if size > KEY_SLACK:
                memcpy(out + KEY_SLACK, key.packed + KEY_SLACK, size - KEY_SLACK)
            out += size
            p = behind
        elif head.is_map and left & 1 and is_whole_key(p):
            out = put_number(out, <int32_t>read_u64(p + 1))
            p += 9
        elif scalar_size[p[0]]:
            copy(out, p, scalar_size[p[0]])
            out += scalar_size[p[0]]
            p += scalar_size[p[0]]
        else:
            out = _spell(&p, out, end)
            if out == NULL:
                return NULL
    at[0] = p
    return out


cdef bytes plain(const uint8_t* at):
    """Return an element as it was given, as Python's bytes."""
    cdef Py_ssize_t size = plain_size(at)
    _reserve(size + SPELLED_AT_ONCE + KEY_SLACK)
    spell(at, scratch, scratch + scratch_room)
    return PyBytes_FromStringAndSize(<char*>scratch, size)


cdef bytes plain_map(Kept* kept):
    """Return a packed map as it was given, as Python's bytes; None for NULL."""
    return None if kept == NULL else plain(kept.map)


# --- for tests ---

def as_kept(bytes packed not None):
    cdef Kept* kept = kept_of(packed)
    try:
        return kept.map[: skip(kept.map) - kept.map]
    finally:
        release(kept)


def as_given(bytes kept not None):
    return plain(<const uint8_t*>PyBytes_AS_STRING(kept))
