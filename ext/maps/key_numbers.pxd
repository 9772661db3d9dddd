"""Keys of maps and their numbers; see key_numbers.pyx."""

from libc.stdint cimport int32_t, uint8_t, uint32_t

cdef enum:
    NUMBERS_MAX = 4096
    NUMBERED_BYTES_MAX = 64
    KEY_SLACK = 16         # bytes behind a packed key that may be read, and are written where it is copied

cdef struct Key:
    const uint8_t* packed  # as a MessagePack string; NULL: no key has this number
    uint8_t head           # bytes of its header
    uint8_t size           # bytes of its text

cdef Key* numbered_keys    # by number

cdef int32_t key_number(const uint8_t* text, uint32_t size) noexcept nogil


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* Whether n bytes agree; most are names and words, too short for a call to pay. Overlapping reads, none beyond. */
    static inline int tm_same(const uint8_t* a, const uint8_t* b, size_t n) {
        uint64_t w, x, y, z;
        uint32_t k, l, m, o;
        if (n > 16) return memcmp(a, b, n) == 0;
        if (n >= 8) {
            memcpy(&w, a, 8); memcpy(&x, b, 8); memcpy(&y, a + n - 8, 8); memcpy(&z, b + n - 8, 8);
            return ((w ^ x) | (y ^ z)) == 0;
        }
        if (n >= 4) {
            memcpy(&k, a, 4); memcpy(&l, b, 4); memcpy(&m, a + n - 4, 4); memcpy(&o, b + n - 4, 4);
            return ((k ^ l) | (m ^ o)) == 0;
        }
        return n == 0 || (a[0] == b[0] && a[n >> 1] == b[n >> 1] && a[n - 1] == b[n - 1]);
    }
    """
    bint same_bytes "tm_same" (const uint8_t* a, const uint8_t* b, size_t n) noexcept nogil


cdef inline uint8_t* put_number(uint8_t* out, int32_t number) noexcept nogil:
    """Write a key's number in place of its text: 1 to 3 bytes. Return where it ends."""
    if number < 0x80:
        out[0] = <uint8_t>number
        return out + 1
    if number < 0x100:
        out[0] = 0xcc
        out[1] = <uint8_t>number
        return out + 2
    out[0] = 0xcd
    out[1] = <uint8_t>(number >> 8)
    out[2] = <uint8_t>(number & 0xff)
    return out + 3


cdef inline const uint8_t* read_number(const uint8_t* at, uint32_t* number) noexcept nogil:
    """Read what `put_number` wrote; return where it ends, NULL if it is no number."""
    if at[0] < 0x80:
        number[0] = at[0]
        return at + 1
    if at[0] == 0xcc:
        number[0] = at[1]
        return at + 2
    if at[0] == 0xcd:
        number[0] = <uint32_t>at[1] << 8 | at[2]
        return at + 3
    return NULL
