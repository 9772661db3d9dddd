"""Lines read in one pass: what is taken says what the slow way says; what is typical is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.measure import work
from engine.limits import (
    CONTACT_ID_BYTES_MAX,
    EVENT_NAME_BYTES_MAX,
    JSON_DEPTH_MAX,
    LINE_DEPTH_MAX,
    MESSAGE_BYTES_MAX,
    MESSAGE_ID_BYTES_MAX,
)
from engine.wire import decode_lines
from ext.wire.event import Kind
from ext.wire.line_reader import read_lines
from tests.ext.wire.line_samples import BAD_TEXTS, taken

TRACK = (
    b'{"type":"track","userId":"c1","event":"Order Completed","messageId":"m1","properties":{"total":70.5}}'
)
IDENTIFY = b'{"traits":{"a":[1,{}],"n":-0.5},"anonymousId":"a1","timestamp":"2026-08-10T13:00:00Z","type":"identify"}'
ALIAS = (
    b'{ "type" : "alias", "userId" : "c1", "previousId" : "\xc3\xa9", "x" : [ null, true, "\\n\\u00e9" ] }\r'
)


def unexpected(line: bytes) -> Any:
    """Fail: the reader hands over a line that it should have read itself, or none."""
    pytest.fail(f"{line!r} is left")


# What is typical is taken


def segment(kind: str, **fields: Any) -> dict[str, Any]:
    """A message as Segment's libraries make it."""
    library = {"name": "analytics.js", "version": "2.11.1"}
    page = {"path": "/academy/", "referrer": "", "search": "", "title": "Açaí & Söhne", "url": "https://a.b/"}
    return {
        "anonymousId": "507f191e810c19729de860ea",
        "context": {
            "active": True,
            "campaign": {"name": "TPS reports", "source": "Newsletter", "medium": "email"},
            "device": {"id": "B5372DB0", "adTrackingEnabled": False, "type": "ios"},
            "ip": "8.8.8.8",
            "library": library,
            "locale": "en-US",
            "location": {
                "city": "San Francisco",
                "latitude": 40.2964197,
                "longitude": -76.9411617,
                "speed": 0,
            },
            "page": page,
            "screen": {"width": 320, "height": 568, "density": 2},
            "traits": {},
            "groupId": None,
        },
        "integrations": {"All": True, "Mixpanel": False, "Salesforce": {"objects": []}},
        "messageId": "ajs-next-f8ca1f0e-022b-4a80-9b4c-0d0b7e3a2b9f",
        "receivedAt": "2026-02-23T22:28:55.387Z",
        "sentAt": "2026-02-23T22:28:55.111Z",
        "timestamp": "2026-02-23T22:28:55.111Z",
        "type": kind,
        "userId": "97980cfea0067",
        "version": 2,
        **fields,
    }


BOUGHT = {"price": 19.95, "name": "Crème brûlée 🍮", "sizes": ["S", "M"], "gift": False, "note": None}


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("message", [
    segment("track", event="Order Completed", properties=BOUGHT),
    segment("track", event="Signed Up"),
    segment("track", event="Signed Up", properties={}),
    segment("track", event="Signed Up", properties=None, userId=None),
    segment("track", event="Order Completed", properties=BOUGHT, traits={"points": 7}),
    segment("identify", traits={"name": "Zoë", "address": {"city": "Łódź"}, "logins": 5}),
    segment("alias", previousId="39239-239239-239239-23923"),
], ids=lambda message: message["type"])  # fmt: skip
def test_a_message_of_segments_libraries_is_taken(message: dict[str, Any], ascii_only: bool) -> None:
    """With escapes too: there a character beyond 16 bits is two halves, which are left to the slow way."""
    text = json.dumps(message, ensure_ascii=ascii_only)
    assert taken(text.encode()) is ("\\ud83c" not in text)


def test_a_line_of_what_is_measured_is_taken() -> None:
    lines = work.contacts(20) + work.events(20, contacts=20) + work.events(20, contacts=20, name=work.VIEW)
    assert len(lines.splitlines()) == 60
    assert all(taken(line) for line in lines.splitlines())


@pytest.mark.parametrize("line", [
    TRACK, IDENTIFY, ALIAS,
    b' \t\r{ \t\r"type" \t\r: \t\r"track" \t\r, \t\r"userId":"c" , "event":"E" \t\r} \t\r',
    b'{"type":"track","userId":"c","event":"E","properties": { "a" : 1 , "b" : [ ] , "c" : { } } }',
    b'{"type":"track","userId":"","anonymousId":"a","event":"E","messageId":"","previousId":null}',
    b'{"type":"track","userId":"c","event":"E","timestamp":null,"messageId":null,"properties":null}',
    b'{"type":"track","userId":"c","event":"E","properties":{"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uFFFF":"\\u0000"}}',
    b'{"type":"track","userId":"c","event":"E","properties":{"a":1,"a":2,"":0}}',
    b'{"type":"identify","userId":"c","event":"E","previousId":"p","properties":{"a":1}}',
    b'{"type":"alias","userId":"c","previousId":"p","event":"E","traits":{"a":1},"properties":{"a":1}}',
    '{"type":"track","userId":"\x7f߿ࠀ\ud7ff\ue000\uffff𐀀\U0010ffff","event":"É"}'.encode("utf-8", "surrogatepass"),
])  # fmt: skip
def test_a_plain_line_is_taken(line: bytes) -> None:
    assert taken(line)


@pytest.mark.parametrize(
    "number", ["0", "-0", "7", "-7", "0.5", "-0.0", "10", "1234567890.1234567", "12345678901234567"]
)
@pytest.mark.parametrize(
    "where", ['"properties":{"a":%s}', '"properties":{"a":[%s]}', '"context":{"a":%s}', '"x":%s']
)
def test_a_plain_number_is_taken(number: str, where: str) -> None:
    assert taken(f'{{"type":"track","userId":"c","event":"E",{where % number}}}'.encode())


# What is not


@pytest.mark.parametrize("number", [
    "-", "+1", "00", "01", "-01", "1.", ".5", "-.5", "1.e5", "1e5", "1E+5", "1e", "0x1", "1_0", "1 2", "--1", "1.2.3",
    "NaN", "nan", "Infinity", "-Infinity", "1e400", "123456789012345678", "0.12345678901234567", "1" * 400, "1.5f", "٣",
    "tru", "truee", "True", "nul", "nulll", "falsee", "'a'", "\x00",
])  # fmt: skip
@pytest.mark.parametrize(
    "where", ['"properties":{"a":%s}', '"properties":{"a":[%s]}', '"context":{"a":%s}', '"x":%s']
)
def test_any_other_number_is_left_to_the_slow_way(number: str, where: str) -> None:
    assert not taken(f'{{"type":"track","userId":"c","event":"E",{where % number}}}'.encode())


@pytest.mark.parametrize("line", [
    b"", b"{}", b"[]", b"null", b"1", b'"track"', b"{", b'{"', b"\xef\xbb\xbf" + TRACK, TRACK + b"\x00", TRACK + b",",
    TRACK + TRACK, b"[" + TRACK + b"]", TRACK[:-1] + b",}", TRACK.replace(b":", b"=", 1), TRACK.replace(b'"', b"'"),
    TRACK[:-1] + b"\x0c}", TRACK + b"\xc2\xa0", TRACK[:-1] + b"]", TRACK[:-2] + b"]}",
    b'{"userId":"c","event":"E"}', b'{"type":null,"userId":"c","event":"E"}', b'{"type":"page","userId":"c"}',
    b'{"type":"tracks","userId":"c","event":"E"}', b'{"type":"TRACK","userId":"c","event":"E"}',
    b'{"type":"control","userId":"c","event":"E","op":"pause","flow":"f"}',
    b'{"\\u0074ype":"track","userId":"c","event":"E"}', b'{"type":"\\u0074rack","userId":"c","event":"E"}',
    b'{"type":"track","userId":"\\u0063","event":"E"}', b'{"type":"track","userId":"c","event":"E\\u0041"}',
])  # fmt: skip
def test_a_line_that_is_not_plain_is_left_to_the_slow_way(line: bytes) -> None:
    asked: list[bytes] = []
    assert read_lines(line + b"\n", asked.append) is None
    assert asked == [line]


@pytest.mark.parametrize("more", [
    '"type":"track"', '"type":null', '"userId":null', '"event":"E"', '"\\u0074ype":"control"', '"x\\n":1',
    '"x":[}', '"x":[1,]', '"x":[,1]', '"x":{]}', '"x":{,}', '"x":{1:2}', '"x":{"a":1,}', '"x":{"a" 1}', '"x":{"a":}',
    '"x":{"a"}', '"x":[1 2]', '"x":[1}', '"x":{"a":1]', '"x":', '"x"', "x:1", "", ',"x":1', '"x":1,',
    '"properties":{"a":1,}', '"properties":{,}', '"properties":{"a" 1}', '"properties":{"a":1]', '"properties":{1:2}',
    '"x":[[]', '"x":[]]', '"properties":[]', '"properties":1', '"properties":"{}"', '"properties":true',
    '"traits":[]', '"traits":5',
    '"properties":{},"properties":{}', '"timestamp":1', '"timestamp":"today"', '"timestamp":"2026-02-29T00:00:00Z"',
    '"timestamp":"2026-08-10T13:00:00"', '"messageId":5', '"anonymousId":[]', '"previousId":{}',
])  # fmt: skip
def test_a_line_with_something_that_is_not_plain_too(more: str) -> None:
    assert taken(b'{"type":"track","userId":"c","event":"E","y":0}')
    assert not taken(b'{"type":"track","userId":"c","event":"E",%s,"y":0}' % more.encode())


@pytest.mark.parametrize("bad", BAD_TEXTS, ids=repr)
def test_a_text_that_is_none_is_found_wherever_it_stands(bad: bytes) -> None:
    """Before and behind up to nine plain bytes: any place in a word of eight."""
    shapes = (
        b'{"type":"track","userId":"c","event":"%s"}',
        b'{"type":"track","userId":"c","event":"E","properties":{"%s":1}}',
        b'{"type":"track","userId":"c","event":"E","properties":{"a":["%s"]}}',
        b'{"type":"track","userId":"c","event":"E","%s":{}}',
    )
    for shape in shapes:
        for before in range(10):
            for behind in range(10):
                assert not taken(shape % (b"h" * before + bad + b"i" * behind))


VALUES = [
    b"null",
    b"true",
    b"5",
    b"-0.5",
    b"1e5",
    b'""',
    b'"x"',
    b'"\\u0078"',
    b'"2026-08-10"',
    b"[]",
    b"[1]",
    b"{}",
    b'{"a":1}',
]
FIELDS = [
    "type",
    "userId",
    "anonymousId",
    "messageId",
    "timestamp",
    "event",
    "previousId",
    "properties",
    "traits",
    "name",
]


@pytest.mark.parametrize("kind", [b"track", b"identify", b"alias", b"page", b"screen", b"group", b"control"])
def test_every_value_in_every_field(kind: bytes) -> None:
    """Instead of what belongs there, beside it, and before it."""
    known = {"type": b'"%s"' % kind, "userId": b'"c"', "event": b'"E"', "previousId": b'"p"'}
    for field in FIELDS:
        for value in VALUES:
            for fields in (
                [*(known | {field: value}).items()],
                [*known.items(), (field, value)],
                [(field, value), *known.items()],
            ):
                taken(b"{" + b",".join(b'"%s":%s' % (key.encode(), value) for key, value in fields) + b"}")


# Bounds


@pytest.mark.parametrize(("shape", "most"), [
    (b'{"type":"track","userId":"%s","event":"E"}', CONTACT_ID_BYTES_MAX),
    (b'{"type":"track","anonymousId":"%s","event":"E"}', CONTACT_ID_BYTES_MAX),
    (b'{"type":"alias","userId":"c","previousId":"%s"}', CONTACT_ID_BYTES_MAX),
    (b'{"type":"track","userId":"c","event":"%s"}', EVENT_NAME_BYTES_MAX),
    (b'{"type":"track","userId":"c","event":"E","messageId":"%s"}', MESSAGE_ID_BYTES_MAX),
])  # fmt: skip
def test_texts_up_to_their_bounds(shape: bytes, most: int) -> None:
    for size in range(1, most + 12):
        assert taken(shape % (b"x" * size)) is (size <= most)
        if size > 1:
            assert taken(shape % ("é".encode() + b"x" * (size - 2))) is (size <= most)


@pytest.mark.parametrize("size", range(MESSAGE_BYTES_MAX - 2, MESSAGE_BYTES_MAX + 3))
def test_lines_up_to_their_bound(size: int) -> None:
    """The number at the end is found at its place, however far back that is."""
    head = b'{"type":"track","userId":"c1","event":"E","properties":{"a":"'
    tail = b'","total":5}}'
    line = head + b"x" * (size - len(head) - len(tail)) + tail
    assert taken(line) is (len(line) <= MESSAGE_BYTES_MAX)
    assert len(decode_lines(line).inputs) == (len(line) <= MESSAGE_BYTES_MAX)


@pytest.mark.parametrize(
    "depth", [*range(1, JSON_DEPTH_MAX + 4), *range(LINE_DEPTH_MAX - 3, LINE_DEPTH_MAX + 4), 5_000]
)
@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[0,{"a":', b',"b":{}},1]')]
)
@pytest.mark.parametrize("where", [b'"properties":{"a":%s}', b'"traits":{"a":%s}', b'"context":%s'])
def test_depth_up_to_its_bound(depth: int, opening: bytes, closing: bytes, where: bytes) -> None:
    levels = depth // opening.count(b"{") if opening.startswith(b"[0") else depth
    value = opening * levels + b"null" + closing * levels
    plain = taken(b'{"type":"track","userId":"c","event":"E",' + where % value + b"}")
    assert plain or depth * 2 >= JSON_DEPTH_MAX - 4
    assert not plain or depth <= JSON_DEPTH_MAX


# Every small change to a line


@pytest.mark.parametrize("line", [TRACK, IDENTIFY, ALIAS], ids=["track", "identify", "alias"])
def test_a_line_cut_anywhere(line: bytes) -> None:
    for at in range(len(line)):
        assert taken(line[:at]) is (at == len(line.rstrip())) if at else read_lines(b"", unexpected) == []
        taken(line[at:])
        taken(line[:at] + line[at + 1 :])


@pytest.mark.parametrize("line", [TRACK, IDENTIFY, ALIAS], ids=["track", "identify", "alias"])
def test_a_line_with_any_byte_anywhere(line: bytes) -> None:
    for at in range(len(line)):
        for byte in range(256):
            if byte != 0x0A:
                taken(line[:at] + bytes([byte]) + line[at + 1 :])


@pytest.mark.parametrize("line", [TRACK, IDENTIFY, ALIAS], ids=["track", "identify", "alias"])
def test_a_line_with_more_in_it_anywhere(line: bytes) -> None:
    more = [
        *(bytes([byte]) for byte in b'\x00\t\r "\\{}[],:0-.e\x1f\x7f\x80\xff'),
        b'""',
        b'"a":1,',
        b',"b":2',
        "€".encode(),
    ]
    for at in range(len(line) + 1):
        for piece in more:
            taken(line[:at] + piece + line[at:])


# Several lines


def test_what_is_not_plain_is_asked_for_in_its_place() -> None:
    found = read_lines(b"%s\nfirst\n\n%s\nlast" % (TRACK, ALIAS), bytes.upper)
    assert found is not None
    assert [one if isinstance(one, bytes) else one.kind for one in found] == [
        Kind.TRACK,
        b"FIRST",
        b"",
        Kind.ALIAS,
        b"LAST",
    ]
    assert read_lines(b"", unexpected) == []
    assert read_lines(b"\n", bytes.upper) == [b""]


def test_the_first_line_that_is_nothing_ends_it() -> None:
    asked: list[bytes] = []
    assert read_lines(b"one\n%s\ntwo\n" % TRACK, asked.append) is None
    assert asked == [b"one"]
    with pytest.raises(ZeroDivisionError):
        read_lines(b"one\n", lambda line: 1 // 0)


def test_an_event_outlives_the_lines_it_came_in() -> None:
    events = [
        event for n in range(50) for event in read_lines(TRACK.replace(b"c1", b"c%d" % n), unexpected) or []
    ]
    assert [event.contact for event in events] == [f"c{n}" for n in range(50)]
    assert {event.body for event in events} == {b'{"total":70.5}'}


def test_lines_are_bytes() -> None:
    for lines in ("text", bytearray(TRACK), None):
        with pytest.raises(TypeError):
            read_lines(lines, pytest.fail)  # type: ignore[arg-type]
