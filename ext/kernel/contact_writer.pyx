"""Contacts as MessagePack, written field by field with no Python object in between.

Under full load nearly every event is the first of its contact since the last snapshot, and while one is read that
contact has to be packed before the event is applied (`Registry.touch`): what packing costs, each such event costs. A
tuple of tuples for the library to encode took 3 to 5 µs of a contact; this takes a tenth of that. A snapshot's contacts
go one after the other into the bytes of one part, which are handed on whole: a million contacts in a part of their own
list would be two million objects for the collector of garbage to look at.

The same state gives the same bytes: lists whose order in memory means nothing are written in order of their numbers.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memcpy, memmove

from ext.kernel.flow cimport FlowCore
from ext.kernel.history cimport Series, column_of, history_empty, instants_of, properties_of
from ext.maps.packed_map cimport SPELLED_AT_ONCE, Kept, plain_size, spell
from ext.maps.key_numbers cimport KEY_SLACK
from ext.maps.msgpack cimport *
from ext.kernel.contact cimport Contact, Ended, Mark, Marks, aliases_of, trials_of
from ext.kernel.run cimport Run, acted_of, codes_of, run_key_of

from msgspec.msgpack import encode as pack_value

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void* PyUnicode_DATA(object text)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* The header of data, so many bytes long, before data that is there already: `put_data_head` writes beyond it. */
    static inline void tm_put_head(uint8_t* p, uint64_t size, int head) {
        p[0] = head == 2 ? 0xC4 : head == 3 ? 0xC5 : 0xC6;
        for (int i = 1; i < head; i++) p[i] = (uint8_t)(size >> (8 * (head - 1 - i)));
    }
    """
    void tm_put_head(uint8_t* p, uint64_t size, int head) nogil

cdef enum:
    BIN32_HEADER = 5
    RUN_FIELDS = 18    # of a packed run, in the order in which `_pack_run` writes them
    FIRST_ROOM = 4096

# The beginning of a part: ["contacts", an array with a count of 32 bits.
cdef const char* PART = b"\x92\xa8contacts\xdd"
cdef Py_ssize_t PART_HEADER = 15


cdef int _by_name(const void* a, const void* b) noexcept nogil:
    return <int>(<Series**>a)[0].name - <int>(<Series**>b)[0].name


cdef int _by_flow(const void* a, const void* b) noexcept nogil:
    return <int>((<Mark**>a)[0].flow > (<Mark**>b)[0].flow) - <int>((<Mark**>a)[0].flow < (<Mark**>b)[0].flow)


cdef int _by_id(const void* a, const void* b) noexcept nogil:
    cdef int64_t x = (<Run>(<void**>a)[0]).id
    cdef int64_t y = (<Run>(<void**>b)[0]).id
    return <int>(x > y) - <int>(x < y)


cdef class Packing:
    """The contacts of one part of a snapshot: `record` adds one, `taken` gives the part and begins the next."""

    def __dealloc__(self):
        free(self.out)
        free(self.order)

    cdef uint8_t* more(self, Py_ssize_t most) except NULL:
        """Return where to write, with room for at least `most` bytes. The caller moves `size`."""
        cdef Py_ssize_t room = max(self.room, FIRST_ROOM)
        cdef void* block
        if self.size + most > self.room:
            while self.size + most > room:
                room *= 2
            block = realloc(self.out, room)
            if block == NULL:
                raise MemoryError
            self.out = <uint8_t*>block
            self.room = room
        return self.out + self.size

    cdef int integer(self, int64_t value) except -1:
        cdef uint8_t* out = self.more(NUMBER_BYTES_MAX)
        self.size = put_integer(out, value) - self.out
        return 0

    cdef int array(self, Py_ssize_t length) except -1:
        """Write the header of a list."""
        cdef uint8_t* out = self.more(NUMBER_BYTES_MAX)
        self.size = put_box_head(out, length, False) - self.out
        return 0

    cdef int text(self, str text) except -1:
        """Write a text, nil for None. A text keeps its UTF-8 for ever once asked for it, so others than ASCII are encoded aside."""
        cdef bytes aside
        cdef const char* utf8
        cdef Py_ssize_t length
        cdef uint8_t* out
        if text is None:
            self.more(1)[0] = NIL
            self.size += 1
            return 0
        if PyUnicode_IS_COMPACT_ASCII(text):
            utf8, length = <const char*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)
        else:
            aside = text.encode()
            utf8, length = PyBytes_AS_STRING(aside), PyBytes_GET_SIZE(aside)
        out = self.more(NUMBER_BYTES_MAX)
        self.size = put_text_head(out, length) - self.out
        return self.raw(utf8, length)

    cdef int texts(self, tuple texts) except -1:
        self.array(len(texts))
        for text in texts:
            self.text(<str>text)
        return 0

    cdef int data(self, bytes data) except -1:
        """Write bytes, nil for None."""
        cdef uint8_t* out = self.more(NUMBER_BYTES_MAX)
        if data is None:
            out[0] = NIL
            self.size += 1
            return 0
        self.size = put_data_head(out, PyBytes_GET_SIZE(data)) - self.out
        return self.raw(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef int map(self, const Kept* kept) except -1:
        """Write a packed map as data, keys spelled out, nil for NULL. Its size is known afterwards."""
        cdef Py_ssize_t head = 2
        cdef Py_ssize_t size
        cdef uint8_t* out
        cdef uint8_t* end
        if kept == NULL:
            return self.data(None)
        out = self.more(FIRST_ROOM)
        end = spell(kept.map, out + head, self.out + self.room)
        if end == NULL:
            out = self.more(head + plain_size(kept.map) + SPELLED_AT_ONCE + KEY_SLACK)
            end = spell(kept.map, out + head, self.out + self.room)
        size = end - out - head
        if size >= 1 << 8:
            head = 3 if size < 1 << 16 else BIN32_HEADER
            memmove(out + head, out + 2, size)
        tm_put_head(out, size, head)
        self.size += head + size
        return 0

    cdef int raw(self, const char* packed, Py_ssize_t size) except -1:
        """Copy bytes as they are."""
        memcpy(self.more(size), packed, size)
        self.size += size
        return 0

    cdef int listed(self, Py_ssize_t at, void* entry) except -1:
        """Set `order[at]` to an entry."""
        cdef void* block
        if at >= self.order_room:
            block = realloc(self.order, 2 * (at + 8) * sizeof(void*))
            if block == NULL:
                raise MemoryError
            self.order = <void**>block
            self.order_room = 2 * (at + 8)
        self.order[at] = entry
        return 0

    cdef int contact(self, Contact contact) except -1:
        """Write a contact as an array: id, created_ms, traits, segments, points, history, frequency, trials, ended runs, aliases,
        runs. `ext.kernel.contact_reader` reads it."""
        cdef bytes trials
        self.array(11)
        self.text(contact.id)
        self.integer(contact.created_ms)
        self.map(contact.kept)
        self.texts(contact.segments)
        self.integer(contact.points)
        _pack_history(self, contact)
        _pack_marks(self, contact)
        if trials_of(contact) is None:
            self.array(0)
        else:
            trials = pack_value(contact.packed_trials())
            self.raw(PyBytes_AS_STRING(trials), PyBytes_GET_SIZE(trials))
        _pack_ended(self, contact)
        self.texts(aliases_of(contact))
        _pack_runs(self, contact)
        return 0

    cdef int record(self, Contact contact) except -1:
        """Add one to the part, as `[id, packed]`. What it takes is known afterwards: its header is filled in then."""
        cdef Py_ssize_t start
        if self.size == 0:
            memcpy(self.more(PART_HEADER), PART, PART_HEADER - 4)
            self.size = PART_HEADER
        self.array(2)
        self.text(contact.id)
        self.more(BIN32_HEADER)[0] = BIN32
        self.size += BIN32_HEADER
        start = self.size
        self.contact(contact)
        put_u32(self.out + start - 4, <uint32_t>(self.size - start))
        self.records += 1
        return 0

    cdef bytes taken(self):
        """Return the part with all records added since the last one, and begin the next."""
        cdef bytes part
        if self.size == 0:
            return PART[:PART_HEADER - 4] + bytes(4)
        put_u32(self.out + PART_HEADER - 4, <uint32_t>self.records)
        part = PyBytes_FromStringAndSize(<char*>self.out, self.size)
        self.size = self.records = 0
        return part


cdef int _pack_history(Packing to, Contact contact) except -1:
    """Write `[[name, instants, [[property, numbers]]]]`."""
    cdef Series* series = contact.series
    cdef const int64_t* instants
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t columns, at
    cdef int32_t i
    cdef uint8_t* out
    while series != NULL:
        to.listed(n, series)
        series = series.next
        n += 1
    if n > 1:
        qsort(to.order, n, sizeof(void*), _by_name)
    to.array(n)
    for at in range(n):
        series = <Series*>to.order[at]
        to.array(3)
        to.integer(series.name)
        to.array(series.size)
        out = to.more(series.size * NUMBER_BYTES_MAX)
        instants = instants_of(series)
        for i in range(series.size):
            out = put_integer(out, instants[i])
        to.size = out - to.out
        columns = 0
        for i in range(series.columns):
            columns += not history_empty(series, i)
        to.array(columns)
        for i in range(series.columns):
            if not history_empty(series, i):
                _pack_column(to, properties_of(series)[i], column_of(series, i), series.size)
    return 0


cdef int _pack_column(Packing to, int64_t property, const double* values, int32_t size) except -1:
    cdef int32_t i
    cdef uint8_t* out
    to.array(2)
    to.integer(property)
    to.array(size)
    out = to.more(size * NUMBER_BYTES_MAX)
    for i in range(size):
        out = put_double(out, values[i])
    to.size = out - to.out
    return 0


cdef int _pack_marks(Packing to, Contact contact) except -1:
    """Write `[[flow, launches, reserved, once, last_ms or nil]]`."""
    cdef Marks* marks = contact.marks
    cdef Mark* mark
    cdef Py_ssize_t n = 0 if marks == NULL else marks.size
    cdef Py_ssize_t at
    cdef uint8_t* out
    for at in range(n):
        to.listed(at, &marks.all[at])
    if n > 1:
        qsort(to.order, n, sizeof(void*), _by_flow)
    to.array(n)
    for at in range(n):
        mark = <Mark*>to.order[at]
        to.array(5)
        out = to.more(5 * NUMBER_BYTES_MAX)
        out = put_integer(put_integer(put_integer(out, mark.flow), mark.launches), mark.reserved)
        out[0] = YES if mark.once else NO
        out += 1
        if mark.last_ms == INT64_MIN:
            out[0] = NIL
            out += 1
        else:
            out = put_integer(out, mark.last_ms)
        to.size = out - to.out
    return 0


cdef int _pack_ended(Packing to, Contact contact) except -1:
    """Write `[[run, flow, version, node, entered_ms, left_ms, reason]]`, oldest first."""
    cdef Py_ssize_t n = 0 if contact.ended == NULL else contact.ended.size
    cdef Py_ssize_t at
    cdef Ended* ended
    cdef uint8_t* out
    to.array(n)
    for at in range(n):
        ended = &contact.ended.all[at]
        to.array(7)
        out = to.more(7 * NUMBER_BYTES_MAX)
        out = put_integer(put_integer(put_integer(put_integer(out, ended.run), ended.flow), ended.version), ended.node)
        to.size = put_integer(put_integer(put_integer(out, ended.entered_ms), ended.left_ms), ended.reason) - to.out
    return 0


cdef int _pack_runs(Packing to, Contact contact) except -1:
    """Write the runs in progress, in order of their ids."""
    cdef void* run = contact.runs
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t at
    while run != NULL:
        to.listed(n, run)
        run = (<Run>run).next_of_contact
        n += 1
    if n > 1:
        qsort(to.order, n, sizeof(void*), _by_id)
    to.array(n)
    for at in range(n):
        _pack_run(to, <Run>to.order[at])
    return 0


cdef int _pack_run(Packing to, Run run) except -1:
    """Write a run without its contact, as an array of RUN_FIELDS."""
    cdef dict codes = codes_of(run)
    cdef bytes pairs
    cdef uint8_t* out
    to.array(RUN_FIELDS)
    out = to.more(12 * NUMBER_BYTES_MAX)
    out = put_integer(put_integer(put_integer(out, run.id), (<FlowCore>run.flow).no), run.version)
    out = put_integer(put_integer(put_integer(out, run.node), run.entered_ms), run.logical_ms)
    out = put_integer(put_integer(out, run.due_ms), run.arrival)
    out[0] = YES if run.armed else NO
    out[1] = YES if run.counted else NO
    to.size = put_integer(out + 2, run.depth) - to.out
    to.text(run.event_name)
    to.integer(run.event_ms)
    to.map(run.event)
    if codes:
        pairs = pack_value(sorted(codes.items()))
        to.raw(PyBytes_AS_STRING(pairs), PyBytes_GET_SIZE(pairs))
    else:
        to.data(None)
    to.text(run_key_of(run))
    to.more(1)[0] = YES if run.satisfied else NO
    to.size += 1
    return to.data(acted_of(run))


def pack_contact(Contact contact not None):
    """Return a contact with its runs as one MessagePack array; the same state gives the same bytes."""
    cdef Packing packing = Packing()
    packing.contact(contact)
    return PyBytes_FromStringAndSize(<char*>packing.out, packing.size)
