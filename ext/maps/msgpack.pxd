"""MessagePack in place: how long an element is, and how numbers and headers are written. See msgpack.pyx."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    NIL = 0xC0
    NO = 0xC2
    YES = 0xC3
    BIN8 = 0xC4
    BIN16 = 0xC5
    BIN32 = 0xC6
    FLOAT64 = 0xCB
    UINT8 = 0xCC           # and UINT16, UINT32, UINT64 after it
    INT8 = 0xD0            # and INT16, INT32, INT64 after it
    ARRAY16 = 0xDC
    ARRAY32 = 0xDD
    MAP16 = 0xDE
    MAP32 = 0xDF

cdef enum:
    NUMBER_BYTES_MAX = 9   # of a number or of a header; what writing one may touch

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* Bytes a scalar takes by its first byte; 0: a length follows, or elements do. */
    static const unsigned char tm_size[256] = {
        1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,
        1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,
        1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,
        1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,
        0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0, 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
        1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16, 17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,
        1,0,1,1,0,0,0,0,0,0,5,9,2,3,5,9, 2,3,5,9,3,4,6,10,18,0,0,0,0,0,0,0,
        1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
    };
    static inline uint16_t tm_u16(const uint8_t* p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
    static inline uint32_t tm_u32(const uint8_t* p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
    static inline uint64_t tm_u64(const uint8_t* p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
    static inline double tm_f64(const uint8_t* p) { uint64_t v = tm_u64(p); double d; memcpy(&d, &v, 8); return d; }
    static inline double tm_f32(const uint8_t* p) { uint32_t v = tm_u32(p); float f; memcpy(&f, &v, 4); return f; }
    static inline void tm_put_u32(uint8_t* p, uint32_t v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
    static inline void tm_put_u64(uint8_t* p, uint64_t v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }
    static inline uint64_t tm_bits(double d) { uint64_t v; memcpy(&v, &d, 8); return v; }
    """
    const uint8_t* scalar_size "tm_size"
    uint16_t read_u16 "tm_u16" (const uint8_t* p) noexcept nogil
    uint32_t read_u32 "tm_u32" (const uint8_t* p) noexcept nogil
    uint64_t read_u64 "tm_u64" (const uint8_t* p) noexcept nogil
    double read_f64 "tm_f64" (const uint8_t* p) noexcept nogil
    double read_f32 "tm_f32" (const uint8_t* p) noexcept nogil
    void put_u32 "tm_put_u32" (uint8_t* p, uint32_t v) noexcept nogil
    void put_u64 "tm_put_u64" (uint8_t* p, uint64_t v) noexcept nogil
    uint64_t bits_of "tm_bits" (double d) noexcept nogil

cdef const uint8_t* skip_long(const uint8_t* p) noexcept nogil


cdef inline const uint8_t* skip(const uint8_t* p) noexcept nogil:
    """Return where the element at `p` ends."""
    cdef uint8_t n = scalar_size[p[0]]
    return p + n if n else skip_long(p)


cdef inline uint8_t* put_tagged(uint8_t* out, uint8_t tag, uint64_t value, int size) noexcept nogil:
    """Write a tag, then the lowest `size` bytes of a number, the highest of them first. Return where they end.

    Touches NUMBER_BYTES_MAX bytes, whatever the size."""
    out[0] = tag
    put_u64(out + 1, value << (64 - 8 * size))
    return out + 1 + size


cdef inline uint8_t* put_integer(uint8_t* out, int64_t value) noexcept nogil:
    """Write an integer in its shortest form. Return where it ends."""
    if -32 <= value < 128:
        out[0] = <uint8_t>(value & 0xFF)
        return out + 1
    if value >= 0:
        if value < 1 << 8:
            return put_tagged(out, UINT8, <uint64_t>value, 1)
        if value < 1 << 16:
            return put_tagged(out, UINT8 + 1, <uint64_t>value, 2)
        if value < <int64_t>1 << 32:
            return put_tagged(out, UINT8 + 2, <uint64_t>value, 4)
        return put_tagged(out, UINT8 + 3, <uint64_t>value, 8)
    if value >= -(1 << 7):
        return put_tagged(out, INT8, <uint64_t>value, 1)
    if value >= -(1 << 15):
        return put_tagged(out, INT8 + 1, <uint64_t>value, 2)
    if value >= -(<int64_t>1 << 31):
        return put_tagged(out, INT8 + 2, <uint64_t>value, 4)
    return put_tagged(out, INT8 + 3, <uint64_t>value, 8)


cdef inline uint8_t* put_double(uint8_t* out, double value) noexcept nogil:
    """Write a double. Return where it ends."""
    return put_tagged(out, FLOAT64, bits_of(value), 8)


cdef inline uint8_t* put_data_head(uint8_t* out, Py_ssize_t size) noexcept nogil:
    """Write the header of data of `size` bytes in its shortest form. Return where it ends."""
    if size < 1 << 8:
        return put_tagged(out, BIN8, size, 1)
    if size < 1 << 16:
        return put_tagged(out, BIN16, size, 2)
    return put_tagged(out, BIN32, size, 4)


cdef inline uint8_t* put_text_head(uint8_t* out, Py_ssize_t size) noexcept nogil:
    """Write the header of a text of `size` bytes in its shortest form. Return where it ends.

    Touches no byte behind the header: the text may be there already."""
    if size < 32:
        out[0] = <uint8_t>(0xa0 | size)
        return out + 1
    if size < 1 << 8:
        out[0] = 0xd9
        out[1] = <uint8_t>size
        return out + 2
    if size < 1 << 16:
        out[0] = 0xda
        out[1] = <uint8_t>(size >> 8)
        out[2] = <uint8_t>(size & 0xff)
        return out + 3
    out[0] = 0xdb
    out[1] = <uint8_t>(size >> 24)
    out[2] = <uint8_t>(size >> 16 & 0xff)
    out[3] = <uint8_t>(size >> 8 & 0xff)
    out[4] = <uint8_t>(size & 0xff)
    return out + 5


cdef inline int head_size(Py_ssize_t count) noexcept nogil:
    """Return the bytes of the header of a list or map of `count` elements or pairs."""
    return 1 if count < 16 else 3 if count < 1 << 16 else 5


cdef inline uint8_t* put_box_head(uint8_t* out, Py_ssize_t count, bint is_map) noexcept nogil:
    """Write the header of a list or map in its shortest form. Return where it ends.

    Touches no byte behind the header: the elements may be there already."""
    if count < 16:
        out[0] = (0x80 if is_map else 0x90) | <uint8_t>count
        return out + 1
    if count < 1 << 16:
        out[0] = MAP16 if is_map else ARRAY16
        out[1] = <uint8_t>(count >> 8)
        out[2] = <uint8_t>(count & 0xff)
        return out + 3
    out[0] = MAP32 if is_map else ARRAY32
    put_u32(out + 1, <uint32_t>count)
    return out + 5
