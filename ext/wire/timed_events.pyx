"""Events with their own timestamps, for virtual time: recorded events are received when they happened."""

from libc.stdint cimport INT64_MIN, int64_t

from ext.wire.event cimport Event


def with_timestamps(list events not None):
    """Return `([(timestamp in ms, event)], -1)`. Stop at the first event without a timestamp, and return its index."""
    cdef Event event
    cdef list timed = []
    for event in events:
        if event.timestamp_ms == INT64_MIN:
            return timed, len(timed)
        timed.append((event.timestamp_ms, event))
    return timed, -1


def first_disorder(list timed not None, int64_t after_ms):
    """Return the index of the first pair that is earlier than the one before it, or than `after_ms`; -1 if all are in
    order."""
    cdef int64_t at_ms
    cdef Py_ssize_t index = 0
    for at_ms, _ in timed:
        if at_ms < after_ms:
            return index
        after_ms = at_ms
        index += 1
    return -1
