"""Lines of messages, read in one pass, without an object in between.

Most lines are a `track`, an `identify` or an `alias` without escapes in what the engine asks of them. Such a line is
read here: whether it is JSON, what its envelope says, which numbers its body has at the top. Reading it with msgspec
and looking at the result takes four times as long, most of it for objects that the next line throws away.

Whatever is not plain (an escape in an envelope's text, a number with an exponent or of 18 digits, a key given twice, a
kind of message that is made of others, and everything that is wrong) is left to `engine.wire`, which knows the rules and
has the sentences. A line is taken here only if it would be taken there, as the same event.

Text is passed over eight bytes at a time: quotes, backslashes, control characters and what is not ASCII show in one
word by arithmetic on all its bytes at once (Mycroft, 1987). Rejected: an index of all structural characters as simdjson
makes it, which pays for documents of kilobytes; a message has three hundred bytes and a dozen keys.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from ext.wire.event cimport ALIAS, IDENTIFY, NUMBERS_NOTED, TRACK, Event, Text, new_event
from ext.wire.instant cimport parse_utf8

from engine.limits import (
    CONTACT_ID_BYTES_MAX,
    EVENT_NAME_BYTES_MAX,
    JSON_DEPTH_MAX,
    MESSAGE_BYTES_MAX,
    MESSAGE_ID_BYTES_MAX,
)

cdef uint32_t ID_MAX = CONTACT_ID_BYTES_MAX
cdef uint32_t NAME_MAX = EVENT_NAME_BYTES_MAX
cdef uint32_t MESSAGE_ID_MAX = MESSAGE_ID_BYTES_MAX
cdef Py_ssize_t LINE_MAX = min(MESSAGE_BYTES_MAX, 65_535)  # places in a body are 16 bits
cdef int DEPTH_MAX = min(JSON_DEPTH_MAX, 63)               # levels are bits of a word

cdef const char* EMPTY = b"{}"

cdef extern from *:
    """
    #include <string.h>
    /* The first byte from p on that is a quote, a backslash, a control character or not ASCII; end if there is none. */
    static inline const char* tm_plain_until(const char* p, const char* end) {
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
        while (end - p >= 8) {
            uint64_t w, quote, slash, found;
            memcpy(&w, p, 8);
            quote = w ^ (ones * '"');
            slash = w ^ (ones * '\\\\');
            found = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w) | w) & high;
            if (found) return p + (__builtin_ctzll(found) >> 3);
            p += 8;
        }
    #endif
        while (p < end && *p != '"' && *p != '\\\\' && (signed char)*p >= 0x20) p++;
        return p;
    }
    """
    const char* plain_until "tm_plain_until" (const char* p, const char* end) noexcept nogil

cdef struct Seen:
    bint escaped         # whether the text read last has an escape

# The keys of an envelope that concern us.
cdef enum Key:
    TYPE = 1
    USER = 2
    ANONYMOUS = 4
    MESSAGE = 8
    TIMESTAMP = 16
    EVENT = 32
    PROPERTIES = 64
    TRAITS = 128
    PREVIOUS = 256


cdef inline const char* skip_space(const char* at) noexcept nogil:
    while at[0] == c" " or at[0] == c"\t" or at[0] == c"\r":
        at += 1
    return at


cdef inline bint is_hex(char c) noexcept nogil:
    return c"0" <= c <= c"9" or c"a" <= c <= c"f" or c"A" <= c <= c"F"


cdef const char* pass_escape(const char* at, const char* end) noexcept nogil:
    """Return the end of the escape whose backslash is at `at`, NULL if it is none, or half a character."""
    cdef char c
    c = at[1]
    if c == c'"' or c == c"\\" or c == c"/" or c == c"b" or c == c"f" or c == c"n" or c == c"r" or c == c"t":
        return at + 2
    if end - at < 6 or c != c"u" or not (is_hex(at[2]) and is_hex(at[3]) and is_hex(at[4]) and is_hex(at[5])):
        return NULL
    if (at[2] == c"d" or at[2] == c"D") and at[3] >= c"8":
        return NULL
    return at + 6


cdef const char* pass_character(const uint8_t* at) noexcept nogil:
    """Return the end of a character beyond ASCII, NULL if it is not UTF-8 (RFC 3629, table of well-formed sequences)."""
    cdef uint8_t lead = at[0]
    cdef uint8_t low = 0x80
    cdef uint8_t high = 0xBF
    cdef int more = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    cdef int i
    if not 0xC2 <= lead <= 0xF4:
        return NULL
    if lead == 0xE0:
        low = 0xA0
    elif lead == 0xED:
        high = 0x9F
    elif lead == 0xF0:
        low = 0x90
    elif lead == 0xF4:
        high = 0x8F
    if not low <= at[1] <= high:
        return NULL
    for i in range(2, more + 1):
        if not 0x80 <= at[i] <= 0xBF:
            return NULL
    return <const char*>at + more + 1


cdef const char* pass_text(const char* at, const char* end, Seen* seen) noexcept nogil:
    """Return the end of the text whose first character is at `at`, behind its quote."""
    seen.escaped = False
    while True:
        at = plain_until(at, end)
        if at >= end:
            return NULL
        if at[0] == c'"':
            return at + 1
        if at[0] == c"\\":
            seen.escaped = True
            at = pass_escape(at, end)
            if at == NULL:
                return NULL
        elif <uint8_t>at[0] < 0x20:
            return NULL
        else:
            at = pass_character(<const uint8_t*>at)
            if at == NULL:
                return NULL


cdef const char* pass_number(const char* at) noexcept nogil:
    """Return the end of a number without an exponent, of less than 18 digits."""
    cdef const char* start
    cdef int digits
    if at[0] == c"-":
        at += 1
    start = at
    while c"0" <= at[0] <= c"9":
        at += 1
    digits = at - start
    if digits == 0 or (start[0] == c"0" and digits > 1):
        return NULL
    if at[0] == c".":
        at += 1
        start = at
        while c"0" <= at[0] <= c"9":
            at += 1
        if at == start:
            return NULL
        digits += at - start
    if digits >= 18 or at[0] == c"e" or at[0] == c"E":
        return NULL
    return at


cdef inline const char* pass_word(const char* at, const char* end) noexcept nogil:
    """Return the end of `true`, `false` or `null`."""
    if end - at >= 4 and (memcmp(at, b"true", 4) == 0 or memcmp(at, b"null", 4) == 0):
        return at + 4
    if end - at >= 5 and memcmp(at, b"false", 5) == 0:
        return at + 5
    return NULL


cdef inline const char* pass_key(const char* at, const char* end, Seen* seen) noexcept nogil:
    """Return where the value of the key at `at` begins."""
    if at[0] != c'"':
        return NULL
    at = pass_text(at + 1, end, seen)
    if at == NULL:
        return NULL
    at = skip_space(at)
    return skip_space(at + 1) if at[0] == c":" else NULL


cdef const char* pass_value(const char* at, const char* end, Seen* seen, int depth) noexcept nogil:
    """Return the end of the value that begins at `at`, within `depth` levels."""
    cdef uint64_t maps = 0       # a bit a level, the innermost lowest: whether it is an object
    cdef int level = 0
    while True:
        if at[0] == c'"':
            at = pass_text(at + 1, end, seen)
        elif at[0] == c"{" or at[0] == c"[":
            level += 1
            if depth + level > DEPTH_MAX:
                return NULL
            maps = maps << 1 | (at[0] == c"{")
            at = skip_space(at + 1)
            if at[0] != (c"}" if maps & 1 else c"]"):
                if maps & 1:
                    at = pass_key(at, end, seen)
                    if at == NULL:
                        return NULL
                continue
        elif c"0" <= at[0] <= c"9" or at[0] == c"-":
            at = pass_number(at)
        else:
            at = pass_word(at, end)
        if at == NULL:
            return NULL
        while True:
            if level == 0:
                return at
            at = skip_space(at)
            if at[0] == c",":
                at = skip_space(at + 1)
                if maps & 1:
                    at = pass_key(at, end, seen)
                    if at == NULL:
                        return NULL
                break
            if at[0] != (c"}" if maps & 1 else c"]"):
                return NULL
            at += 1
            level -= 1
            maps >>= 1


cdef const char* pass_body(const char* at, const char* end, Seen* seen, Event event) noexcept:
    """Return the end of the object that begins at `at`; the event gets it and its numbers."""
    cdef const char* start = at
    cdef const char* key
    cdef const char* value
    cdef int32_t noted = 0
    event.json.at = at
    at = skip_space(at + 1)
    if at[0] != c"}":
        while True:
            key = at + 1
            value = pass_key(at, end, seen)
            if value == NULL:
                return NULL
            if (c"0" <= value[0] <= c"9" or value[0] == c"-") and not seen.escaped and noted >= 0:
                if noted == NUMBERS_NOTED:
                    noted = -1
                else:
                    event.numbers[noted].key = key - start
                    event.numbers[noted].size = <const char*>memchr(key, c'"', value - key) - key
                    event.numbers[noted].digits = value - start
                    noted += 1
            at = pass_value(value, end, seen, 2)
            if at == NULL:
                return NULL
            at = skip_space(at)
            if at[0] == c"}":
                break
            if at[0] != c",":
                return NULL
            at = skip_space(at + 1)
    event.numbers_noted = noted
    event.json.size = at + 1 - start
    return at + 1


cdef const char* read_text(const char* at, const char* end, Seen* seen, Text* text) noexcept nogil:
    """Read a text without escapes, or null, which leaves `text` as it is."""
    cdef const char* behind
    if at[0] != c'"':
        return at + 4 if end - at >= 4 and memcmp(at, b"null", 4) == 0 else NULL
    behind = pass_text(at + 1, end, seen)
    if behind == NULL or seen.escaped:
        return NULL
    text.at = at + 1
    text.size = behind - at - 2
    return behind


cdef int key_of(const char* at, Py_ssize_t size) noexcept nogil:
    """Return which key of an envelope this is, 0 for one that is ignored."""
    if size == 4:
        return TYPE if memcmp(at, b"type", 4) == 0 else 0
    if size == 5:
        return EVENT if memcmp(at, b"event", 5) == 0 else 0
    if size == 6:
        return USER if memcmp(at, b"userId", 6) == 0 else TRAITS if memcmp(at, b"traits", 6) == 0 else 0
    if size == 9:
        return MESSAGE if memcmp(at, b"messageId", 9) == 0 else TIMESTAMP if memcmp(at, b"timestamp", 9) == 0 else 0
    if size == 10:
        return PROPERTIES if memcmp(at, b"properties", 10) == 0 else PREVIOUS if memcmp(at, b"previousId", 10) == 0 else 0
    if size == 11:
        return ANONYMOUS if memcmp(at, b"anonymousId", 11) == 0 else 0
    return 0


cdef struct Envelope:
    Text type
    Text user
    Text anonymous
    Text timestamp
    Text properties
    Text traits
    int32_t numbers      # noted of the properties


cdef const char* read_field(int key, const char* at, const char* end, Seen* seen, Envelope* to, Event event) noexcept:
    """Read the value of one of the keys above; return where it ends."""
    cdef const char* start = at
    if key == PROPERTIES or key == TRAITS:
        if at[0] != c"{":
            return at + 4 if end - at >= 4 and memcmp(at, b"null", 4) == 0 else NULL
        if key == PROPERTIES:
            at = pass_body(at, end, seen, event)
            to.properties = event.json
            to.numbers = event.numbers_noted
            return at
        at = pass_value(at, end, seen, 1)  # no numbers are noted of traits: they would take the place of the others
        if at != NULL:
            to.traits.at = start
            to.traits.size = at - start
        return at
    if key == TYPE:
        return read_text(at, end, seen, &to.type)
    if key == USER:
        return read_text(at, end, seen, &to.user)
    if key == ANONYMOUS:
        return read_text(at, end, seen, &to.anonymous)
    if key == TIMESTAMP:
        return read_text(at, end, seen, &to.timestamp)
    if key == EVENT:
        return read_text(at, end, seen, &event.event_name)
    if key == PREVIOUS:
        return read_text(at, end, seen, &event.previous_id)
    return read_text(at, end, seen, &event.message)


cdef bint read_line(const char* at, const char* end, Event event) noexcept:
    """Whether the line is plain; the event is then what it says."""
    cdef Seen seen = Seen(escaped=False)
    cdef Envelope found
    cdef const char* name
    cdef const char* value
    cdef int key
    cdef int keys = 0
    found.type.at = NULL
    found.type.size = found.user.size = found.anonymous.size = found.timestamp.size = 0
    found.timestamp.at = NULL
    found.properties.at = found.traits.at = EMPTY
    found.properties.size = found.traits.size = 2
    found.numbers = 0
    at = skip_space(at)
    if at[0] != c"{":
        return False
    at = skip_space(at + 1)
    while True:
        name = at + 1
        value = pass_key(at, end, &seen)
        if value == NULL or seen.escaped:
            return False
        key = key_of(name, <const char*>memchr(name, c'"', value - name) - name)
        if key == 0:
            at = pass_value(value, end, &seen, 1)
        elif keys & key:
            return False
        else:
            keys |= key
            at = read_field(key, value, end, &seen, &found, event)
        if at == NULL:
            return False
        at = skip_space(at)
        if at[0] == c"}":
            break
        if at[0] != c",":
            return False
        at = skip_space(at + 1)
    return skip_space(at + 1) == end and assemble(&found, event)


cdef bint assemble(const Envelope* found, Event event) noexcept:
    """Make the event of what was found, if it is one of the three kinds and within its bounds."""
    event.contact_id = found.user if found.user.size else found.anonymous
    if not 0 < event.contact_id.size <= ID_MAX or event.message.size > MESSAGE_ID_MAX:
        return False
    if found.timestamp.at != NULL:
        event.timestamp_ms = parse_utf8(found.timestamp.at, found.timestamp.size)
        if event.timestamp_ms == INT64_MIN:
            return False
    if found.type.size == 5 and memcmp(found.type.at, b"track", 5) == 0:
        event.kind = TRACK
        event.json = found.properties
        event.numbers_noted = found.numbers
        event.previous_id.size = 0
        return 0 < event.event_name.size <= NAME_MAX
    event.event_name.size = 0
    event.numbers_noted = -1
    if found.type.size == 8 and memcmp(found.type.at, b"identify", 8) == 0:
        event.kind = IDENTIFY
        event.json = found.traits
        event.previous_id.size = 0
        return True
    if found.type.size == 5 and memcmp(found.type.at, b"alias", 5) == 0:
        event.kind = ALIAS
        event.json.at = EMPTY
        event.json.size = 2
        return 0 < event.previous_id.size <= ID_MAX
    return False


def count_lines(bytes data not None):
    cdef const char* at = PyBytes_AS_STRING(data)
    cdef const char* end = at + PyBytes_GET_SIZE(data)
    cdef Py_ssize_t found = 0
    while True:
        at = <const char*>memchr(at, c"\n", end - at)
        if at == NULL:
            return found
        at += 1
        found += 1


def read_lines(bytes data not None, otherwise):
    cdef list events = []
    cdef const char* at = PyBytes_AS_STRING(data)
    cdef const char* end = at + PyBytes_GET_SIZE(data)
    cdef const char* line_end
    cdef Event event = None
    while at < end:
        line_end = <const char*>memchr(at, c"\n", end - at)
        if line_end == NULL:
            line_end = end
        event = new_event(data)
        if line_end - at <= LINE_MAX and read_line(at, line_end, event):
            events.append(event)
        else:
            other = otherwise(at[: line_end - at])
            if other is None:
                return None
            events.append(other)
        at = line_end + 1
    return events
