"""The record of what happened: counted at its node, folded into a digest, and kept as a trace if one is wanted.

Every record goes into `digest`, a running SipHash. Two engines that did the same have the same digest, and recovery
compares it frame by frame. A record is four words, folded in a thousand words at a time: two words are left free
at the beginning of the block, for the digest so far and the time.

Invariant: `size` is even and at least 2, and `words` has room for one more record and one word.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t, uint8_t

from ext.kernel.contact cimport Contact
from ext.kernel.flow cimport FlowCore
from ext.structures.siphash cimport siphash24_c

from engine.model import TRACE_WORDS, TraceRecord


@cython.final
cdef class Recorder:
    """The record of what an engine did."""

    def __cinit__(self, bytes key not None):
        self.key = key
        self.size = 2

    cdef int note(
        self, FlowCore flow, int64_t run, Contact contact, int32_t node, int32_t what, int64_t extra, dict detail
    ) except -1:
        """Count what happened, add it to the digest, and to the trace where one is wanted."""
        cdef int64_t* words = self.words + self.size
        flow.counters(node)[what] += 1
        words[0] = <int64_t>flow.no << 32 | flow.version
        words[1] = run
        words[2] = <int64_t>node << 32 | what
        words[3] = extra
        self.size += 4
        if self.size > WORDS_MAX - 5:
            self.fold()
        if self.trace is not None:
            self.trace.append(
                TraceRecord(
                    self.now_ms, flow.id, flow.version, run, contact.id, flow.ids[node], TRACE_WORDS[what],
                    {} if detail is None else detail,
                )
            )
        return 0

    cdef void fold(self) noexcept:
        """Fold the words gathered, the digest so far and the time into the digest."""
        self.words[0] = self.digest
        self.words[1] = self.now_ms
        self.digest = siphash24_c(
            <const uint8_t*>PyBytes_AS_STRING(self.key), <const uint8_t*>self.words, self.size * sizeof(int64_t)
        )
        self.size = 2

    cpdef int end_batch(self, int64_t last_effect) except -1:
        """Fold in the number of the last effect: what a batch did and sent is in the digest from now on."""
        self.words[self.size] = last_effect
        self.size += 1
        self.fold()
        return 0
