"""Maps as the engine keeps them; see kept.pyx."""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport realloc

# Two bytes more than the map itself takes. How long that is follows from the map (`ext.expressions.value.skip`).
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
    """Have so many bytes in a block that is used again and again."""
    cdef void* larger
    if wanted > room[0]:
        larger = realloc(block[0], wanted)
        if larger == NULL:
            raise MemoryError
        block[0] = <uint8_t*>larger
        room[0] = wanted
    return 0


cdef inline Kept* share(Kept* kept) noexcept:
    """One more reference; of NULL none."""
    if kept != NULL and kept.references != FOR_EVER:
        kept.references += 1
    return kept


cdef inline void release(Kept* kept) noexcept:
    """One reference less; the last one frees it. Of NULL nothing."""
    if kept != NULL and kept.references != FOR_EVER:
        kept.references -= 1
        if kept.references == 0:
            PyMem_Free(kept)
