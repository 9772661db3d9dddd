"""What a step does (rules 12, 16, 17), where its actions are literal: carried out without Python.

`engine.kernel.actions` says what each action means and how it may fail; this is the short way of the same for an
action without templates that goes as one would wish. Whatever is out of the ordinary (a failure, which monitoring
wants to know of; subscriptions that change; a value that is no number) is left to the `host`, before anything was
changed:

    act(run, node, place) -> (what, entry)      carry out one action; its outcome, and its entry in the trace

so no rule and no text is written down twice but for the outcome "not sent", which happens too often to be rare.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from ext.kernel.fast_action cimport ASK, EMIT, POINTS, SEGMENT, SEND, UPDATE, Deed
from ext.kernel.trait_edits cimport UNUSUAL
from ext.kernel.flow cimport EXECUTED, FAILED, NOT_SENT, FlowCore, NodeCore
from ext.maps.packed_map cimport Kept, is_larger, plain, release
from ext.kernel.records cimport Contact, Run, set_traits
from ext.kernel.registry cimport Roster
from ext.expressions.value cimport LIST, MAP, STRING, Value, find_among, read, skip

from msgspec.msgpack import decode as unpack_value
from msgspec.msgpack import encode as pack_value

from engine.limits import TRAITS_BYTES_MAX
from engine.model import Effect

cdef Py_ssize_t TRAITS_MAX = TRAITS_BYTES_MAX
cdef int32_t FOR_PYTHON = 0x7FFF  # instead of an outcome: nothing was done, the host is to do it


cdef inline const uint8_t* _find(const uint8_t* map, bytes key) noexcept:
    """The value under a key of a packed map, or NULL."""
    cdef Value box = read(map)
    return find_among(box.of.p, box.n, <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


cdef bint _says(const uint8_t* at, bytes text) noexcept:
    """Whether a string is there, and this one."""
    cdef Value value = read(at)
    cdef uint32_t size = PyBytes_GET_SIZE(text)
    return value.kind == STRING and value.n == size and memcmp(value.of.p, PyBytes_AS_STRING(text), size) == 0


cdef bint _is_nothing(const uint8_t* at) noexcept:
    """Whether Python takes the value there for false."""
    cdef Value value = read(at)
    if value.kind in (STRING, LIST, MAP):
        return value.n == 0
    return at[0] in (0x00, 0xc0, 0xc2) or (at[0] == 0xcb and value.of.d == 0)


cdef object _unpacked(const uint8_t* at):
    cdef Value value = read(at)
    if value.kind == STRING:
        return PyUnicode_DecodeUTF8(<const char*>value.of.p, value.n, NULL)
    return unpack_value(plain(at))


cdef Py_ssize_t _place(tuple segments, str segment) except -1:
    """Where a segment is, or would be, among sorted ones."""
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = len(segments)
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) // 2
        if <str>segments[middle] < segment:
            low = middle + 1
        else:
            high = middle
    return low


cdef bint _is_member(tuple segments, str segment) except -1:
    cdef Py_ssize_t place = _place(segments, segment)
    return place < len(segments) and <str>segments[place] == segment


cdef class Acting(Roster):
    """Steps carried out. `Walk` and `Path` build on it."""

    cpdef bint wants(self, str name) except -1:
        """Whether an event of the engine's own of this name would mean anything to anybody; known to `Path`."""
        return False

    cpdef int emit(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1:
        """Queue an event; `Path` does."""
        return 0

    cdef int32_t act(self, Run run, NodeCore node, list entries) except -1:
        """Carry out the actions in order, and tell of each in `entries` (None: nobody wants to know). Rule 12: executed
        if one was, else not sent if one was not sent, else failed, which is the order of the outcomes as numbers."""
        cdef int32_t what
        cdef int32_t outcome = FAILED
        cdef Deed deed
        cdef object entry
        for deed in node.deeds:
            what = self.carry_out(run, node, deed)
            if what == FOR_PYTHON or (what == NOT_SENT and entries is not None):
                what, entry = self.host.act(run, node, deed.place)
                self.stale = True
            elif entries is not None:
                entry = {**deed.entry, "outcome": "executed"}
            if entries is not None:
                entries.append(entry)
            outcome = min(outcome, what)
        return outcome

    cdef int32_t carry_out(self, Run run, NodeCore node, Deed deed) except -1:
        """EXECUTED, NOT_SENT, or FOR_PYTHON."""
        if deed.code == SEND:
            return self.send(run, node, deed)
        if deed.code == UPDATE:
            return self.update(run, deed)
        if deed.code == SEGMENT:
            return self.segment(run, deed)
        if deed.code == POINTS:
            return self.points(run, deed)
        if deed.code == EMIT:
            self.emit(run.contact, deed.name, deed.packed, run.depth + 1, True)
            return EXECUTED
        return FOR_PYTHON

    cdef int32_t send(self, Run run, NodeCore node, Deed deed) except -1:
        """Rule 17. The effect's id is made of the run, the node and the action's place (rule 16)."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef Contact contact = run.contact
        cdef const uint8_t* traits = contact.kept.map
        cdef const uint8_t* address = NULL
        cdef const uint8_t* status
        if self.channels is not None and deed.channel not in self.channels:
            return FOR_PYTHON
        if deed.address_key is not None:
            address = _find(traits, deed.address_key)
            if address == NULL or _is_nothing(address):
                return NOT_SENT
        status = _find(traits, b"subscriptions")
        if status != NULL and read(status).kind == MAP:
            status = _find(status, deed.channel_key)
            if status != NULL and (
                _says(status, b"unsubscribed") or (not deed.transactional and _says(status, b"unconfirmed"))
            ):
                return NOT_SENT
        if deed.empty:
            return NOT_SENT
        effect = Effect(
            self.outbox.next_seq(),
            f"{flow.id}.{run.id}{deed.suffix}",
            self.now_ms,
            contact.id,
            flow.id,
            flow.version,
            run.id,
            node.id,
            deed.channel,
            None if address == NULL else _unpacked(address),
            deed.message,
        )
        self.outbox.add(effect)
        self.effects.append(effect)
        return EXECUTED

    cdef int32_t points(self, Run run, Deed deed) except -1:
        cdef Contact contact = run.contact
        cdef int64_t points = contact.points
        if (deed.change > 0 and points > INT64_MAX - deed.change) or points + deed.change < 0:
            return FOR_PYTHON
        if deed.change:
            self.touch(contact)
            contact.points = points + deed.change
            if self.wants("Points Changed"):
                detail = {"change": deed.change, "points": contact.points}
                self.emit(contact, "Points Changed", pack_value(detail), run.depth + 1, False)
        return EXECUTED

    cdef int32_t segment(self, Run run, Deed deed) except -1:
        """All that changes changes at once; then the events, first of those entered."""
        cdef Contact contact = run.contact
        cdef tuple had = contact.segments
        cdef tuple segments
        cdef list members = None
        cdef uint64_t changed = 0
        cdef Py_ssize_t entering = len(deed.add)
        cdef Py_ssize_t i
        for i in range(entering + len(deed.remove)):
            segment = <str>deed.add[i] if i < entering else <str>deed.remove[i - entering]
            if _is_member(had, segment) == (i < entering):
                continue
            if members is None:
                members = list(had)
            if i < entering:
                members.append(segment)
            else:
                members.remove(segment)
            changed |= <uint64_t>1 << i
        if members is None:
            return EXECUTED
        members.sort()
        self.touch(contact)
        segments = tuple(members)
        contact.segments = deed.add if segments == deed.add else segments  # one object for a million contacts
        for i in range(entering + len(deed.remove)):
            name = "Segment Entered" if i < entering else "Segment Left"
            if changed >> i & 1 and self.wants(name):
                self.emit(contact, name, <bytes>deed.events[i], run.depth + 1, False)
        return EXECUTED

    cdef int32_t update(self, Run run, Deed deed) except -1:
        """Traits, which are never `subscriptions` here."""
        cdef Contact contact = run.contact
        cdef Kept* after = deed.edits.edited(contact.kept)
        try:
            if after == UNUSUAL or is_larger(after, TRAITS_MAX):
                return FOR_PYTHON
            if after != contact.kept:
                self.touch(contact)
                set_traits(contact, after)
                if self.wants("Contact Updated"):
                    detail = {"changed": deed.edits.changed_names()}
                    self.emit(contact, "Contact Updated", pack_value(detail), run.depth + 1, False)
            return EXECUTED
        finally:
            release(after)
