"""Input lines: accepted and rejected ones, and a replay that reads the accepted bytes again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import limits
from engine.model import Control
from engine.wire import Rejection, decode_line, decode_lines, encode_control
from ext.wire.event import Event

GOOD = b'{"type":"track","userId":"c1","event":"Order Completed","properties":{"total":70.5}}'


def test_a_line_of_each_kind() -> None:
    lines = b"\n".join(
        [
            GOOD,
            b'{"type":"identify","anonymousId":"c2","traits":{"email":"a@b.c"}}',
            b'{"type":"alias","userId":"c1","previousId":"c2"}',
            b'{"type":"page","userId":"c1","name":"Home","properties":{"path":"/"}}',
            b'{"type":"group","userId":"c1","groupId":7,"traits":null}',
        ]
    )
    decoded = decode_lines(lines)
    assert not decoded.rejected
    found = [item for item in decoded.inputs if isinstance(item, Event)]
    assert [event.name for event in found] == [
        "Order Completed",
        "",
        "",
        "Page Viewed",
        "Group Joined",
    ]
    assert [event.contact for event in found] == ["c1", "c2", "c1", "c1", "c1"]
    assert json.loads(found[3].body) == {"name": "Home", "path": "/"}
    assert json.loads(found[4].body) == {"groupId": 7}
    assert decoded.body == lines + b"\n"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"not json", "not_json"),
        (b'{"type":"track","userId":"c1"}', "invalid"),
        (b'{"type":"dance","userId":"c1"}', "invalid"),
        (b'{"type":"track","event":"X"}', "no_contact"),
        (b'{"type":"track","userId":"c1","event":""}', "bad_event_name"),
        (b'{"type":"track","userId":"' + b"c" * 257 + b'","event":"X"}', "contact_too_long"),
        (b'{"type":"track","userId":"c1","event":"X","timestamp":"yesterday"}', "bad_timestamp"),
        (b'{"type":"track","userId":"c1","event":"X","properties":[1]}', "not_an_object"),
        (b'{"type":"track","userId":"c1","event":"X","properties":{"a":1e999}}', "number_out_of_range"),
        (b'{"type":"track","userId":"c1","event":"X","properties":{"a":"\xff"}}', "not_utf8"),
        (
            b'{"type":"track","userId":"c1","event":"X","properties":{"a":' + b"[" * 40 + b"]" * 40 + b"}}",
            "too_deep",
        ),
        (
            b'{"type":"track","userId":"c1","event":"X","context":' + b"[" * 9999 + b"]" * 9999 + b"}",
            "too_deep",
        ),
        (GOOD + GOOD, "not_one_line"),
        (GOOD[:-1] + b" " * limits.MESSAGE_BYTES_MAX + b"}", "too_large"),
        (b'{"type":"control","op":"pause","flow":"f"}', "invalid"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_taken(line: bytes, code: str) -> None:
    decoded = decode_lines(GOOD + b"\n" + line + b"\n\n" + GOOD)
    assert [(rejection.line, rejection.code) for rejection in decoded.rejected] == [(1, code)]
    assert decoded.body == (GOOD + b"\n") * 2
    assert (len(decoded.inputs), decoded.lines) == (2, 4)


def test_a_message_over_two_lines_is_two_bad_lines() -> None:
    decoded = decode_lines(GOOD.replace(b",", b",\n", 1))
    assert [rejection.code for rejection in decoded.rejected] == ["not_one_line", "not_one_line"]
    assert not decoded.inputs


def test_operations_are_taken_only_where_they_are_asked_for() -> None:
    control = Control("pause", {"flow": "f"})
    body = GOOD + b"\n" + encode_control(control)
    assert decode_lines(body, control=True).inputs[1] == control
    assert [rejection.line for rejection in decode_lines(body).rejected] == [1]


@given(
    st.lists(
        st.one_of(st.just(GOOD), st.binary(max_size=60), st.text(max_size=40).map(str.encode)), max_size=6
    )
)
def test_accepted_lines_are_accepted_again_whatever_stood_around_them(lines: list[bytes]) -> None:
    decoded = decode_lines(b"\n".join(lines))
    again = decode_lines(decoded.body)
    assert not again.rejected
    assert [repr(one) for one in again.inputs] == [repr(one) for one in decoded.inputs]
    assert again.body == decoded.body


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_rejection(line: bytes) -> None:
    taken = decode_line(line)
    assert isinstance(taken, Rejection) or (isinstance(taken, Event) and taken.contact)


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_a_number_no_double_can_hold_is_rejected_beside_a_name_too(kind: str) -> None:
    line = b'{"type":"%s","userId":"c1","name":"Home","properties":{"n":1e400}}' % kind.encode()
    assert [rejection.line for rejection in decode_lines(GOOD + b"\n" + line).rejected] == [1]
