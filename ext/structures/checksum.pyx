"""A checksum of 64 bits for what lies on the disk, at the speed of memory.

Four lanes take a word of 8 bytes each in turn; a lane is xored with its word, multiplied by an odd number, xored with its
own upper half and multiplied again. Each of these steps can be undone, and so can the last mixing. Therefore damage that
stays within one aligned word of 8 bytes always changes the sum: a flipped bit, a damaged byte or any burst within the
word is found for certain. Any other damage goes unnoticed about once in 2**64. (With one multiplication a word, as is
often seen, two flipped bits of neighbouring words can cancel each other whatever the data.)

It is no secret and withstands nobody who wants to deceive: who may write to the disk may do as he likes. Rejected: a CRC
of 32 bits (lets one damage in four thousand million through), SipHash and BLAKE2b (ten and thirty times as long; every
byte that comes in goes through here).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <string.h>
    static inline uint64_t tm_word(const uint8_t* p) {
        uint64_t w;
        memcpy(&w, p, 8);
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
    #endif
        return w;
    }
    static inline uint64_t tm_turn(uint64_t lane, uint64_t w) {
        lane = (lane ^ w) * 0x9E3779B185EBCA87ULL;
        return (lane ^ lane >> 29) * 0xC2B2AE3D27D4EB4FULL;
    }
    static uint64_t tm_checksum(const uint8_t* p, size_t n, uint64_t seed) {
        uint64_t a = seed ^ 0xC2B2AE3D27D4EB4FULL, b = seed ^ 0x165667B19E3779F9ULL;
        uint64_t c = seed ^ 0x85EBCA77C2B2AE63ULL, d = seed ^ 0x27D4EB2F165667C5ULL, sum;
        uint8_t rest[8] = {0};
        size_t left = n;
        for (; left >= 32; p += 32, left -= 32) {
            a = tm_turn(a, tm_word(p));
            b = tm_turn(b, tm_word(p + 8));
            c = tm_turn(c, tm_word(p + 16));
            d = tm_turn(d, tm_word(p + 24));
        }
        for (; left >= 8; p += 8, left -= 8) a = tm_turn(a, tm_word(p));
        memcpy(rest, p, left);
        b = tm_turn(b, tm_word(rest));
        sum = a + (b << 7 | b >> 57) + (c << 12 | c >> 52) + (d << 18 | d >> 46) + n;
        sum = (sum ^ sum >> 33) * 0xC2B2AE3D27D4EB4FULL;
        sum = (sum ^ sum >> 29) * 0x9E3779B185EBCA87ULL;
        return sum ^ sum >> 32;
    }
    """
    uint64_t tm_checksum(const uint8_t* p, size_t n, uint64_t seed) noexcept nogil


def checksum(const uint8_t[::1] data not None, uint64_t seed=0):
    return tm_checksum(&data[0] if data.shape[0] else NULL, data.shape[0], seed)


def sealed(bytes head not None, list bodies not None):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head) + 8
    cdef Py_ssize_t begin = size
    cdef bytes whole, body
    cdef char* out
    cdef uint64_t sum
    cdef int i
    for body in bodies:
        size += PyBytes_GET_SIZE(body)
    whole = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(whole)
    memcpy(out, PyBytes_AS_STRING(head), begin - 8)
    out += begin
    for body in bodies:
        memcpy(out, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        out += PyBytes_GET_SIZE(body)
    out = PyBytes_AS_STRING(whole)
    sum = tm_checksum(<const uint8_t*>out, begin - 8, 0)
    sum = tm_checksum(<const uint8_t*>out + begin, size - begin, sum)
    for i in range(8):
        out[begin - 8 + i] = <char>(sum >> 8 * (7 - i))
    return whole
