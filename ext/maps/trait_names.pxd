"""Names of traits that mean something to the engine, compared as bytes.

`engine.model` lists them for Python; `tests/test_facts.py` holds the two together.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp


cdef inline bint is_engine_trait(const uint8_t* key, uint32_t size) noexcept nogil:
    """Whether the engine itself keeps the value of this name (`engine.model.ENGINE_TRAITS`)."""
    return (size == 8 and memcmp(key, b"segments", 8) == 0) or (size == 6 and memcmp(key, b"points", 6) == 0)


cdef inline bint is_subscriptions(const uint8_t* key, uint32_t size) noexcept nogil:
    """Whether this is the trait of a contact's subscriptions."""
    return size == 13 and memcmp(key, b"subscriptions", 13) == 0
