from libc.stdint cimport int32_t, int64_t, uint64_t

from ext.kernel.contact cimport Contact
from ext.kernel.flow cimport FlowCore

cdef enum:
    WORDS_MAX = 1024   # words of 8 bytes folded into the digest at a time

cdef class Recorder:
    cdef bytes key                     # of the data directory: the digest's
    cdef int64_t now_ms
    cdef public list trace             # of the batch; None: no trace is wanted
    cdef readonly uint64_t digest      # over all that happened up to the end of the last batch
    cdef int64_t[WORDS_MAX] words      # what happened since
    cdef int size

    cdef int note(
        self, FlowCore flow, int64_t run, Contact contact, int32_t node, int32_t what, int64_t extra, dict detail
    ) except -1
    cdef void fold(self) noexcept
    cpdef int end_batch(self, int64_t last_effect) except -1
