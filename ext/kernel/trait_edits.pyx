"""Literal changes to a map that is kept, made in place: entries are replaced, taken away, added; the rest is copied.

An `update_customer` without templates changes a trait or two of ten. Unpacking all of them into a dict, comparing and
packing it again takes some microseconds; finding the keys and copying the bytes between them takes a tenth of one.

What comes out is byte for byte what unpacking, changing, packing and keeping would give, by the rules of
`engine.kernel.contacts.change_traits`: an entry that is replaced keeps its place, a new one comes last. Where equal
bytes do not decide whether a value has changed (0.0 and -0.0, maps in another order), where a sum has no place or is of
no numbers, and for maps so large that looking for each key would take longer, the answer is "unusual", and the caller
goes the long way.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport isfinite
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from ext.maps.packed_map cimport FOR_EVER, Kept, kept_copy, kept_of, new_kept, numbered, plain_map, release, share
from ext.expressions.value cimport read
from ext.maps.msgpack cimport read_f64, read_u16, skip
from ext.maps.packed_map cimport find_entry
from ext.maps.msgpack cimport NIL, head_size, put_box_head, put_double, put_integer
from ext.expressions.value cimport DOUBLE, INT, Value

from msgspec.msgpack import encode as pack_value

cdef uint32_t LOOKS_MAX = 4_096  # entries times edits; beyond, a dict is the quicker way
cdef uint32_t KEY_BYTES_MAX = 255

UNUSUAL = kept_copy(<const uint8_t*>b"\xc0", 1)
UNUSUAL.references = FOR_EVER

cdef bint _is_box(const uint8_t* p) noexcept nogil:
    """Whether a list or a map begins there."""
    return 0x80 <= p[0] < 0xa0 or 0xdc <= p[0] <= 0xdf


cdef bint _undecided(const uint8_t* one, const uint8_t* other) noexcept nogil:
    """Whether two values whose bytes differ may be equal all the same."""
    if one[0] == 0xcb and other[0] == 0xcb:
        return read_f64(one + 1) == read_f64(other + 1)
    return _is_box(one) and _is_box(other)


cdef bint _add(const Edit* edit, const uint8_t* had, Piece* piece) noexcept nogil:
    """Add the edit's number to the value there (NULL: no value yet). Return False if Python has to do it."""
    cdef int64_t whole = 0
    cdef double real = 0
    cdef Value value
    cdef bint double_had = False
    if had != NULL:
        value = read(had)
        double_had = value.kind == DOUBLE
        if had[0] == 0xcf and had[1] & 0x80 or not (double_had or value.kind == INT):
            return False
        if double_had:
            real = value.of.d
        else:
            whole = value.of.i
    if double_had or edit.adds_double:
        real = (real if double_had else <double>whole) + (edit.real if edit.adds_double else <double>edit.whole)
        if not isfinite(real):
            return False
        piece.value_n = put_double(piece.number, real) - piece.number
    else:
        if (edit.whole > 0 and whole > INT64_MAX - edit.whole) or (edit.whole < 0 and whole < INT64_MIN - edit.whole):
            return False
        piece.value_n = put_integer(piece.number, whole + edit.whole) - piece.number
    piece.value = piece.number
    return True


@cython.final
cdef class Edits:
    """Changes to a map, planned: `changes` by name (None takes the key away), then `sums`, numbers to add to others."""

    def __init__(self, dict changes not None, dict sums not None):
        cdef Edit* edit
        cdef bytes text, key, value
        assert not changes.keys() & sums.keys() and len(changes) + len(sums) <= EDITS_MAX
        self.names = (*changes, *sums)
        self.kept = []
        for name in self.names:
            edit = &self.edits[self.size]
            text = name.encode()
            key = numbered(pack_value({name: 0}))
            key = key[1 : len(key) - 1]
            edit.text = <const uint8_t*>PyBytes_AS_STRING(text)
            edit.text_n = PyBytes_GET_SIZE(text)
            edit.key = <const uint8_t*>PyBytes_AS_STRING(key)
            edit.key_n = PyBytes_GET_SIZE(key)
            assert edit.text_n <= KEY_BYTES_MAX
            self.kept += [text, key]
            if name in sums:
                edit.adds = True
                edit.adds_double = isinstance(sums[name], float)
                if edit.adds_double:
                    edit.real = sums[name]
                else:
                    edit.whole = sums[name]
            elif changes[name] is not None:
                value = numbered(pack_value(changes[name]))
                edit.value = <const uint8_t*>PyBytes_AS_STRING(value)
                edit.value_n = PyBytes_GET_SIZE(value)
                self.kept.append(value)
            self.size += 1

    def apply(self, bytes map not None):
        """Return `(map afterwards, sorted names whose values changed)`, None for an unusual case. For tests."""
        cdef Kept* before = kept_of(map)
        cdef Kept* after = NULL
        try:
            after = self.edited(before)
            if after == UNUSUAL:
                return None
            return map if after == before else plain_map(after), self.changed_names()
        finally:
            release(before)
            release(after)

    cdef list changed_names(self):
        """Return the sorted names that changed in the map edited last."""
        return sorted([name for i, name in enumerate(self.names) if self.changed >> i & 1])

    cdef Kept* edited(self, Kept* map) except NULL:
        """Return the map with the changes made, to be released: the same one if none changed anything, UNUSUAL if Python has to do it."""
        cdef const uint8_t* start = map.map
        cdef const uint8_t* end = skip(start)
        cdef const uint8_t* first = start + (1 if start[0] < 0x90 else 3)
        cdef uint32_t count
        cdef uint32_t entries
        cdef Piece[EDITS_MAX] pieces
        cdef Py_ssize_t size = end - first
        cdef int i, found
        if start[0] & 0xf0 == 0x80:
            count = start[0] & 0x0f
        elif start[0] == 0xde:
            count = read_u16(start + 1)
        else:
            return UNUSUAL
        if count * self.size > LOOKS_MAX:
            return UNUSUAL
        entries = count
        self.changed = 0
        for i in range(self.size):
            found = self.find(&self.edits[i], first, count, &pieces[i])
            if found < 0:
                return UNUSUAL
            if found == 0:
                continue
            self.changed |= <uint32_t>1 << i
            size += pieces[i].value_n - (pieces[i].end - pieces[i].begin)
            if pieces[i].begin == NULL:
                entries += 1
                size += self.edits[i].key_n
            elif pieces[i].value == NULL:
                entries -= 1
        if self.changed == 0:
            return share(map)
        return self.joined(first, end, pieces, entries, size)

    cdef int find(self, Edit* edit, const uint8_t* first, uint32_t count, Piece* piece) noexcept:
        """Find out what an edit changes: return 1, 0 if it changes nothing, -1 if Python has to do it."""
        cdef const uint8_t* entry
        cdef const uint8_t* had = find_entry(first, count, edit.text, edit.text_n, &entry)
        piece.begin = piece.end = had
        piece.value = edit.value
        piece.value_n = edit.value_n
        if had != NULL:
            if had[0] == NIL:
                return -1
            piece.end = skip(had)
        if edit.adds and not _add(edit, had, piece):
            return -1
        if piece.value == NULL:
            if had == NULL:
                return 0
            piece.begin = entry
            return 1
        if had != NULL:
            if piece.end - had == <Py_ssize_t>piece.value_n and memcmp(had, piece.value, piece.value_n) == 0:
                return 0
            if _undecided(had, piece.value):
                return -1
        return 1

    cdef Kept* joined(
        self, const uint8_t* first, const uint8_t* end, Piece* pieces, uint32_t entries, Py_ssize_t size
    ) except NULL:
        """Make the map of `entries` entries that take `size` bytes: those of the old one with the changed pieces replaced."""
        cdef int[EDITS_MAX] order
        cdef int n = 0
        cdef int i, at
        cdef Kept* whole = new_kept(size + head_size(entries))
        cdef uint8_t* out = whole.map
        for i in range(self.size):
            if self.changed >> i & 1 and pieces[i].begin != NULL:
                at = n
                while at > 0 and pieces[order[at - 1]].begin > pieces[i].begin:
                    order[at] = order[at - 1]
                    at -= 1
                order[at] = i
                n += 1
        out = put_box_head(out, entries, True)
        for at in range(n):
            i = order[at]
            memcpy(out, first, pieces[i].begin - first)
            out += pieces[i].begin - first
            memcpy(out, pieces[i].value, pieces[i].value_n)
            out += pieces[i].value_n
            first = pieces[i].end
        memcpy(out, first, end - first)
        out += end - first
        for i in range(self.size):
            if self.changed >> i & 1 and pieces[i].begin == NULL:
                memcpy(out, self.edits[i].key, self.edits[i].key_n)
                out += self.edits[i].key_n
                memcpy(out, pieces[i].value, pieces[i].value_n)
                out += pieces[i].value_n
        return whole
