"""Packed contacts (`Contact.pack`) read in place: a start builds a million of them and must not wait for lists.

The bytes are the engine's own and were checked against a checksum; nothing here looks for their end.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from ext.kernel.history cimport *
from ext.maps.packed_map cimport Kept, kept_at
from ext.kernel.contact cimport Contact, Ended, Mark, Trial, add_ended, mark_or_new, set_aliases, set_trial
from ext.kernel.run cimport Run, set_rare
from ext.expressions.value cimport NULL_, Value, read
from ext.maps.msgpack cimport skip


@cython.final
cdef class Packed:
    """A reader of packed contacts, whose runs belong to these flows."""

    def __cinit__(self, dict flows not None):
        self.flows = flows
        self.shared = {}

    cdef Value next(self) noexcept:
        cdef Value value = read(self.at)
        self.at = skip(self.at)
        return value

    cdef int64_t number(self) noexcept:
        return self.next().of.i

    cdef uint32_t enter(self) noexcept:
        """Enter a list; return how many elements follow."""
        cdef Value value = read(self.at)
        self.at = value.of.p
        return value.n

    cdef str text(self):
        """Read a text or None."""
        cdef Value value = self.next()
        return None if value.kind == NULL_ else PyUnicode_DecodeUTF8(<const char*>value.of.p, value.n, NULL)

    cdef bytes data(self):
        """Read bytes or None."""
        cdef Value value = self.next()
        return None if value.kind == NULL_ else PyBytes_FromStringAndSize(<const char*>value.of.p, value.n)

    cdef Kept* map(self) except? NULL:
        """Read a packed map, NULL for nil."""
        cdef Value value = self.next()
        return NULL if value.kind == NULL_ else kept_at(value.of.p, value.n)

    cdef object common(self, object read):
        return None if read is None else self.shared.setdefault(read, read)

    cdef tuple texts(self):
        cdef uint32_t i
        cdef tuple read = tuple([self.common(self.text()) for i in range(self.enter())])
        return self.common(read) if len(read) == 1 else read

    cdef str event_name(self):
        """Read an event name, which is mostly the one before."""
        cdef Value value = read(self.at)
        cdef Py_ssize_t size = 0
        cdef const char* text
        if value.kind != NULL_ and self.name is not None:
            text = PyUnicode_AsUTF8AndSize(self.name, &size)
            if size == value.n and memcmp(text, value.of.p, size) == 0:
                self.at = skip(self.at)
                return self.name
        name = self.common(self.text())
        if name is not None:
            self.name = name
        return name

    cdef Contact contact(self, const uint8_t* at):
        """Read the contact packed at a place, without its runs, which are to be read next."""
        cdef Contact contact
        self.at = at
        self.enter()
        contact = Contact.__new__(Contact, self.text(), self.number())
        contact.kept = self.map()
        if self.at[0] != 0x90:
            contact.segments = self.texts()
        else:
            self.at += 1
        contact.points = self.number()
        self.history(contact)
        self.frequency(contact)
        self.trials(contact)
        self.endings(contact)
        aliases = self.texts()
        if aliases:
            set_aliases(contact, aliases)
        return contact

    cdef int history(self, Contact contact) except -1:
        cdef uint32_t[64] properties
        cdef uint32_t names = self.enter()
        cdef uint32_t name, size, columns
        cdef const uint8_t* instants
        cdef Series* series
        while names:
            names -= 1
            self.enter()
            name = <uint32_t>self.number()
            instants = self.at
            size = read(instants).n
            self.at = skip(instants)
            columns = self.columns(properties)
            series = history_make(&contact.series, name, size, properties, columns)
            self.fill(series, instants)
        return 0

    cdef uint32_t columns(self, uint32_t* properties) noexcept:
        """Read the numbers of the properties ahead, without their columns, and go back."""
        cdef const uint8_t* start = self.at
        cdef uint32_t columns = self.enter()
        cdef uint32_t i
        for i in range(columns):
            self.enter()
            properties[i] = <uint32_t>self.number()
            self.at = skip(self.at)
        self.at = start
        return columns

    cdef void fill(self, Series* series, const uint8_t* instants) noexcept:
        """Fill a series with the instants, then with the columns, which are read next."""
        cdef const uint8_t* columns = self.at
        cdef int32_t i, column
        self.at = instants
        self.enter()
        for i in range(series.size):
            instants_of(series)[i] = self.number()
        self.at = columns
        self.enter()
        for column in range(series.columns):
            self.enter()
            self.number()
            self.enter()
            for i in range(series.size):
                column_of(series, column)[i] = self.next().of.d

    cdef int frequency(self, Contact contact) except -1:
        cdef uint32_t flows = self.enter()
        cdef Value last
        cdef Mark* mark
        while flows:
            flows -= 1
            self.enter()
            mark = mark_or_new(contact, <int32_t>self.number())
            mark.launches = <int32_t>self.number()
            mark.reserved = <int32_t>self.number()
            mark.once = self.number() != 0
            last = self.next()
            mark.last_ms = INT64_MIN if last.kind == NULL_ else last.of.i
        return 0

    cdef int trials(self, Contact contact) except -1:
        cdef uint32_t tests = self.enter()
        cdef int64_t place
        while tests:
            tests -= 1
            self.enter()
            place = self.number()
            self.enter()
            variant = self.common(self.text())
            set_trial(contact, place, Trial(variant, self.number(), self.number(), int(self.text())))
        return 0

    cdef int endings(self, Contact contact) except -1:
        cdef uint32_t runs = self.enter()
        cdef Ended ended
        while runs:
            runs -= 1
            self.enter()
            ended.run = self.number()
            ended.flow = <int32_t>self.number()
            ended.version = <int32_t>self.number()
            ended.node = <int32_t>self.number()
            ended.entered_ms = self.number()
            ended.left_ms = self.number()
            ended.reason = <int32_t>self.number()
            add_ended(contact, ended)
        return 0

    cdef list runs(self, Contact contact):
        """Read the runs of the contact read last, in order of their ids."""
        cdef uint32_t n = self.enter()
        cdef list found = []
        while n:
            n -= 1
            self.enter()
            found.append(self.run(contact))
        return found

    cdef Run run(self, Contact contact):
        cdef Run run = Run.__new__(Run)
        run.contact = contact
        run.id = self.number()
        run.flow = self.flows[self.number()]
        run.version = <int32_t>self.number()
        run.node = <int32_t>self.number()
        run.entered_ms = self.number()
        run.logical_ms = self.number()
        run.due_ms = self.number()
        run.arrival = self.number()
        run.armed = self.number() != 0
        run.counted = self.number() != 0
        run.depth = <int32_t>self.number()
        run.event_name = self.event_name()
        run.event_ms = self.number()
        run.event = self.map()
        codes = self.codes()
        key = self.text()
        run.satisfied = self.number() != 0
        set_rare(run, self.steps(), codes, key)
        return run

    cdef bytes steps(self):
        """Read the steps that a run carried out; runs with the same ones share an object."""
        cdef bytes read = self.data()
        return self.common(read) if read is not None and len(read) == sizeof(int32_t) else read

    cdef dict codes(self):
        cdef dict found = {}
        cdef uint32_t n
        if read(self.at).kind == NULL_:
            self.at += 1
            return None
        n = self.enter()
        while n:
            n -= 1
            self.enter()
            name = self.common(self.text())
            found[name] = self.text()
        return found
