"""JSON to a map as the engine keeps it (`ext.maps.packed_map`: MessagePack, keys numbered) in one pass, without an object in
between.

Every event that a flow asks for goes through here, so it is worth a scanner of its own: decoding to a dict and
encoding that again takes two to three times as long. It is given only what msgspec has validated at the door, so it checks
nothing, and it declines (None) whatever is seldom and tricky: there the library does the work.

Containers get a one-byte header first; one that turns out larger is moved up for a longer header, as a string that
escapes made longer than it is is moved down. What comes out is what the library would have made, byte for byte, and
whether it is left to the library depends on the text alone: which keys have numbers, of which every process has its
own, must not show.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove

from ext.maps.packed_map cimport EMPTY, Kept, kept_copy, kept_of, make_room, plain, release
from ext.maps.key_numbers cimport NUMBERS_MAX, key_number, put_number
from ext.wire.json_number cimport decimal
from ext.maps.msgpack cimport (
    NIL,
    NO,
    YES,
    head_size,
    put_box_head,
    put_double,
    put_integer,
    put_text_head,
    skip,
)

from msgspec.json import decode as decode_json
from msgspec.msgpack import encode as pack_value

from ext.wire.event import narrow

cdef enum:
    LEVELS = 40
    KEYS_MAX = 64  # in one object: more are left to the library
    SET_WORDS = NUMBERS_MAX // 64
    HEADER_MAX = 5  # bytes, of a text

cdef struct Level:
    Py_ssize_t header   # where its header byte is
    int64_t count       # values, or pairs
    bint is_map
    uint64_t[SET_WORDS] numbers    # of keys that it has, a bit each
    uint64_t in_use     # which of those words were begun with; the others hold what another object left
    int32_t keys        # how many of its keys have no number
    Py_ssize_t[KEYS_MAX] key_at
    Py_ssize_t[KEYS_MAX] key_size

# One scratch buffer and one stack: the kernel runs on one thread, and nothing here calls back into Python.
cdef uint8_t* scratch = NULL
cdef Py_ssize_t scratch_room = 0
cdef Level[LEVELS] levels


cdef inline int _hex(char c) noexcept:
    return c - 48 if c <= 57 else (c | 32) - 87


cdef inline uint32_t _code_unit(const char* at) noexcept:
    return (_hex(at[0]) << 12) | (_hex(at[1]) << 8) | (_hex(at[2]) << 4) | _hex(at[3])


cdef uint8_t* _utf8(uint8_t* out, uint32_t point) noexcept:
    if point < 0x80:
        out[0] = point
        return out + 1
    if point < 0x800:
        out[0] = 0xC0 | (point >> 6)
        out[1] = 0x80 | (point & 0x3F)
        return out + 2
    if point < 0x10000:
        out[0] = 0xE0 | (point >> 12)
        out[1] = 0x80 | ((point >> 6) & 0x3F)
        out[2] = 0x80 | (point & 0x3F)
        return out + 3
    out[0] = 0xF0 | (point >> 18)
    out[1] = 0x80 | ((point >> 12) & 0x3F)
    out[2] = 0x80 | ((point >> 6) & 0x3F)
    out[3] = 0x80 | (point & 0x3F)
    return out + 4


cdef uint8_t* _unescape(uint8_t* out, const char* at, const char* end) noexcept:
    """Write the text between two quotes, escapes resolved."""
    cdef uint32_t point
    cdef char c
    while at < end:
        c = at[0]
        at += 1
        if c != c"\\":
            out[0] = <uint8_t>c
            out += 1
            continue
        c = at[0]
        at += 1
        if c == c"u":
            point = _code_unit(at)
            at += 4
            if 0xD800 <= point < 0xDC00 and at + 6 <= end and at[0] == c"\\" and at[1] == c"u":
                point = 0x10000 + ((point - 0xD800) << 10) + (_code_unit(at + 2) - 0xDC00)
                at += 6
            out = _utf8(out, point)
        else:
            out[0] = 10 if c == c"n" else 9 if c == c"t" else 13 if c == c"r" else 8 if c == c"b" else 12 if c == c"f" else c
            out += 1
    return out


cdef uint8_t* _text(uint8_t* out, const char* at, const char* end) noexcept:
    """Write a text with escapes."""
    cdef uint8_t* text = out + HEADER_MAX
    cdef Py_ssize_t size = _unescape(text, at, end) - text
    out = put_text_head(out, size)
    memmove(out, text, size)
    return out + size


cdef inline bint _is_first(Level* level, uint32_t place) noexcept:
    """Whether the object has no key with the number at this place yet; from now on it has."""
    cdef uint64_t word = <uint64_t>1 << (place >> 6)
    cdef uint64_t bit = <uint64_t>1 << (place & 63)
    if not level.in_use & word:
        level.in_use |= word
        level.numbers[place >> 6] = 0
    if level.numbers[place >> 6] & bit:
        return False
    level.numbers[place >> 6] |= bit
    return True


cdef uint8_t* _key(Level* level, uint8_t* out, const uint8_t* text, Py_ssize_t size) noexcept:
    """Write a key, whose text may lie behind `out` in the scratch buffer. NULL: the object has it already, or has too
    many keys to tell."""
    cdef int32_t number
    cdef int32_t i
    if level.count > KEYS_MAX:
        return NULL
    number = key_number(text, <uint32_t>size)
    if number >= 0:
        return put_number(out, number) if _is_first(level, number - 1) else NULL
    out = put_text_head(out, size)
    memmove(out, text, size)
    for i in range(level.keys):
        if level.key_size[i] == size and memcmp(scratch + level.key_at[i], out, size) == 0:
            return NULL
    level.key_at[level.keys] = out - scratch
    level.key_size[level.keys] = size
    level.keys += 1
    return out + size


cdef uint8_t* _close(Level* level, uint8_t* out) noexcept:
    """Write a container's header, moving what is in it up where one byte does not do."""
    cdef uint8_t* header = scratch + level.header
    cdef int moved = head_size(level.count) - 1
    if moved:
        memmove(header + 1 + moved, header + 1, out - header - 1)
    put_box_head(header, level.count, level.is_map)
    return out + moved


cdef inline const char* _closing(const char* start, const char* end, bint* escaped) noexcept:
    """Return the quote that closes the text at `start`, and find out whether the text has escapes."""
    cdef const char* at = <const char*>memchr(start, c'"', end - start)
    escaped[0] = memchr(start, c"\\", at - start) != NULL
    if escaped[0]:
        at = start
        while at[0] != c'"':
            at += 2 if at[0] == c"\\" else 1
    return at


cdef inline uint8_t* _number(uint8_t* out, const char** text, const char* end) noexcept:
    """Write the number at `text`, which moves behind it. Return where it ends, NULL for one that may exceed 64 bits."""
    cdef const char* start = text[0]
    cdef const char* at = start
    cdef int64_t value = 0
    if at[0] == c"-":
        at += 1
    while at < end and (c"0" <= at[0] <= c"9"):
        if at - start < 19:
            value = value * 10 + (at[0] - 48)
        at += 1
    if at < end and (at[0] == c"." or at[0] == c"e" or at[0] == c"E"):
        return put_double(out, decimal(start, text))
    if at - start > 18:
        return NULL
    text[0] = at
    return put_integer(out, -value if start[0] == c"-" else value)


cdef Py_ssize_t transcode(const char* at, Py_ssize_t size) except -1:
    """Write a JSON text to `scratch` as a map. Return its bytes, 0 for a text that is left to the library."""
    cdef const char* end = at + size
    cdef const char* start
    cdef uint8_t* out
    cdef uint8_t* text
    cdef Level* level = NULL
    cdef int depth = 0
    cdef bint escaped, key_next = False
    # MessagePack of a text is never longer than 9 bytes a character of it.
    make_room(&scratch, &scratch_room, (end - at) * 9 + 16)
    out = scratch
    while at < end:
        # White space, commas and colons say nothing that a valid text does not say without them.
        if at[0] == c" " or at[0] == c"\n" or at[0] == c"\r" or at[0] == c"\t" or at[0] == c":":
            at += 1
            continue
        if at[0] == c",":
            key_next = level.is_map
            at += 1
            continue
        if at[0] == c"}" or at[0] == c"]":
            out = _close(level, out)
            depth -= 1
            level = &levels[depth - 1] if depth else NULL
            key_next = False
            at += 1
            continue
        if level != NULL and (key_next or not level.is_map):
            level.count += 1
        if at[0] == c"{" or at[0] == c"[":
            if depth == LEVELS:
                return 0
            level = &levels[depth]
            depth += 1
            level.header = out - scratch
            level.count = 0
            level.is_map = key_next = at[0] == c"{"
            if key_next:
                level.keys = 0
                level.in_use = 0
            out += 1
            at += 1
        elif at[0] == c'"':
            start = at + 1
            at = _closing(start, end, &escaped)
            if key_next:
                key_next = False
                text = out + HEADER_MAX if escaped else <uint8_t*>start
                out = _key(level, out, text, _unescape(text, start, at) - text if escaped else at - start)
                if out == NULL:
                    return 0
            elif escaped:
                out = _text(out, start, at)
            else:
                out = put_text_head(out, at - start)
                memcpy(out, start, at - start)
                out += at - start
            at += 1
        elif at[0] == c"t" or at[0] == c"f" or at[0] == c"n":
            out[0] = YES if at[0] == c"t" else NO if at[0] == c"f" else NIL
            out += 1
            at += 5 if at[0] == c"f" else 4
        else:
            out = _number(out, &at, end)
            if out == NULL:
                return 0
    return out - scratch


cdef Kept* kept_json(const char* json, Py_ssize_t size) except NULL:
    """Return a JSON object as a packed map. Integers beyond 64 bits become doubles, as other numbers do."""
    cdef Py_ssize_t length
    if size == 2:
        return EMPTY
    length = transcode(json, size)
    if length:
        return kept_copy(scratch, length)
    value = decode_json(json[:size])
    try:
        return kept_of(pack_value(value))
    except OverflowError:
        return kept_of(pack_value(narrow(value)))


# --- for tests ---

def pack_json(bytes json not None):
    cdef Py_ssize_t length = transcode(PyBytes_AS_STRING(json), PyBytes_GET_SIZE(json))
    return plain(scratch) if length else None


def pack_object(bytes json not None):
    cdef Kept* kept = kept_json(PyBytes_AS_STRING(json), PyBytes_GET_SIZE(json))
    try:
        return plain(kept.map)
    finally:
        release(kept)


def as_kept_json(bytes json not None):
    cdef Kept* kept = kept_json(PyBytes_AS_STRING(json), PyBytes_GET_SIZE(json))
    try:
        return kept.map[: skip(kept.map) - kept.map]
    finally:
        release(kept)
