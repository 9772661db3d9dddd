"""Waiting runs by id, held by this table alone; laid out as `ext.structures.hash_table` says.

Run ids count upwards and nobody chooses them: multiplied by an odd constant they spread evenly, so no keyed hash.
"""

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint64_t

from ext.kernel.run cimport Run
from ext.structures.hash_table cimport *


cdef inline uint64_t _hash(int64_t id) noexcept nogil:
    return <uint64_t>id * <uint64_t>0x9E3779B97F4A7C15


@cython.final
cdef class RunTable:
    def __cinit__(self):
        slots_make(&self.slots, FIRST_BITS)

    def __dealloc__(self):
        if self.slots.table != NULL:
            slots_let_go(&self.slots)
        slots_free(&self.slots)

    cdef PyObject* found(self, int64_t id) noexcept:
        """Return the run (borrowed) of an id, or NULL."""
        cdef uint64_t hash = _hash(id)
        cdef Slot* slot = slots_first(&self.slots, hash)
        while slot != NULL and (<Run>slot.what).id != id:
            slot = slots_following(&self.slots, hash, slot)
        return NULL if slot == NULL else <PyObject*>slot.what

    cdef void prefetch(self, int64_t id) noexcept:
        """Prefetch the slot of an id."""
        prefetch_line(&self.slots.table[_hash(id) >> self.slots.shift])

    cdef int put(self, Run run) except -1:
        """Add a run, of an id that is not there."""
        slots_put(&self.slots, _hash(run.id), <void*>run)
        Py_INCREF(run)
        return 0

    cdef bint take(self, Run run) noexcept:
        """Take a run out; whether it was there."""
        cdef uint64_t hash = _hash(run.id)
        cdef Slot* slot = slots_first(&self.slots, hash)
        while slot != NULL and slot.what != <void*>run:
            slot = slots_following(&self.slots, hash, slot)
        if slot == NULL:
            return False
        slots_remove(&self.slots, slot)
        Py_DECREF(run)
        return True

    def get(self, int64_t id):
        cdef PyObject* found = self.found(id)
        return None if found == NULL else <Run>found

    def add(self, Run run not None):
        assert self.found(run.id) == NULL, "an id belongs to one run"
        self.put(run)

    def remove(self, Run run not None):
        cdef bint was_there = self.take(run)
        assert was_there, "a run that is there"

    def __len__(self):
        return self.slots.count

    @property
    def bytes_used(self):
        return slots_bytes(&self.slots)
