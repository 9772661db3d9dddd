"""Contacts by id: each under its own and, with the same rights, under every alias.

How it is laid out says `ext.structures.hash_table`. The hash is SipHash-2-4 of the id's UTF-8 bytes under the key of the data
directory, so that nobody can choose ids that collide. Ids are not kept here: where hashes agree, the contact is asked.

Whoever has many ids at hand as bytes hashes them all, then has the slots fetched (`prefetch`), then the contacts
(`prefetch_contact`), and only then asks (`found`): their cache misses, most of what an event costs at a million
contacts, are then waited for together. Rejected: a dict, which holds the loop when it doubles and wants a str.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

from ext.kernel.contact cimport Contact, aliases_of
from ext.structures.siphash cimport siphash24_c
from ext.structures.hash_table cimport *


cdef inline bint _same(str one, const char* id, Py_ssize_t size) noexcept:
    cdef Py_ssize_t length = 0
    cdef const char* text = PyUnicode_AsUTF8AndSize(one, &length)  # of an id here this cannot fail: it was hashed
    return length == size and memcmp(text, id, size) == 0


cdef bint _leads(Contact contact, const char* id, Py_ssize_t size) noexcept:
    """Whether the id is one of this contact's."""
    if _same(contact.id, id, size):
        return True
    for alias in aliases_of(contact):
        if _same(<str>alias, id, size):
            return True
    return False


@cython.final
cdef class ContactTable:
    def __cinit__(self, bytes key not None):
        if len(key) != 16:
            raise ValueError("a SipHash key has 16 bytes")
        memcpy(self.key, PyBytes_AS_STRING(key), 16)
        slots_make(&self.slots, FIRST_BITS)

    def __dealloc__(self):
        if self.slots.table != NULL:
            slots_let_go(&self.slots)
        slots_free(&self.slots)

    cdef uint64_t hash_of(self, const char* id, Py_ssize_t size) noexcept:
        """Return the hash of an id, given as UTF-8 bytes."""
        return siphash24_c(self.key, <const uint8_t*>id, size)

    cdef void prefetch(self, uint64_t hash) noexcept:
        """Prefetch the slot of a hash."""
        prefetch_line(&self.slots.table[hash >> self.slots.shift])
        if self.slots.former != NULL:
            prefetch_line(&self.slots.former[hash >> (self.slots.shift + 1)])

    cdef void prefetch_contact(self, uint64_t hash) noexcept:
        """Prefetch the contact of a hash, whose slot was prefetched."""
        cdef Slot* slot = slots_first(&self.slots, hash)
        if slot != NULL:
            prefetch_line(slot.what)
            prefetch_line(<char*>slot.what + 64)

    cdef void prefetch_parts(self, uint64_t hash) noexcept:
        """Prefetch the parts of the contact of a hash, which was prefetched itself."""
        cdef Slot* slot = slots_first(&self.slots, hash)
        cdef Contact contact
        if slot != NULL:
            contact = <Contact>slot.what
            prefetch_line(<void*>contact.id)
            prefetch_line(<char*><void*>contact.id + 48)
            prefetch_line(contact.kept)
            prefetch_line(contact.series)

    cdef PyObject* found(self, uint64_t hash, const char* id, Py_ssize_t size) noexcept:
        """Return the contact (borrowed) that an id with this hash leads to, or NULL."""
        cdef Slot* slot = slots_first(&self.slots, hash)
        while slot != NULL:
            if _leads(<Contact>slot.what, id, size):
                return <PyObject*>slot.what
            slot = slots_following(&self.slots, hash, slot)
        return NULL

    cdef int put(self, uint64_t hash, Contact contact) except -1:
        """Add a contact under the hash of one of its ids, which leads nowhere yet."""
        slots_put(&self.slots, hash, <void*>contact)
        Py_INCREF(contact)
        return 0

    cdef bint take(self, uint64_t hash, Contact contact) noexcept:
        """Take a contact out from under the hash of one of its ids; whether it was there."""
        cdef Slot* slot = slots_first(&self.slots, hash)
        while slot != NULL and slot.what != <void*>contact:
            slot = slots_following(&self.slots, hash, slot)
        if slot == NULL:
            return False
        slots_remove(&self.slots, slot)
        Py_DECREF(contact)
        return True

    def get(self, str id not None):
        cdef Py_ssize_t size = 0
        cdef const char* text
        cdef PyObject* found
        try:
            text = PyUnicode_AsUTF8AndSize(id, &size)
        except UnicodeEncodeError:
            return None  # half a surrogate pair: no such id ever came in
        found = self.found(self.hash_of(text, size), text, size)
        return None if found == NULL else <Contact>found

    def lead(self, str id not None, Contact contact not None):
        cdef Py_ssize_t size = 0
        cdef const char* text = PyUnicode_AsUTF8AndSize(id, &size)
        cdef uint64_t hash = self.hash_of(text, size)
        assert self.found(hash, text, size) == NULL, "an id leads to one contact"
        assert _leads(contact, text, size), "an id is one of its contact's"
        self.put(hash, contact)

    def forget(self, str id not None, Contact contact not None):
        cdef Py_ssize_t size = 0
        cdef const char* text = PyUnicode_AsUTF8AndSize(id, &size)
        cdef bint was_there = self.take(self.hash_of(text, size), contact)
        assert was_there, "an id that leads to its contact"

    def __len__(self):
        return self.slots.count

    @property
    def bytes_used(self):
        return slots_bytes(&self.slots)
