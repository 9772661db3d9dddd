from libc.stdint cimport int32_t, int64_t, uint64_t

from ext.kernel.callbacks cimport Callbacks
from ext.kernel.contact cimport Contact
from ext.kernel.contact_view cimport ContactView
from ext.kernel.event_queue cimport EventQueue
from ext.kernel.recorder cimport Recorder
from ext.kernel.registry cimport Registry
from ext.kernel.subscriptions cimport Subscriptions
from ext.maps.packed_map cimport Kept
from ext.structures.fingerprints cimport Fingerprints
from ext.structures.name_table cimport Names

cdef class Core:
    cdef readonly bytes key            # of the data directory, 16 bytes
    cdef readonly int64_t now_ms       # of the batch
    cdef readonly Registry registry
    cdef readonly Subscriptions subscriptions
    cdef readonly EventQueue queue
    cdef readonly Recorder recorder
    cdef readonly Names names          # of events kept in histories
    cdef readonly Names properties     # of their numbers
    cdef readonly Fingerprints recent  # ids of the messages seen lately (rule 8)
    cdef ContactView view
    cdef Callbacks callbacks
    cdef public object outbox          # engine.kernel.outbox.Outbox
    cdef public list effects           # those of the batch
    cdef public tuple channels         # configured ones; None: every channel
    cdef readonly int64_t run_count
    cdef readonly int64_t event_count
    cdef readonly int64_t duplicate_count

    cpdef int begin(self, int64_t now_ms) except -1
    cpdef int touch(self, Contact contact) except -1
    cpdef bint wants(self, str name) except -1
    cpdef int emit(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1
    cpdef Contact contact_or_new(self, str id)
    cdef Contact contact_by(self, const char* id, Py_ssize_t size, uint64_t hash)
    cdef Contact create(self, str id, uint64_t hash)
    cdef int see(self, Contact contact, str name, int64_t ms, Kept* event) except -1
