"""HTTP/1.1 without sockets: any cut of the bytes gives the same requests, what is ambiguous is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.intake.http1 import CONTINUE, Exchange, Http1, encode_response
from api.intake.segment_api import Head, Reception, Response, refusal
from engine.limits import (
    EVENTS_BODY_BYTES_MAX,
    INTAKE_HEADER_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    SEGMENT_BATCH_BYTES_MAX,
)

POST = b"POST /v1/track HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"


def parser() -> Http1:
    reception = Reception()
    return Http1(lambda head: reception.judge(head, local=True))


def feed(*chunks: bytes) -> list[Exchange]:
    http = parser()
    return [exchange for chunk in chunks for exchange in http.feed(chunk)]


def only(*chunks: bytes) -> Exchange:
    [exchange] = feed(*chunks)
    return exchange


def status(exchange: Exchange) -> int | None:
    return exchange.refused.status if exchange.refused else None


def test_a_request_with_a_length() -> None:
    found = only(
        POST + b"Content-Length: 3\r\nContent-Encoding: GZIP\r\nAuthorization: Basic eA==\r\n\r\nabc"
    )
    assert found == Exchange(Head("POST", "/v1/track", b"Basic eA==", b"gzip"), b"abc", None, False)


def test_a_chunked_request_and_its_trailers() -> None:
    body = b"3;note=x\r\nabc\r\n2\r\nde\r\n0\r\nContent-Encoding: br\r\nHost: b\r\n\r\n"
    found = only(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert (found.body, found.refused, found.head.encoding) == (b"abcde", None, b"")


SEVERAL = (
    POST + b"Content-Length: 3\r\n\r\nabc" + GET + b"\r\n"
    b"POST /v1/none HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
    + POST
    + b"Transfer-Encoding: chunked\r\nOrigin: http://x\r\n\r\n1\r\na\r\n0\r\n\r\n"
    + GET
    + b"Connection: close\r\n\r\n"
)


@given(st.lists(st.integers(0, len(SEVERAL)), max_size=12).map(sorted))
def test_pipelined_requests_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    ends = [0, *cuts, len(SEVERAL)]
    found = feed(*(SEVERAL[start:end] for start, end in pairwise(ends)))
    assert found == feed(SEVERAL)
    assert [(one.body, status(one), one.last) for one in found] == [
        (b"abc", None, False),
        (b"", None, False),
        (b"", 404, False),
        (b"", 403, False),
        (b"", None, True),
    ]


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: -3\r\n\r\n",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        POST + b"X : 1\r\n\r\n",
        POST + b"X: 1\r\n folded\r\n\r\n",
        POST + b"Host: b\r\n\r\n",
        POST + b"Authorization: a\r\nAuthorization: b\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST /v1/track HTTP/1.1\nHost: a\n\n",
        b"POST /v1/track HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"BREW /v1/track HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        GET + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        GET + b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n",
    ],
)
def test_what_is_malformed_or_ambiguous_is_a_400_and_the_end(request_: bytes) -> None:
    http = parser()
    found = http.feed(GET + b"\r\n" + request_ + GET + b"\r\n")
    assert status(found[0]) is None
    assert status(found[1]) == 400
    assert len(found) == 2
    assert [one.last for one in found] == [False, True]
    assert http.closed
    assert http.feed(GET + b"\r\n") == []


def test_an_upgrade_header_without_connection_upgrade_is_ignored() -> None:
    assert only(GET + b"Upgrade: h2c\r\n\r\n").refused is None


def test_bytes_after_the_last_request_are_nobodys() -> None:
    [found] = feed(GET + b"Connection: close\r\n\r\n" + GET + b"\r\n")
    assert (found.last, found.refused) == (True, None)
    [old] = feed(b"GET /healthz HTTP/1.0\r\n\r\n", b"GET /healthz HTTP/1.0\r\n\r\n")
    assert old.last


@pytest.mark.parametrize("chunk", [1 << 20, 1_000, 100])
def test_a_head_is_bounded(chunk: int) -> None:
    endless = GET + b"X: " + b"x" * 200_000
    http = parser()
    fed = 0
    while not http.closed:
        assert fed <= INTAKE_HEADER_BYTES_MAX + chunk, "the bound is a read late at most"
        found = http.feed(endless[fed : fed + chunk])
        fed += chunk
        if fed > len(endless):
            found = http.feed(b"\r\n\r\n")
    assert [status(one) for one in found] == [431]


def test_many_small_headers_and_a_long_target_are_bounded_too() -> None:
    assert status(only(GET + b"X: y\r\n" * 9_000 + b"\r\n")) == 431
    assert status(only(b"GET /" + b"x" * 20_000)) == 431
    assert status(only(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 9_000)) == 431


@pytest.mark.parametrize(
    ("path", "most", "refused"),
    [
        (b"/v1/track", MESSAGE_BYTES_MAX, 400),
        (b"/v1/batch", SEGMENT_BATCH_BYTES_MAX, 400),
        (b"/v1/events", EVENTS_BODY_BYTES_MAX, 413),
        (b"/none", MESSAGE_BYTES_MAX, 404),
        (b"/healthz", 0, 405),
    ],
)
def test_a_body_is_bounded_by_its_path(path: bytes, most: int, refused: int) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n"
    http = parser()
    [declared] = http.feed(head + b"Content-Length: %d\r\n\r\n" % (most + 1))
    assert (status(declared), declared.last) == (refused, True)
    [chunked] = feed(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (most + 1), bytes(most + 1))
    assert (status(chunked), chunked.last) == (refused, True)
    [fits] = feed(head + b"Content-Length: %d\r\n\r\n" % most, bytes(most))
    assert not fits.last


def test_the_body_of_a_refused_request_is_not_held() -> None:
    http = parser()
    http.feed(POST + b"Origin: http://x\r\nContent-Length: 9\r\n\r\nabcd")
    assert http.held_bytes == 0
    assert not http.idle
    [found] = http.feed(b"efghi")
    assert (status(found), found.body, found.last) == (403, b"", False)
    assert http.idle


def test_a_request_refused_while_its_body_arrives_keeps_the_connection() -> None:
    http = parser()
    http.feed(POST + b"Content-Length: 9\r\n\r\nabcd")
    assert http.held_bytes == 4
    http.refuse(refusal(429, "slow_down", "Later."))
    assert http.held_bytes == 0
    found = http.feed(b"efghi" + GET + b"\r\n")
    assert [(status(one), one.last) for one in found] == [(429, False), (None, False)]


def test_100_continue_is_said_once_and_only_while_it_is_waited_for() -> None:
    http = parser()
    assert http.feed(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n") == []
    assert http.interim() == CONTINUE
    assert http.interim() == b""
    assert http.feed(b"abc")[0].body == b"abc"
    http.feed(POST + b"Content-Length: 3\r\nExpect: 100-Continue\r\n\r\nab")
    assert http.interim() == b""


def test_what_is_refused_anyway_is_not_asked_for_its_body() -> None:
    http = parser()
    [found] = http.feed(b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert (status(found), found.last, http.interim()) == (404, True, b"")


def test_targets() -> None:
    assert only(b"GET http://a/healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").head.path == "/healthz"
    assert only(b"GET /healthz?deep=1 HTTP/1.1\r\nHost: a\r\n\r\n").head.path == "/healthz"
    assert only(b"GET //healthz HTTP/1.1\r\nHost: a\r\n\r\n").head.path == "//healthz"


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    http = parser()
    for chunk in chunks:
        http.feed(chunk)
        http.interim()


_parts = st.sampled_from(
    [
        *(POST, GET, b"\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"abc"),
        *(b"0\r\n\r\n", b"3\r\nabc\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
        *(b"Upgrade: x\r\n", b"Connection: upgrade\r\n", b"Origin: x\r\n", b"Content-Length: 3000000\r\n"),
        *(b"\r", b"\n", b"\0", b":", b" "),
    ]
)


@given(st.lists(_parts, max_size=30).map(b"".join), st.integers(1, 50))
def test_nearly_http_gives_the_same_however_it_is_cut(data: bytes, size: int) -> None:
    cut = feed(*(data[at : at + size] for at in range(0, len(data), size)))
    whole = feed(data)
    assert [(one.head, one.body, status(one)) for one in cut] == [
        (one.head, one.body, status(one)) for one in whole
    ]
    assert all(not one.last for one in whole[:-1])


def test_responses() -> None:
    found = encode_response(Response(429, b"{}", retry_after_s=3), b"today", last=True)
    assert found == (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Retry-After: 3\r\nConnection: close\r\nDate: today\r\n\r\n{}"
    )
    assert b"Allow: POST\r\n" in encode_response(Response(405, b"{}", allow="POST"), b"", last=False)
    assert b"WWW-Authenticate: Basic" in encode_response(Response(401, b"{}"), b"", last=False)
    assert encode_response(Response(200, b"{}"), b"", last=False, bodiless=True).endswith(b"\r\n\r\n")
