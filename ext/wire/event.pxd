from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

cpdef enum Kind:
    TRACK = 0
    IDENTIFY = 1
    ALIAS = 2

cdef struct Text:
    const char* at
    uint32_t size

# A number at the top level of the body: where its key and its digits are, in bytes from the body's beginning.
cdef struct Number:
    uint16_t key
    uint16_t size
    uint16_t digits

cdef enum:
    NUMBERS_NOTED = 6

cdef class Event:
    cdef readonly Kind kind
    cdef readonly int64_t timestamp_ms  # INT64_MIN: not given
    cdef bytes source                   # what the texts below point into
    cdef Text contact_id
    cdef Text event_name
    cdef Text message                   # size 0: none
    cdef Text previous_id               # size 0: none
    cdef Text json                      # the body
    cdef int32_t numbers_noted          # -1: nobody has looked for them
    cdef Number[NUMBERS_NOTED] numbers
    # The path's own, computed ahead of the event's turn:
    cdef uint64_t contact_hash
    cdef uint64_t fingerprint           # of the message id

cdef Event new_event(bytes source)
cdef str text_of(Text text)
