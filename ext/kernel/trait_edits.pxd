from libc.stdint cimport int64_t, uint8_t, uint32_t

from ext.maps.packed_map cimport Kept

cpdef enum:
    EDITS_MAX = 16

# One change to a map: a value to set, a number to add, or (neither) a key to take away.
cdef struct Edit:
    const uint8_t* text      # of the key
    uint32_t text_n
    const uint8_t* key       # as a map that is kept has it
    uint32_t key_n
    const uint8_t* value     # the same
    uint32_t value_n
    bint adds
    bint adds_double
    int64_t whole
    double real

# What an edit comes to with a map at hand.
cdef struct Piece:
    const uint8_t* begin     # the entry, or its value, that goes; NULL: the map has none
    const uint8_t* end
    const uint8_t* value     # that comes, if any
    uint32_t value_n
    uint8_t[9] number        # a sum, packed

cdef Kept* UNUSUAL    # instead of a map: the changes are for Python to make

cdef class Edits:
    cdef Edit[EDITS_MAX] edits
    cdef int size
    cdef readonly tuple names
    cdef list kept             # the bytes that the edits point into
    cdef uint32_t changed      # bit i: the last map edited has another value, or none, under name i

    cdef Kept* edited(self, Kept* map) except NULL
    cdef int find(self, Edit* edit, const uint8_t* first, uint32_t count, Piece* piece) noexcept
    cdef list changed_names(self)
    cdef Kept* joined(
        self, const uint8_t* first, const uint8_t* end, Piece* pieces, uint32_t entries, Py_ssize_t size
    ) except NULL
