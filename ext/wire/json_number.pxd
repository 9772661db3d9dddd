"""Decimal numbers in JSON text, as doubles."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint64_t

cdef extern from "Python.h":
    double PyOS_string_to_double(const char* s, char** endptr, PyObject* overflow_exception) except? -1.0

cdef extern from *:
    """
    /* The double nearest to a decimal number of few digits. Where the digits make a whole number below 2^53 and at most
       22 of them are decimals, both it and the power of ten are exact, and one division rounds once (Clinger, 1990).
       `*behind` is NULL, and nothing is said, for any other: more digits, or an exponent. */
    static inline double tm_decimal(const char* p, const char** behind) {
        static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
                                        1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        int negative = *p == '-', decimals = 0, digits = 0;
        uint64_t whole = 0;
        if (negative) p++;
        for (; *p >= '0' && *p <= '9'; p++, digits++) whole = whole * 10 + (uint64_t)(*p - '0');
        if (*p == '.')
            for (p++; *p >= '0' && *p <= '9'; p++, digits++, decimals++) whole = whole * 10 + (uint64_t)(*p - '0');
        if (digits > 18 || whole > (1ULL << 53) || *p == 'e' || *p == 'E') { *behind = 0; return 0; }
        *behind = p;
        return (negative ? -(double)whole : (double)whole) / powers[decimals];
    }
    """
    double tm_decimal(const char* p, const char** behind) noexcept nogil


cdef inline double decimal(const char* at, const char** behind) except? -1.0:
    """Read the JSON number that begins at `at`; `behind` becomes where it ends."""
    cdef double number = tm_decimal(at, behind)
    if behind[0] == NULL:
        number = PyOS_string_to_double(at, <char**>behind, NULL)
    return number
