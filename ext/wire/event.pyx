"""One input of a contact, and how a message that msgspec has decoded becomes one.

An event holds no Python object of its own but the bytes it came in: its texts are places in them. An engine takes
hundreds of thousands a second and asks most of them for nothing but the bytes; a `str` is made where somebody wants one.

Most lines are read by `ext.wire.line_reader` in one pass. What it leaves to msgspec comes through `convert`, which is also the
one place that says what is wrong with a message.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport INT64_MIN, int64_t

from ext.wire.instant cimport parse_utf8

from msgspec.json import decode as decode_json

from engine.limits import CONTACT_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX, JSON_DEPTH_MAX, MESSAGE_ID_BYTES_MAX

cdef Py_ssize_t ID_MAX = CONTACT_ID_BYTES_MAX
cdef Py_ssize_t NAME_MAX = EVENT_NAME_BYTES_MAX
cdef Py_ssize_t MESSAGE_ID_MAX = MESSAGE_ID_BYTES_MAX
cdef int DEPTH_MAX = JSON_DEPTH_MAX

cdef bytes EMPTY = b"{}"


@cython.final
@cython.no_gc
@cython.freelist(8192)
cdef class Event:
    def __init__(
        self,
        Kind kind,
        str contact not None,
        str name not None="",
        bytes body not None=EMPTY,
        int64_t timestamp_ms=INT64_MIN,
        str message_id=None,
        str previous=None,
    ):
        """Make an event of Python's values: all of them go into one text, into which it points."""
        cdef list parts = [body, contact.encode(), name.encode(), (message_id or "").encode(), (previous or "").encode()]
        cdef Py_ssize_t at = 0
        self.kind = kind
        self.timestamp_ms = timestamp_ms
        self.source = b"".join(parts)
        self.numbers_noted = -1
        self.json = _part(self.source, &at, parts[0])
        self.contact_id = _part(self.source, &at, parts[1])
        self.event_name = _part(self.source, &at, parts[2])
        self.message = _part(self.source, &at, parts[3])
        self.previous_id = _part(self.source, &at, parts[4])

    @property
    def contact(self):
        return text_of(self.contact_id)

    @property
    def name(self):
        return text_of(self.event_name)

    @property
    def message_id(self):
        return text_of(self.message) if self.message.size else None

    @property
    def previous(self):
        return text_of(self.previous_id) if self.previous_id.size else None

    @property
    def body(self):
        return self.json.at[: self.json.size]

    def __repr__(self):
        return f"<Event {('track', 'identify', 'alias')[<int>self.kind]} {self.name!r} of {self.contact!r}>"


cdef Event new_event(bytes source):
    """Make an event whose texts, all empty so far, will be places in `source`."""
    cdef Event event = Event.__new__(Event)
    event.source = source
    event.timestamp_ms = INT64_MIN
    event.numbers_noted = -1
    return event


cdef str text_of(Text text):
    return PyUnicode_DecodeUTF8(text.at, text.size, NULL)


cdef Text _part(bytes source, Py_ssize_t* at, bytes part):
    """Take the part that comes next in the source."""
    cdef Text text = Text(at=PyBytes_AS_STRING(source) + at[0], size=<uint32_t>PyBytes_GET_SIZE(part))
    at[0] += PyBytes_GET_SIZE(part)
    return text


cdef struct Survey:
    int depth        # how deep objects and arrays nest
    bint unusual     # a number with an exponent, or of 18 digits: only a decoder can say whether it has a value
    bint plain       # every line holds one value, and every value lies on one line
    Py_ssize_t longest  # bytes of the longest line


cdef Survey _survey(const char* text, Py_ssize_t length) noexcept nogil:
    """Scan lines of JSON in one pass. For text that is no JSON the result is arbitrary, but it ends."""
    cdef Survey seen = Survey(depth=0, unusual=False, plain=True, longest=0)
    cdef int depth = 0
    cdef int digits = 0
    cdef int values = 0
    cdef bint quoted = False
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t line = 0
    cdef char c
    while at < length:
        c = text[at]
        at += 1
        if quoted:
            if c == c"\\":
                at += 1
            elif c == c'"':
                quoted = False
            continue
        if c"0" <= c <= c"9":
            digits += 1
            if digits == 18:
                seen.unusual = True
            continue
        if c == c'"':
            quoted = True
        elif c == c"{" or c == c"[":
            depth += 1
            if depth > seen.depth:
                seen.depth = depth
        elif c == c"}" or c == c"]":
            depth -= 1
            if depth == 0:
                values += 1
        elif c == c"\n":
            if depth != 0 or values != 1:
                seen.plain = False
            values = 0
            seen.longest = max(seen.longest, at - 1 - line)
            line = at
        elif digits and (c == c"e" or c == c"E"):
            seen.unusual = True
        digits = 0
    seen.longest = max(seen.longest, length - line)
    if depth != 0 or (length and text[length - 1] != c"\n" and values != 1):
        seen.plain = False
    return seen


def survey(bytes lines not None):
    cdef Survey seen = _survey(PyBytes_AS_STRING(lines), PyBytes_GET_SIZE(lines))
    return seen.depth, bool(seen.plain), seen.longest


def depth_of(bytes json not None):
    return _survey(PyBytes_AS_STRING(json), PyBytes_GET_SIZE(json)).depth


cdef inline Py_ssize_t _utf8_length(str text) except -1:
    cdef Py_ssize_t length = 0
    PyUnicode_AsUTF8AndSize(text, &length)
    return length


cdef tuple _convert_one(object message, list out):
    """Append the event of a message, or return `(code, sentence)` for what is wrong with it."""
    cdef Kind kind = <Kind><int>message.kind
    cdef int64_t timestamp_ms = INT64_MIN
    cdef str contact = message.userId
    cdef str message_id = message.messageId
    cdef str previous = None
    cdef bytes body
    cdef Py_ssize_t length
    cdef const char* text
    cdef Survey seen
    if contact is None or not contact:
        contact = message.anonymousId
        if contact is None or not contact:
            return ("no_contact", "A message names its contact in `userId` or `anonymousId`.")
    if _utf8_length(contact) > ID_MAX:
        return ("contact_too_long", f"A contact id has at most {ID_MAX} bytes.")
    if kind == TRACK and not (0 < _utf8_length(message.event) <= NAME_MAX):
        return ("bad_event_name", f"`event` is a name of 1 to {NAME_MAX} bytes.")
    if message_id is not None and _utf8_length(message_id) > MESSAGE_ID_MAX:
        return ("message_id_too_long", f"`messageId` has at most {MESSAGE_ID_MAX} bytes.")
    stamp = message.timestamp
    if stamp is not None:
        text = PyUnicode_AsUTF8AndSize(stamp, &length)
        timestamp_ms = parse_utf8(text, length)
        if timestamp_ms == INT64_MIN:
            return ("bad_timestamp", "`timestamp` is an instant with an offset, such as 2026-08-10T13:00:00Z.")
    if kind == ALIAS:
        previous = message.previousId
        if not (0 < _utf8_length(previous) <= ID_MAX):
            return ("bad_previous_id", f"`previousId` is a contact id of 1 to {ID_MAX} bytes.")
    body = bytes(message.body)
    text = PyBytes_AS_STRING(body)
    if text[0] == c"n":
        body = EMPTY
    elif text[0] != c"{":
        return ("not_an_object", "`properties` and `traits` are objects.")
    else:
        seen = _survey(text, PyBytes_GET_SIZE(body))
        if seen.depth > DEPTH_MAX:
            return ("too_deep", f"Properties and traits nest at most {DEPTH_MAX} levels deep.")
        if seen.unusual:
            try:
                decode_json(body)
            except (ValueError, OverflowError):
                return ("number_out_of_range", "A number in it is larger than a double can hold.")
    out.append(Event(kind, contact, message.event, body, timestamp_ms, message_id, previous))
    return None


def convert(messages, Py_ssize_t first_line):
    cdef list events = []
    cdef list rejected = []
    cdef Py_ssize_t line = first_line
    cdef tuple wrong
    for message in messages:
        wrong = _convert_one(message, events)
        if wrong is not None:
            events.append(None)
            rejected.append((line, wrong[0], wrong[1]))
        line += 1
    return events, rejected


def narrow(value):
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        return float(value)
    if type(value) is dict:
        return {key: narrow(item) for key, item in value.items()}
    if type(value) is list:
        return [narrow(item) for item in value]
    return value
