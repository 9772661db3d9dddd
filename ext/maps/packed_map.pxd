"""Maps as the engine keeps them; see packed_map.pyx."""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport realloc

from ext.maps.key_numbers cimport Key, numbered_keys, read_number, same_bytes
from ext.maps.msgpack cimport read_u16, skip

# Two bytes more than the map itself takes. How long that is follows from the map (`ext.maps.msgpack.skip`).
cdef struct Kept:
    uint16_t references    # FOR_EVER: nobody counts
    uint8_t[1] map

cdef enum:
    FOR_EVER = 0xFFFF
    SPELLED_AT_ONCE = 80       # bytes: a header, a key or a short value, whatever follows

cdef Kept* EMPTY           # {}

cdef Kept* new_kept(Py_ssize_t size) except NULL
cdef Kept* kept_copy(const uint8_t* map, Py_ssize_t size) except NULL
cdef Kept* kept_at(const uint8_t* packed, Py_ssize_t size) except NULL
cdef Kept* kept_of(bytes packed) except NULL
cdef bytes numbered(bytes packed)
cdef bint is_larger(const Kept* kept, Py_ssize_t most) noexcept nogil
cdef Py_ssize_t plain_size(const uint8_t* at) noexcept nogil
cdef uint8_t* spell(const uint8_t* at, uint8_t* out, const uint8_t* end) noexcept nogil
cdef bytes plain(const uint8_t* at)
cdef bytes plain_map(Kept* kept)
cdef bint same_kept(const Kept* one, const Kept* other) noexcept nogil


cdef inline int make_room(uint8_t** block, Py_ssize_t* room, Py_ssize_t wanted) except -1:
    """Enlarge a block that is used repeatedly to at least `wanted` bytes."""
    cdef void* larger
    if wanted > room[0]:
        larger = realloc(block[0], wanted)
        if larger == NULL:
            raise MemoryError
        block[0] = <uint8_t*>larger
        room[0] = wanted
    return 0


cdef inline Kept* share(Kept* kept) noexcept:
    """Add a reference and return the map; NULL stays NULL."""
    if kept != NULL and kept.references != FOR_EVER:
        kept.references += 1
    return kept


cdef inline void release(Kept* kept) noexcept:
    """Drop a reference; the last one frees the map. NULL is ignored."""
    if kept != NULL and kept.references != FOR_EVER:
        kept.references -= 1
        if kept.references == 0:
            PyMem_Free(kept)


cdef inline const uint8_t* read_key(const uint8_t* p, const uint8_t** text, uint32_t* n) noexcept nogil:
    """Find the text of the key at `p` of a packed map; return where its value begins. `text` is NULL if it is no text."""
    cdef uint32_t number
    cdef const Key* key
    cdef const uint8_t* behind
    if p[0] & 0xe0 == 0xa0:
        n[0] = p[0] & 31
        text[0] = p + 1
        return p + 1 + n[0]
    behind = read_number(p, &number)
    if behind != NULL:
        key = &numbered_keys[number]
        n[0] = key.size
        text[0] = key.packed + key.head
        return behind
    if p[0] == 0xd9:
        n[0] = p[1]
        text[0] = p + 2
    elif p[0] == 0xda:
        n[0] = read_u16(p + 1)
        text[0] = p + 3
    else:
        n[0] = 0
        text[0] = NULL
        return skip(p)
    return text[0] + n[0]


cdef inline const uint8_t* find_entry(
    const uint8_t* p, uint32_t left, const uint8_t* key, uint32_t key_n, const uint8_t** entry
) noexcept nogil:
    """Return the value under a string key among `left` packed entries that begin at `p`, or NULL.

    `entry` becomes where its key begins."""
    cdef uint32_t n
    cdef const uint8_t* text
    while left:
        left -= 1
        entry[0] = p
        p = read_key(p, &text, &n)
        if n == key_n and text != NULL and same_bytes(text, key, n):
            return p
        p = skip(p)
    return NULL


cdef inline const uint8_t* find_among(const uint8_t* p, uint32_t left, const uint8_t* key, uint32_t key_n) noexcept nogil:
    """Return the value under a string key among `left` packed entries that begin at `p`, or NULL."""
    cdef const uint8_t* entry
    return find_entry(p, left, key, key_n, &entry)
