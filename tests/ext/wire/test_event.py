"""Events: what becomes of decoded messages, against the json module where there is something to compare."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.limits import CONTACT_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX, JSON_DEPTH_MAX, MESSAGE_ID_BYTES_MAX
from engine.wire import Message
from ext.wire import instant
from ext.wire.event import Event, Kind, convert, depth_of

messages: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)

NO_INSTANT = -(1 << 63)


def message(**fields: Any) -> Message:
    return messages.decode(json.dumps({"type": "track", "userId": "c1", "event": "Signed Up", **fields}))


def event(**fields: Any) -> Event:
    (taken,), rejected = convert([message(**fields)], 0)
    assert rejected == []
    assert taken is not None
    return taken


def code(**fields: Any) -> str:
    (taken,), ((line, code, sentence),) = convert([message(**fields)], 41)
    assert (taken, line) == (None, 41)
    assert sentence.endswith(".")
    return code


def test_a_track_becomes_an_event() -> None:
    taken = event(
        messageId="m1", timestamp="2026-08-10T13:00:00+01:00", properties={"total": 70.0, "items": [1]}
    )
    assert (taken.kind, taken.contact, taken.name, taken.message_id) == (Kind.TRACK, "c1", "Signed Up", "m1")
    assert taken.timestamp_ms == instant.parse("2026-08-10T12:00:00Z")
    assert json.loads(taken.body) == {"total": 70.0, "items": [1]}
    assert taken.previous is None


def test_what_is_left_out_is_nothing() -> None:
    taken = event()
    assert (taken.timestamp_ms, taken.message_id, taken.previous) == (NO_INSTANT, None, None)
    assert taken.body == b"{}"
    assert event(properties=None).body == b"{}"
    assert event(messageId="").message_id is None


@pytest.mark.parametrize(
    ("fields", "kind", "name"),
    [
        ({"type": "identify", "traits": {"a": 1}}, Kind.IDENTIFY, ""),
        ({"type": "alias", "previousId": "old"}, Kind.ALIAS, ""),
        ({"type": "page", "properties": {"a": 1}}, Kind.TRACK, "Page Viewed"),
        ({"type": "screen", "properties": {"a": 1}}, Kind.TRACK, "Screen Viewed"),
        ({"type": "group", "traits": {"a": 1}}, Kind.TRACK, "Group Joined"),
    ],
)
def test_the_other_kinds_of_message(fields: dict[str, Any], kind: Kind, name: str) -> None:
    taken = event(**fields)
    assert (taken.kind, taken.name) == (kind, name)
    assert taken.previous == fields.get("previousId")
    assert json.loads(taken.body) == ({} if kind == Kind.ALIAS else {"a": 1})


def test_a_contact_without_an_account_goes_by_its_anonymous_id() -> None:
    assert event(userId=None, anonymousId="a1").contact == "a1"
    assert event(userId="", anonymousId="a1").contact == "a1"
    assert event(userId="c1", anonymousId="a1").contact == "c1"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"userId": None}, "no_contact"),
        ({"userId": "", "anonymousId": ""}, "no_contact"),
        ({"userId": "é" * (CONTACT_ID_BYTES_MAX // 2) + "x"}, "contact_too_long"),
        ({"event": ""}, "bad_event_name"),
        ({"event": "é" * (EVENT_NAME_BYTES_MAX // 2) + "x"}, "bad_event_name"),
        ({"messageId": "m" * (MESSAGE_ID_BYTES_MAX + 1)}, "message_id_too_long"),
        ({"timestamp": "yesterday"}, "bad_timestamp"),
        ({"timestamp": ""}, "bad_timestamp"),
        ({"type": "alias", "previousId": ""}, "bad_previous_id"),
        ({"type": "alias", "previousId": "p" * (CONTACT_ID_BYTES_MAX + 1)}, "bad_previous_id"),
        ({"properties": [1]}, "not_an_object"),
        ({"properties": "text"}, "not_an_object"),
        ({"properties": 5}, "not_an_object"),
        ({"type": "identify", "traits": True}, "not_an_object"),
    ],
)
def test_a_message_that_breaks_a_rule_is_rejected_with_a_code(fields: dict[str, Any], expected: str) -> None:
    assert code(**fields) == expected


def test_the_bounds_themselves_are_allowed() -> None:
    taken = event(
        userId="é" * (CONTACT_ID_BYTES_MAX // 2),
        event="é" * (EVENT_NAME_BYTES_MAX // 2),
        messageId="m" * MESSAGE_ID_BYTES_MAX,
    )
    assert len(taken.contact.encode()) == CONTACT_ID_BYTES_MAX
    assert event(type="alias", previousId="p" * CONTACT_ID_BYTES_MAX).kind == Kind.ALIAS


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400 + ".0"])
def test_a_number_larger_than_a_double_is_rejected(number: str) -> None:
    raw = f'{{"type":"track","userId":"c1","event":"E","properties":{{"n":{number}}}}}'
    (taken,), ((_, code, _),) = convert([messages.decode(raw)], 0)
    assert (taken, code) == (None, "number_out_of_range")


@pytest.mark.parametrize("number", ["1e300", "123456789012345678", "0.1234567890123456789"])
def test_a_number_that_looks_unusual_and_is_not(number: str) -> None:
    raw = f'{{"type":"track","userId":"c1","event":"E","properties":{{"n":{number}}}}}'
    (taken,), rejected = convert([messages.decode(raw)], 0)
    assert rejected == []
    assert taken is not None
    assert taken.body == f'{{"n":{number}}}'.encode()


def test_lines_are_counted_from_the_first() -> None:
    taken, rejected = convert([message(), message(event=""), message(), message(userId=None)], 10)
    assert [found is None for found in taken] == [False, True, False, True]
    assert [(line, code) for line, code, _ in rejected] == [(11, "bad_event_name"), (13, "no_contact")]


def test_an_event_can_be_made_by_hand_and_does_not_change() -> None:
    made = Event(Kind.TRACK, "c1", "Signed Up")
    assert (made.body, made.timestamp_ms, made.message_id) == (b"{}", NO_INSTANT, None)
    assert repr(made) == "<Event track 'Signed Up' of 'c1'>"
    for name in ("kind", "contact", "name", "body", "timestamp_ms", "message_id", "previous"):
        with pytest.raises(AttributeError):
            setattr(made, name, getattr(made, name))


@pytest.mark.parametrize("name", ["contact", "name", "body"])
def test_an_event_has_no_missing_parts(name: str) -> None:
    parts: dict[str, Any] = {"contact": "c1", "name": "E", "body": b"{}", name: None}
    with pytest.raises(TypeError):
        Event(Kind.TRACK, **parts)


def depth(value: object) -> int:
    """The twin of `depth_of`, on the decoded value."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
tricky = st.sampled_from(['"', "\\", '\\"', "{[", "]}", '\\\\"{', "1e5", "\\u005b"])
values = st.recursive(
    st.one_of(scalars, tricky),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=4), tricky), inner, max_size=4),
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_depth_is_that_of_the_decoded_value(value: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert depth_of(text.encode("utf-8", "surrogatepass")) == depth(value)


@settings(deadline=None)
@given(depth=st.integers(1, 2 * JSON_DEPTH_MAX), width=st.integers(0, 3), arrays=st.booleans())
def test_deeper_than_the_bound_is_rejected(depth: int, width: int, arrays: bool) -> None:
    inner: Any = {}
    for _ in range(depth - 1):
        inner = {"in": [inner] if arrays else inner, **{str(n): {} for n in range(width)}}
    deep = depth_of(json.dumps(inner).encode()) > JSON_DEPTH_MAX
    if deep:
        assert code(properties=inner) == "too_deep"
    else:
        assert json.loads(event(properties=inner).body) == inner


@settings(deadline=None)
@given(properties=st.dictionaries(st.text(max_size=6), values, max_size=5))
def test_properties_are_kept_as_they_came(properties: dict[str, Any]) -> None:
    raw = json.dumps(properties)
    line = f'{{"type":"track","userId":"c1","event":"E","properties":{raw}}}'
    (taken,), rejected = convert([messages.decode(line)], 0)
    assert rejected == []
    assert taken is not None
    assert taken.body == raw.encode()
