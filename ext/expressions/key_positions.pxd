"""The keys of root maps that plans read, and where they are in the maps of the present view; see keyring.pyx."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct Walk

# Where a key was found in a generation; one for all nodes that read the key.
cdef struct Found:
    uint64_t generation
    const uint8_t* at     # NULL: there is no such key
    Walk* walk            # over the root's map


cdef class Key:
    cdef Found found
    cdef bytes name
    cdef int root
    cdef object __weakref__


cdef Key key_of(int root, str name)
cdef const uint8_t* locate(Found* wanted, uint64_t generation, const uint8_t* map) noexcept nogil
