"""Segment's API without sockets: which requests are taken, what of them is kept, what is answered."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.intake.segment_api import ROUTES, Head, Reception, Response, Taking, unavailable, unpack
from api.intake.segment_messages import pieces, take_batch, take_message
from api.keys import Keys
from engine.errors import Unavailable
from engine.limits import EVENTS_BODY_BYTES_MAX, MESSAGE_BYTES_MAX, REJECTIONS_LISTED_MAX
from engine.wire import Event, Rejection, decode_lines
from ext.wire.event import Kind

OPEN = Reception()
KEYED = Reception(Keys(["secret", "other"]))


def head(path: str, *, method: str = "POST", key: str | None = None, **fields: Any) -> Head:
    if key is not None:
        fields["authorization"] = b"Basic " + base64.b64encode(f"{key}:".encode())
    return Head(method, path, **fields)


def receive(path: str, body: object, reception: Reception = OPEN, **fields: Any) -> Taking | Response:
    asked = head(path, **fields)
    refused = reception.judge(asked, local=True)
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return refused or reception.receive(asked, raw)


def kept(taking: Taking | Response) -> bytes:
    assert isinstance(taking, Taking), taking
    return b"".join(part.body for part in taking.parts())


def taken(taking: Taking | Response) -> list[Event]:
    assert isinstance(taking, Taking), taking
    return [one for part in taking.parts() for one in part.inputs if isinstance(one, Event)]


def answer(response: Taking | Response) -> tuple[int, Any]:
    if isinstance(response, Taking):
        list(response.parts())
        response = response.answer()
    return response.status, msgspec.json.decode(response.body)


# Single messages


def test_a_message_without_type_gets_it_from_its_path() -> None:
    body = b'{"userId":"ann","event":"Ordered","properties":{"price": 1.10, "id": 12345678901234567890}}'
    kept_line = kept(receive("/v1/track", body))
    assert kept_line == b'{"type":"track",' + body[1:] + b"\n"
    [event] = decode_lines(kept_line).inputs
    assert isinstance(event, Event)
    assert (event.kind, event.contact, event.name) == (Kind.TRACK, "ann", "Ordered")
    assert event.body == b'{"price": 1.10, "id": 12345678901234567890}'


@pytest.mark.parametrize(
    ("path", "fields", "kind", "name"),
    [
        ("/v1/track", {"event": "A"}, Kind.TRACK, "A"),
        ("/v1/t", {"event": "A"}, Kind.TRACK, "A"),
        ("/v1/identify", {"traits": {}}, Kind.IDENTIFY, ""),
        ("/v1/alias", {"previousId": "old"}, Kind.ALIAS, ""),
        ("/v1/page", {"name": "Home"}, Kind.TRACK, "Page Viewed"),
        ("/v1/screen/", {}, Kind.TRACK, "Screen Viewed"),
        ("/v1/group", {"groupId": 7, "traits": {"plan": "x"}}, Kind.TRACK, "Group Joined"),
    ],
)
def test_every_path_takes_its_kind(path: str, fields: dict[str, object], kind: Kind, name: str) -> None:
    found = receive(path, {"userId": "ann", **fields})
    [event] = taken(found)
    assert (event.kind, event.name) == (kind, name)
    assert answer(found) == (200, {"success": True})


def test_a_type_that_contradicts_the_path_is_refused() -> None:
    status, found = answer(receive("/v1/track", {"type": "identify", "userId": "ann", "event": "A"}))
    assert (status, found["code"]) == (400, "type_mismatch")
    assert kept(receive("/v1/track", b'{"userId":"a","event":"A","type":"track"}')) == (
        b'{"userId":"a","event":"A","type":"track"}\n'
    )


def test_a_property_called_type_is_no_type_of_the_message() -> None:
    [event] = taken(receive("/v1/track", {"userId": "a", "event": "A", "properties": {"type": "x"}}))
    assert event.body == b'{"type":"x"}'


def test_a_message_over_several_lines_is_kept_on_one() -> None:
    body = b'\n{\n  "userId": "ann",\n  "event": "A", "properties": {"n": 1.50,\n "t": "a\\nb"}\n}\n'
    line = kept(receive("/v1/track", body))
    assert line.count(b"\n") == 1
    assert b'"n":1.50' in line
    [event] = taken(receive("/v1/track", body))
    assert msgspec.json.decode(event.body) == {"n": 1.5, "t": "a\nb"}


@pytest.mark.parametrize(
    ("fields", "contact"),
    [
        ({"userId": 42}, "42"),
        ({"userId": -1}, "-1"),
        ({"userId": None, "anonymousId": 7}, "7"),
        ({"userId": None, "anonymousId": "x", "messageId": None, "timestamp": None}, "x"),
        ({"userId": "", "anonymousId": "x"}, "x"),
        ({"userId": "a", "context": None, "integrations": [], "sentAt": 5, "channel": {"x": 1}}, "a"),
    ],
)
def test_envelopes_as_official_clients_send_them_are_taken(fields: dict[str, object], contact: str) -> None:
    [event] = taken(receive("/v1/track", {"event": "A", "properties": None, **fields}))
    assert (event.contact, event.body) == (contact, b"{}")
    [event] = taken(receive("/v1/batch", {"batch": [{"type": "track", "event": "A", **fields}]}))
    assert event.contact == contact


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"[]", "invalid"),
        (b"{}", "invalid"),
        (b'{"userId":"a"}', "invalid"),
        (b'{"event":"A"}', "no_contact"),
        (b'{"userId":"a","event":"A","properties":[]}', "not_an_object"),
        (b'{"userId":"a","event":""}', "bad_event_name"),
        (b'{"userId":"a","event":"A","timestamp":"2020-01-01T00:00:00"}', "bad_timestamp"),
        (b'{"userId":"a","event":"A","timestamp":1577836800}', "invalid"),
        (b'{"userId":true,"event":"A"}', "invalid"),
        (b'{"userId":"\xff","event":"A"}', "not_utf8"),
        (b'{"userId":"a","event":"A","x":"' + b"x" * MESSAGE_BYTES_MAX + b'"}', "too_large"),
        (b'{"userId":"a","event":"A",\n"x":' + b"[" * 9000 + b"]" * 9000 + b"}", "not_json"),
    ],
)
def test_a_bad_message_is_a_400_with_a_code_and_a_sentence(body: bytes, code: str) -> None:
    status, found = answer(receive("/v1/track", body))
    assert (status, found["code"]) == (400, code)
    assert found["message"].endswith(".")


# Batches


def test_a_batch_keeps_the_text_of_its_messages() -> None:
    one = b'{"type":"track","userId":"a","event":"A","properties":{"p":1.10}}'
    two = b'{"type": "identify", "userId": "b"}'
    found = receive("/v1/batch", b'{"batch":[' + one + b" , " + two + b'],"sentAt":"x"}')
    assert kept(found) == one + b"\n" + two + b"\n"
    assert answer(found) == (200, {"success": True})


def test_a_pretty_printed_batch_is_one_line_a_message() -> None:
    body = msgspec.json.format(
        msgspec.json.encode({"batch": [{"type": "track", "userId": "a", "event": str(n)} for n in range(3)]})
    )
    line = kept(receive("/v1/import", body))
    assert [one.name for one in decode_lines(line).inputs if isinstance(one, Event)] == ["0", "1", "2"]
    assert line.count(b"\n") == 3


def test_good_messages_of_a_batch_are_taken_and_bad_ones_are_listed() -> None:
    good = {"type": "track", "userId": "a", "event": "A"}
    found = receive("/v1/batch", {"batch": [good, {"type": "nonsense"}, good, 5]})
    assert len(taken(found)) == 2
    status, body = answer(found)
    assert status == 200
    assert body["success"] is True
    assert [(one["index"], one["code"]) for one in body["rejected"]] == [(1, "invalid"), (3, "invalid")]


def test_a_batch_with_nothing_good_is_a_400() -> None:
    status, body = answer(receive("/v1/batch", {"batch": [{"type": "track", "event": "A"}]}))
    assert (status, body["code"], len(body["rejected"])) == (400, "no_contact", 1)


def test_an_empty_batch_is_a_success() -> None:
    assert answer(receive("/v1/batch", {"batch": []})) == (200, {"success": True})


DEEP = b'{"batch":' + b"[" * 99_999


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"batch":{}}', b'{"batch":[}', DEEP])
def test_what_is_no_batch_is_a_400(body: bytes) -> None:
    status, found = answer(receive("/v1/batch", body))
    assert (status, found["code"]) == (400, "invalid")


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"event": st.text(max_size=5), "properties": _values},
            optional={"userId": _values, "anonymousId": _values, "messageId": _values, "type": _values},
        ),
        max_size=4,
    ),
    st.sampled_from([None, 0, 2]),
)
def test_what_is_kept_of_a_batch_decodes_again_to_the_same(messages: list[Any], indent: int | None) -> None:
    for number, message in enumerate(messages):
        if number % 2:
            message["type"] = "track"
    raws = [msgspec.json.encode(message) for message in messages]
    if indent is not None:
        raws = [msgspec.json.format(raw, indent=indent) for raw in raws]
    found = take_batch(raws)
    again = decode_lines(found.body)
    assert not again.rejected
    assert [repr(one) for one in again.inputs] == [repr(one) for one in found.inputs]
    assert found.body.count(b"\n") == len(found.inputs)
    assert len(found.inputs) + len(found.rejected) == len(messages) == found.lines


@given(st.binary(max_size=60), st.sampled_from([None, "track", "identify"]))
def test_any_bytes_are_taken_or_rejected(data: bytes, kind: str | None) -> None:
    found = take_message(data, kind)
    assert isinstance(found, Rejection) or b"\n" not in found[1]


# NDJSON


def test_events_answers_how_many_were_taken_and_which_lines_were_not() -> None:
    good = b'{"type":"track","userId":"a","event":"A"}\n'
    body = good + b"\n" + b"nonsense\n" + good + b'{"type":"control","op":"pause"}\n' + good.rstrip()
    found = receive("/v1/events", body)
    assert len(taken(found)) == 3
    found = receive("/v1/events", body)
    status, counted = answer(found)
    assert status == 200
    assert counted["accepted"] == 3
    assert [one["line"] for one in counted["rejected"]] == [2, 4]


def test_line_numbers_count_through_the_whole_body() -> None:
    good = b'{"type":"track","userId":"a","event":"A"}\n'
    found = receive("/v1/events", good * 20_000 + b"x\n" + good * 20_000 + b"y")
    status, counted = answer(found)
    assert (status, counted["accepted"]) == (200, 40_000)
    assert [one["line"] for one in counted["rejected"]] == [20_000, 40_001]


def test_the_list_of_rejected_lines_is_bounded() -> None:
    _, counted = answer(receive("/v1/events", b"x\n" * 5_000))
    assert len(counted["rejected"]) == REJECTIONS_LISTED_MAX
    assert counted["rejected_unlisted"] == 5_000 - REJECTIONS_LISTED_MAX


_lines = st.binary(max_size=9).map(lambda line: line.replace(b"\n", b""))


@given(st.lists(_lines, max_size=30), st.integers(1, 12))
def test_pieces_end_at_lines_and_lose_nothing(lines: list[bytes], size: int) -> None:
    body = b"\n".join(lines)
    cut = list(pieces(body, size))
    assert b"".join(cut) == body
    assert all(piece.endswith(b"\n") for piece in cut[:-1])
    assert all(len(piece) <= size or piece.rstrip(b"\n").count(b"\n") == 0 for piece in cut)


# Packing, paths and keys


def test_gzip_bodies_are_unpacked_also_in_several_members() -> None:
    asked = head("/v1/track", encoding=b"gzip")
    assert unpack(asked, gzip.compress(b"ab") + gzip.compress(b"cd")) == b"abcd"
    assert unpack(head("/v1/track"), b"ab") == b"ab"


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 99)[:-9], gzip.compress(b"x") + b"rest"])
def test_broken_gzip_is_a_400(body: bytes) -> None:
    assert answer(_refused(unpack(head("/v1/track", encoding=b"gzip"), body)))[0] == 400


@pytest.mark.parametrize(("path", "status"), [("/v1/track", 400), ("/v1/batch", 400), ("/v1/events", 413)])
def test_a_gzip_bomb_stops_at_the_bound_of_its_path(path: str, status: int) -> None:
    bomb = gzip.compress(bytes(EVENTS_BODY_BYTES_MAX + 1))
    found = _refused(unpack(head(path, encoding=b"gzip"), bomb))
    assert answer(found)[0] == status
    assert b"too_large" in found.body


def _refused(found: bytes | Response) -> Response:
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (head("/"), 404),
        (head("/v1/tracks"), 404),
        (head("/v1/track", method="GET"), 405),
        (head("/healthz", method="POST"), 405),
        (head("/v1/track", encoding=b"br"), 415),
        (head("/v1/track", from_browser=True), 403),
    ],
)
def test_what_is_refused_before_the_body(asked: Head, status: int) -> None:
    found = OPEN.judge(asked, local=True)
    assert found is not None
    assert found.status == status


def test_405_says_what_is_allowed() -> None:
    found = OPEN.judge(head("/v1/track", method="GET"), local=True)
    assert found is not None
    assert found.allow == "POST"


def test_health_is_told_to_anybody() -> None:
    assert KEYED.judge(head("/healthz", method="GET"), local=False) is None
    assert answer(receive("/healthz", b"", method="GET")) == (200, {"status": "ok"})
    assert KEYED.judge(head("/healthz", method="HEAD"), local=False) is None


def test_without_keys_only_this_machine_is_served() -> None:
    found = OPEN.judge(head("/v1/track", key="whatever"), local=False)
    assert found is not None
    assert found.status == 403
    assert OPEN.judge(head("/v1/track", key="whatever"), local=True) is None


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/events"])
@pytest.mark.parametrize("local", [True, False])
def test_with_keys_everybody_needs_one(path: str, local: bool) -> None:
    assert KEYED.judge(head(path, key="secret"), local=local) is None
    assert KEYED.judge(head(path, key="other"), local=local) is None
    assert KEYED.judge(head(path, key="secret", from_browser=True), local=local) is None
    for wrong in ("", "secre", "secret2", "Secret", "secret\N{SNOWMAN}"):
        found = KEYED.judge(head(path, key=wrong), local=local)
        assert found is not None
        assert found.status == 401


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (b"basic " + base64.b64encode(b"secret:"), True),
        (b"Basic  " + base64.b64encode(b"secret:password is ignored"), True),
        (b"Basic " + base64.b64encode(b"secret"), True),
        (b"Bearer secret", True),
        (b"bearer  secret", True),
        (b"Bearer secre", False),
        (b"Basic", False),
        (b"Basic ???", False),
        (b"secret", False),
    ],
)
def test_spellings_of_basic_authentication(header: bytes, accepted: bool) -> None:
    assert (KEYED.judge(head("/v1/events", authorization=header), local=True) is None) is accepted


def test_a_write_key_in_the_body_serves_where_there_is_no_header() -> None:
    message = {"type": "track", "userId": "a", "event": "A"}
    assert len(taken(receive("/v1/b", {"batch": [message], "writeKey": "secret"}, KEYED))) == 1
    assert len(taken(receive("/v1/t", {**message, "writeKey": "secret"}, KEYED))) == 1
    for key in ("wrong", None, 5, ["secret"]):
        assert answer(receive("/v1/b", {"batch": [message], "writeKey": key}, KEYED))[0] == 401
        assert answer(receive("/v1/t", {**message, "writeKey": key}, KEYED))[0] == 401
    assert answer(receive("/v1/t", message, KEYED))[0] == 401
    assert answer(receive("/v1/t", b"nonsense", KEYED))[0] == 400
    assert answer(receive("/v1/events", b"", KEYED))[0] == 401
    wrong_header_wins = receive("/v1/t", {**message, "writeKey": "secret"}, KEYED, key="wrong")
    assert answer(wrong_header_wins)[0] == 401


def test_every_documented_path_is_there() -> None:
    names = ["track", "identify", "alias", "page", "screen", "group", "batch", "events"]
    assert {f"/v1/{name}" for name in names} < set(ROUTES)


def test_unavailable_says_when_to_ask_again() -> None:
    response = unavailable(Unavailable("journal_full", "The disk is full.", retry_after_s=7))
    assert (response.status, response.retry_after_s) == (503, 7)
    assert msgspec.json.decode(response.body) == {"code": "journal_full", "message": "The disk is full."}
    assert unavailable(Unavailable("slow_down", "x")).status == 429
