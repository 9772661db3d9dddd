"""Many messages taken at the price of one are taken as one by one: same inputs, same lines, same rejections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.intake.segment_messages import take_batch, take_each, take_message
from engine.limits import MESSAGE_BYTES_MAX
from engine.wire import Event, Rejection
from ext.wire.event import Kind

GOOD = (
    b'{"userId":"a","event":"A"}',
    b'{"type":"track","userId":"a","event":"A","properties":{"type":"x","n":1.50}}',
    b' {"type":"track","messageId":null,"userId":"a","event":"A"} \r\n',
    b'{"userId":"a","event":"A","type":"track"}',
    b'{\n  "userId": "a",\n  "event": "A"\n}',
    b'{"userId":7,"event":"A"}',
    b'{"type":"track","userId":7,"event":"A"}',
    '{"userId":"ä","event":"Ö"}'.encode(),
    b'{"writeKey":"secret","type":"track","userId":"a","event":"A","properties":{"writeKey":"kept"}}',
)
BAD = (
    *(b"", b"{}", b"{", b"}", b"null", b"\xff", b'{"userId":"a","event":"\xff"}', b'{"userId":"a"}', b"x\ny"),
    b'{"userId":"a","event":"A"}{"userId":"b","event":"B"}',
    b'{"type":"track","userId":"a","event":"A"}\n{"type":"track","userId":"b","event":"B"}',
    b'{"type":"page","userId":"a","event":"A"}',
    b'{"type":"track","userId":"a","event":"A","type":"page"}',
    b'{"type":"track","userId":"a","event":"A","typ\\u0065":"page"}',
    b'{"type":"tracks","userId":"a","event":"A"}',
    b'{"type":"control","op":"pause"}',
    b'{"userId":"a","event":"A","timestamp":5}',
    b'{"userId":"a","event":"A","properties":[]}',
    b'{"userId":"a","event":"A","properties":' + b'{"a":' * 40 + b"1" + b"}" * 41,
    b'{"userId":"a","event":"A","x":' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"userId":"a","event":"A","x":"' + b"x" * MESSAGE_BYTES_MAX + b'"}',
)
KINDS = ("track", "track", "track", "page", "alias")


def plain(taken: object) -> object:
    """Return the fields of an event as a tuple; events have no equality of their own."""
    if isinstance(taken, Rejection):
        return taken
    assert isinstance(taken, tuple)
    event, line = taken
    assert isinstance(event, Event)
    return event.kind, event.contact, event.name, event.body, event.message_id, event.timestamp_ms, line


@given(
    st.lists(
        st.tuples(st.sampled_from(GOOD + BAD) | st.binary(max_size=8), st.sampled_from(KINDS)), max_size=8
    )
)
def test_together_as_one_by_one(messages: list[tuple[bytes, str]]) -> None:
    alone = [plain(take_message(message, kind)) for message, kind in messages]
    assert [plain(taken) for taken in take_each(messages)] == alone


@pytest.mark.parametrize("message", GOOD)
def test_what_needs_mending_is_mended_beside_what_does_not(message: bytes) -> None:
    found = take_each([(GOOD[0], "track"), (message, "track"), (GOOD[1], "track")])
    assert [plain(taken) for taken in found] == [
        plain(take_message(one, "track")) for one in (GOOD[0], message, GOOD[1])
    ]
    assert all(isinstance(taken, tuple) for taken in found)


def test_a_message_whose_type_stands_first_is_kept_as_it_came() -> None:
    line = b'{"type":"identify","userId":"a","traits":{"price": 1.10}}'
    taken = take_message(line, "identify")
    assert isinstance(taken, tuple)
    assert taken[1] is line
    assert isinstance(taken[0], Event)
    assert taken[0].kind == Kind.IDENTIFY


@pytest.mark.parametrize("kind", ["track", None])
@pytest.mark.parametrize(
    "message",
    [
        b'{"writeKey":"secret","type":"track","userId":"a","event":"A"}',
        b'{"type":"track","userId":"a","event":"A","writeKey":"secret"}',
        b'{"type":"track","userId":"a","writeKey":{"deep":["secret"]},"event":"A"}',
        b'{"type":"track","writeKey":"secret","userId":"a","writeKey":"secret","event":"A"}',
    ],
)
def test_no_write_key_is_kept(message: bytes, kind: str | None) -> None:
    taken = take_message(message, kind)
    assert isinstance(taken, tuple)
    assert taken[1] == b'{"type":"track","userId":"a","event":"A"}'
    assert b"secret" not in take_batch([message, b'{"type":"track","userId":"a","event":"B"}']).body


def test_a_property_called_write_key_is_a_property() -> None:
    message = b'{"type":"track","userId":"a","event":"A","properties":{"writeKey":"kept"}}'
    taken = take_message(message, "track")
    assert isinstance(taken, tuple)
    assert taken[1] == message
