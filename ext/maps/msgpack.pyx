"""MessagePack, read and written in place: the one reader and the one writer of the compiled parts.

The bytes are the engine's own and well formed, so nothing here checks for their end. Numbers and headers are written
in their shortest form, so the same state gives the same bytes. What a value is, `ext.expressions.value` says; maps
with numbered keys are read by `ext.maps.packed_map`.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint64_t


cdef const uint8_t* skip_long(const uint8_t* p) noexcept nogil:
    """Return where the element at `p` ends. Elements are counted, not nested, so that depth costs no stack."""
    cdef uint64_t left = 1
    cdef uint8_t b, n
    while left:
        left -= 1
        b = p[0]
        n = scalar_size[b]
        if n:
            p += n
        elif b < 0x90:
            left += 2 * (b & 15)
            p += 1
        elif b < 0xa0:
            left += b & 15
            p += 1
        elif b == 0xd9 or b == 0xc4:
            p += 2 + p[1]
        elif b == 0xda or b == 0xc5:
            p += 3 + read_u16(p + 1)
        elif b == 0xdb or b == 0xc6:
            p += 5 + <uint64_t>read_u32(p + 1)
        elif b == 0xdc:
            left += read_u16(p + 1)
            p += 3
        elif b == 0xdd:
            left += read_u32(p + 1)
            p += 5
        elif b == 0xde:
            left += 2 * <uint64_t>read_u16(p + 1)
            p += 3
        elif b == 0xdf:
            left += 2 * <uint64_t>read_u32(p + 1)
            p += 5
        elif b == 0xc7:
            p += 3 + p[1]
        elif b == 0xc8:
            p += 4 + read_u16(p + 1)
        else:
            p += 6 + <uint64_t>read_u32(p + 1)
    return p


def shortest(value):
    """Return a number of at most 64 bits as MessagePack, as the engine writes it; for tests."""
    cdef uint8_t[NUMBER_BYTES_MAX] out
    cdef uint8_t* end = put_double(out, value) if type(value) is float else put_integer(out, value)
    return (<char*>out)[: end - out]


def length(bytes packed not None):
    """Return the bytes of the first element; for tests."""
    cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(packed)
    return skip(start) - start
