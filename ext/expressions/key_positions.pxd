"""The keys of root maps that plans read, and where they are in the maps of the present view; see key_positions.pyx."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct MapWalk

# Where a key is in a generation; one for all nodes that read the key.
cdef struct KeyPosition:
    uint64_t generation
    const uint8_t* at     # NULL: there is no such key
    MapWalk* walk            # over the root's map


cdef class ReadKey:
    cdef KeyPosition found
    cdef bytes name
    cdef int root
    cdef object __weakref__


cdef ReadKey key_of(int root, str name)
cdef const uint8_t* locate(KeyPosition* wanted, uint64_t generation, const uint8_t* map) noexcept nogil
