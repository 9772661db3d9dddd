"""SipHash-2-4 (Aumasson and Bernstein, 2012): a 64-bit keyed hash of short inputs.

It draws splits and A/B variants from a node's salt (rule 21) and makes the fingerprints of message ids
(rule 8): equal on every machine and for ever, and who does not know the key cannot choose inputs that
collide. Python's own `hash()` is the same function under a key of the process, so it cannot serve.

The state is four words; two rounds per 8 bytes of input, four at the end. Words are read as little-endian
byte by byte: the C compiler makes one load of it where the machine is little-endian.
"""

from libc.stdint cimport uint8_t, uint64_t


cdef inline uint64_t _rotl(uint64_t x, int by) noexcept nogil:
    return (x << by) | (x >> (64 - by))


cdef inline uint64_t _load(const uint8_t* at) noexcept nogil:
    return (
        <uint64_t>at[0] | <uint64_t>at[1] << 8 | <uint64_t>at[2] << 16 | <uint64_t>at[3] << 24
        | <uint64_t>at[4] << 32 | <uint64_t>at[5] << 40 | <uint64_t>at[6] << 48 | <uint64_t>at[7] << 56
    )


cdef inline void _round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = _rotl(v[1], 13) ^ v[0]
    v[3] = _rotl(v[3], 16) ^ v[2]
    v[0] = _rotl(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = _rotl(v[1], 17) ^ v[2]
    v[3] = _rotl(v[3], 21) ^ v[0]
    v[2] = _rotl(v[2], 32)


cdef uint64_t siphash24_c(const uint8_t* key, const uint8_t* data, Py_ssize_t length) noexcept nogil:
    """Return the SipHash-2-4 of `length` bytes. `key` has 16 bytes; `data` may be NULL if `length` is 0."""
    cdef uint64_t k0 = _load(key)
    cdef uint64_t k1 = _load(key + 8)
    cdef uint64_t[4] v
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    cdef int shift = 0
    v[0] = k0 ^ 0x736F6D6570736575ULL
    v[1] = k1 ^ 0x646F72616E646F6DULL
    v[2] = k0 ^ 0x6C7967656E657261ULL
    v[3] = k1 ^ 0x7465646279746573ULL
    while at + 8 <= length:
        word = _load(data + at)
        v[3] ^= word
        _round(v)
        _round(v)
        v[0] ^= word
        at += 8
    word = <uint64_t>length << 56
    while at < length:
        word |= <uint64_t>data[at] << shift
        shift += 8
        at += 1
    v[3] ^= word
    _round(v)
    _round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    _round(v)
    _round(v)
    _round(v)
    _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cpdef uint64_t siphash24(bytes key, data) except? 0:
    cdef const uint8_t[::1] view
    if key is None or len(key) != 16:
        raise ValueError("a SipHash key has 16 bytes")
    if type(data) is bytes:
        return siphash24_c(<const uint8_t*><bytes>key, <const uint8_t*><bytes>data, len(<bytes>data))
    view = data
    return siphash24_c(<const uint8_t*>key, &view[0] if view.shape[0] else NULL, view.shape[0])
