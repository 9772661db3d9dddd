"""A head known already means what the parser made of it, and nothing else is skipped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.intake import head_cache
from api.intake.head_cache import Familiar
from api.intake.http1 import Exchange, Http1
from api.intake.segment_api import Head, Reception, Response

POST = b"POST /v1/track HTTP/1.1\r\nHost: a\r\n"
PLAIN = POST + b"Content-Length: 3\r\n\r\nabc"
READS = (
    PLAIN,
    POST + b"Content-Length: 3\r\n\r\nxyz",
    POST + b"Content-Length: 3\r\n\r\nab",
    b"c",
    POST + b"Content-Length: 3\r\n\r\nabc" + PLAIN,
    POST + b"Content-Length: 4\r\n\r\nabcd",
    POST + b"Content-Length: 0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 3\r\nOrigin: http://x\r\n\r\nabc",
    POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /v1/track HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n",
    b"\r\n\r\n" + PLAIN,
    b"nonsense\r\n\r\n",
)


def parser() -> Http1:
    reception = Reception()
    return Http1(lambda head: reception.judge(head, local=True))


def state(http: Http1) -> tuple[bool, bool, int, bytes]:
    return http.idle, http.closed, http.held_bytes, http.interim()


@given(st.lists(st.lists(st.sampled_from(READS), max_size=6), max_size=4))
def test_connections_with_known_heads_as_without(connections: list[list[bytes]]) -> None:
    known = Familiar()
    for reads in connections:
        http, alone = parser(), parser()
        for data in reads:
            assert known.feed(http, data) == alone.feed(data)
            assert state(http) == state(alone)


class CountingHttp1:
    """An Http1 and how often its judge was asked: once per head that was parsed."""

    def __init__(self) -> None:
        self.asked = 0
        self.http = Http1(self._judge)

    def _judge(self, head: Head) -> Response | None:
        self.asked += 1
        return None


def bodies(feed: Callable[[Http1, bytes], list[Exchange]], http: Http1, *reads: bytes) -> list[bytes]:
    return [exchange.body for data in reads for exchange in feed(http, data)]


def test_the_same_head_is_parsed_once_for_all_connections() -> None:
    known, first, second = Familiar(), CountingHttp1(), CountingHttp1()
    assert bodies(known.feed, first.http, *READS[:2]) == [b"abc", b"xyz"]
    assert bodies(known.feed, second.http, *READS[:2]) == [b"abc", b"xyz"]
    assert (first.asked, second.asked) == (1, 0)


@pytest.mark.parametrize("read", [READS[4], READS[7], READS[13], READS[15]])
def test_pipelined_chunked_and_last_requests_are_parsed_every_time(read: bytes) -> None:
    known = Familiar()
    talks = [CountingHttp1(), CountingHttp1()]
    for talk in talks:
        known.feed(talk.http, read)
    assert talks[0].asked == talks[1].asked > 0


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_cache, "HEADS_MAX", 2)
    known, talk = Familiar(), CountingHttp1()
    long = POST + b"X: " + b"x" * head_cache.HEAD_BYTES_MAX + b"\r\nContent-Length: 1\r\n\r\n"
    heads = [POST + b"X: %d\r\nContent-Length: 1\r\n\r\n" % n for n in range(3)]
    for head in (*heads, heads[2], heads[0], heads[2], long, long):
        assert bodies(known.feed, talk.http, head + b"!") == [b"!"]
    assert talk.asked == 3 + 1 + 2, "the third emptied the table, and what is too long was not kept"
