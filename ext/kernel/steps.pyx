"""Literal actions of a step (rules 12, 16, 17), carried out without Python.

`engine.kernel.actions` says what each action means and how it may fail; this is the short way for an
action without templates that succeeds. Anything unusual is left to `Callbacks.act` before anything was changed: a
failure, which monitoring reports; subscriptions that change; a value that is no number. So no rule and no text is
written twice, except for the outcome "not sent", which is common.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from ext.kernel.fast_action cimport ASK, EMIT, POINTS, SEGMENT, SEND, UPDATE, Deed
from ext.kernel.trait_edits cimport UNUSUAL
from ext.kernel.flow cimport EXECUTED, FAILED, NOT_SENT, FlowCore, NodeCore
from ext.maps.packed_map cimport Kept, is_larger, plain, release
from ext.kernel.contact cimport Contact, set_traits
from ext.kernel.core cimport Core
from ext.kernel.run cimport Run
from ext.expressions.value cimport LIST, MAP, STRING, Value, read
from ext.maps.msgpack cimport skip
from ext.maps.packed_map cimport find_among

from msgspec.msgpack import decode as unpack_value
from msgspec.msgpack import encode as pack_value

from engine.limits import TRAITS_BYTES_MAX
from engine.model import Effect

cdef Py_ssize_t TRAITS_MAX = TRAITS_BYTES_MAX
cdef int32_t FOR_PYTHON = 0x7FFF  # instead of an outcome: nothing was done, `Callbacks.act` is to do it


cdef inline const uint8_t* _find(const uint8_t* map, bytes key) noexcept:
    """Return the value under a key of a packed map, or NULL."""
    cdef Value box = read(map)
    return find_among(box.of.p, box.n, <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))


cdef bint _says(const uint8_t* at, bytes text) noexcept:
    """Whether the value is a string, and this one."""
    cdef Value value = read(at)
    cdef uint32_t size = PyBytes_GET_SIZE(text)
    return value.kind == STRING and value.n == size and memcmp(value.of.p, PyBytes_AS_STRING(text), size) == 0


cdef bint _is_nothing(const uint8_t* at) noexcept:
    """Whether the value is false in Python."""
    cdef Value value = read(at)
    if value.kind in (STRING, LIST, MAP):
        return value.n == 0
    return at[0] in (0x00, 0xc0, 0xc2) or (at[0] == 0xcb and value.of.d == 0)


cdef object _unpacked(const uint8_t* at):
    """Return a packed value as a Python object."""
    cdef Value value = read(at)
    if value.kind == STRING:
        return PyUnicode_DecodeUTF8(<const char*>value.of.p, value.n, NULL)
    return unpack_value(plain(at))


cdef Py_ssize_t _place(tuple segments, str segment) except -1:
    """Return the index of a segment among sorted ones, or the index where it would be."""
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
    """Whether a segment is among sorted ones."""
    cdef Py_ssize_t place = _place(segments, segment)
    return place < len(segments) and <str>segments[place] == segment


cdef int32_t act(Core core, Run run, NodeCore node, list entries) except -1:
    """Carry out the actions of a step in order, and append an entry for each to `entries` (None: no trace is wanted).

    Return the outcome of the step (rule 12): executed if one action was, else not sent if one was not sent, else
    failed. That is the order of the outcomes as numbers."""
    cdef int32_t what
    cdef int32_t outcome = FAILED
    cdef Deed deed
    cdef object entry
    for deed in node.deeds:
        what = _carry_out(core, run, node, deed)
        if what == FOR_PYTHON or (what == NOT_SENT and entries is not None):
            what, entry = core.callbacks.act(run, node, deed.place)
            core.registry.revision += 1
        elif entries is not None:
            entry = {**deed.entry, "outcome": "executed"}
        if entries is not None:
            entries.append(entry)
        outcome = min(outcome, what)
    return outcome


cdef int32_t _carry_out(Core core, Run run, NodeCore node, Deed deed) except -1:
    """Carry out one action; return EXECUTED, NOT_SENT or FOR_PYTHON."""
    if deed.code == SEND:
        return _send(core, run, node, deed)
    if deed.code == UPDATE:
        return _update(core, run, deed)
    if deed.code == SEGMENT:
        return _segment(core, run, deed)
    if deed.code == POINTS:
        return _points(core, run, deed)
    if deed.code == EMIT:
        core.emit(run.contact, deed.name, deed.packed, run.depth + 1, True)
        return EXECUTED
    return FOR_PYTHON


cdef int32_t _send(Core core, Run run, NodeCore node, Deed deed) except -1:
    """Send a message (rule 17). The effect's id is made of the run, the node and the action's place (rule 16)."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef Contact contact = run.contact
    cdef const uint8_t* traits = contact.kept.map
    cdef const uint8_t* address = NULL
    cdef const uint8_t* status
    if core.channels is not None and deed.channel not in core.channels:
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
        core.outbox.next_seq(),
        f"{flow.id}.{run.id}{deed.suffix}",
        core.now_ms,
        contact.id,
        flow.id,
        flow.version,
        run.id,
        node.id,
        deed.channel,
        None if address == NULL else _unpacked(address),
        deed.message,
    )
    core.outbox.add(effect)
    core.effects.append(effect)
    return EXECUTED


cdef int32_t _points(Core core, Run run, Deed deed) except -1:
    """Add to the points, or take from them."""
    cdef Contact contact = run.contact
    cdef int64_t points = contact.points
    if (deed.change > 0 and points > INT64_MAX - deed.change) or points + deed.change < 0:
        return FOR_PYTHON
    if deed.change:
        core.registry.touch(contact)
        contact.points = points + deed.change
        if core.subscriptions.wants("Points Changed"):
            detail = {"change": deed.change, "points": contact.points}
            core.emit(contact, "Points Changed", pack_value(detail), run.depth + 1, False)
    return EXECUTED


cdef int32_t _segment(Core core, Run run, Deed deed) except -1:
    """Add and remove segments, all at once. The events come after that, those of segments entered first."""
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
    core.registry.touch(contact)
    segments = tuple(members)
    contact.segments = deed.add if segments == deed.add else segments  # one object for a million contacts
    for i in range(entering + len(deed.remove)):
        name = "Segment Entered" if i < entering else "Segment Left"
        if changed >> i & 1 and core.subscriptions.wants(name):
            core.emit(contact, name, <bytes>deed.events[i], run.depth + 1, False)
    return EXECUTED


cdef int32_t _update(Core core, Run run, Deed deed) except -1:
    """Change traits, which are never `subscriptions` here."""
    cdef Contact contact = run.contact
    cdef Kept* after = deed.edits.edited(contact.kept)
    try:
        if after == UNUSUAL or is_larger(after, TRAITS_MAX):
            return FOR_PYTHON
        if after != contact.kept:
            core.registry.touch(contact)
            set_traits(contact, after)
            if core.subscriptions.wants("Contact Updated"):
                detail = {"changed": deed.edits.changed_names()}
                core.emit(contact, "Contact Updated", pack_value(detail), run.depth + 1, False)
        return EXECUTED
    finally:
        release(after)
