"""HTTP/1.1 requests out of bytes, and responses into bytes. No sockets.

httptools (llhttp) reads the syntax and is strict where request smuggling begins: Content-Length beside
Transfer-Encoding, repeated Content-Length, bare line feeds, folded headers, white space before a colon. The
rest is done here: bounds on head and body, Upgrade, CONNECT and transfer codings but chunked refused, trailers
ignored, the body of a request that is refused anyway thrown away instead of held.

After a syntax error nothing of the connection can be trusted: one 400, then it is closed. The requests that
were complete before the error are still answered, in order.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools
import msgspec

from api.intake.segment_api import (
    UNKNOWN_BODY_BYTES_MAX,
    Head,
    Response,
    reason_of,
    refusal,
    route_of,
    too_large,
)
from engine.limits import INTAKE_HEADER_BYTES_MAX

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEADERS = {
    b"authorization": "authorization",
    b"content-encoding": "encoding",
    b"content-length": "length",
    b"expect": "expect",
    b"host": "host",
    b"origin": "origin",
    b"transfer-encoding": "coding",
}


_HEAD_TOO_LARGE = refusal(431, "head_too_large", f"A head has at most {INTAKE_HEADER_BYTES_MAX} bytes.")


class Exchange(msgspec.Struct, frozen=True):
    """A request to be answered. `refused`: the answer is already certain, `body` was not kept.

    `last`: the connection is closed after the answer.
    """

    head: Head
    body: bytes
    refused: Response | None
    last: bool


class _EnoughError(Exception):
    """Stops the parser; the connection ends with the exchange made last."""


class Http1:
    """The requests of one connection. Feed what arrives; each call gives the exchanges completed, in order.

    `judge` is asked once a head is complete: the refusal that is certain then, or None.
    """

    def __init__(self, judge: Callable[[Head], Response | None]) -> None:
        self._judge = judge
        self._parser = httptools.HttpRequestParser(self)
        self._done: list[Exchange] = []
        self.closed = False
        """No further bytes are taken: the last exchange has been given."""
        self.held_bytes = 0
        """Of the body that is arriving."""
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._interim = False
        self._forget()

    def _forget(self) -> None:
        self._url = b""
        self._fields: dict[str, bytes] = {}
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_bytes_max = 0
        self._refused: Response | None = None
        self._last = False
        self.held_bytes = 0

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return not (self._in_head or self._in_body)

    def feed(self, data: bytes) -> list[Exchange]:
        """Feed bytes, cut anywhere.

        Never raises; a request that cannot be read becomes an exchange refused with 400.
        """
        if self.closed:
            return []
        was_in_head = self._in_head
        try:
            self._parser.feed_data(data)
            if was_in_head and self._in_head:
                # A field that is still arriving is in the parser's hands and not counted by on_header yet.
                self._count_head(len(data))
        except httptools.HttpParserUpgrade:
            self._end_with(refusal(400, "no_upgrade", "This port speaks HTTP/1.1 only."))
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                if not isinstance(error.__context__, _EnoughError):
                    raise  # a fault of ours
            else:
                self._end_with(refusal(400, "bad_request", f"This is not HTTP: {error}."))
        except _EnoughError:
            self.closed = True  # the exchange that ends the connection is made already
        done, self._done = self._done, []
        if done and done[-1].last:
            self.closed = True
        return done

    def refuse(self, response: Response) -> None:
        """Answer the request that is arriving with `response`; its body is not kept any more."""
        assert self._in_body, "a request is refused while its body arrives"
        self._refused = response
        self._body.clear()
        self.held_bytes = 0

    def interim(self) -> bytes:
        """Return `100 Continue` if the sender waits for it, once; else b"". Call after sending the answers."""
        if not self._interim:
            return b""
        self._interim = False
        return CONTINUE

    # What httptools calls

    def on_message_begin(self) -> None:
        if self._done and self._done[-1].last:
            raise _EnoughError
        self._forget()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        if not self._in_head:
            return  # a trailer
        field = _HEADERS.get(name.lower())
        if field is None:
            return
        if field in self._fields and field != "expect":
            self._end_with(refusal(400, "bad_request", f"The header {field} is there twice."))
            raise _EnoughError
        self._fields[field] = value

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        parser, fields = self._parser, self._fields
        if parser.should_upgrade():
            self._end_with(refusal(400, "no_upgrade", "This port speaks HTTP/1.1 only."))
            raise _EnoughError
        version = parser.get_http_version()
        self._last = not parser.should_keep_alive()
        self._head = head = Head(
            method=parser.get_method().decode("ascii"),
            path=_path(self._url),
            authorization=fields.get("authorization", b""),
            encoding=fields.get("encoding", b"").lower(),
            from_browser="origin" in fields,
        )
        if version not in ("1.1", "1.0"):
            self._end_with(refusal(400, "bad_version", "This port speaks HTTP/1.1 and HTTP/1.0."))
            raise _EnoughError
        if version == "1.1" and "host" not in fields:
            self._end_with(refusal(400, "no_host", "HTTP/1.1 wants a Host header."))
            raise _EnoughError
        if fields.get("coding", b"chunked").strip().lower() != b"chunked":
            self._end_with(refusal(400, "bad_coding", "Of transfer codings only chunked is taken."))
            raise _EnoughError
        self._refused = self._judge(head)
        route = route_of(head.path)
        self._body_bytes_max = UNKNOWN_BODY_BYTES_MAX if route is None else route.body_bytes_max
        length = int(fields.get("length", b"0"))
        if length > self._body_bytes_max:
            self._end_with(self._refused or too_large(route))
            raise _EnoughError
        if fields.get("expect", b"").lower() == b"100-continue":
            if self._refused is not None:
                self._end_with(self._refused)
                raise _EnoughError
            self._interim = True

    def on_body(self, data: bytes) -> None:
        self._interim = False
        self._body_bytes += len(data)
        if self._body_bytes > self._body_bytes_max:
            assert self._head is not None
            self._end_with(self._refused or too_large(route_of(self._head.path)))
            raise _EnoughError
        if self._refused is None:
            self._body.append(data)
            self.held_bytes += len(data)

    def on_message_complete(self) -> None:
        if self._head is None or (self._done and self._done[-1].last):
            return
        self._in_body = False
        self._interim = False
        self._done.append(Exchange(self._head, b"".join(self._body), self._refused, self._last))
        self._forget()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > INTAKE_HEADER_BYTES_MAX:
            self._end_with(_HEAD_TOO_LARGE)
            raise _EnoughError

    def _end_with(self, response: Response) -> None:
        """Make the last exchange, unless it is made already."""
        if self._done and self._done[-1].last:
            return
        head = self._head or Head("", "")
        self._done.append(Exchange(head, b"", response, True))
        self._forget()
        self._in_head = self._in_body = False


def _path(url: bytes) -> str:
    """Return the path of a request target; `http://host/path` is accepted as RFC 9112 demands."""
    if not url.startswith(b"/") and b"://" in url:
        url = b"/" + url.split(b"://", 1)[1].partition(b"/")[2]
    return url.partition(b"?")[0].decode("latin-1")


def encode_response(response: Response, date: bytes, *, last: bool, bodiless: bool = False) -> bytes:
    """Return the bytes of a response. `date`: value of the Date header; `bodiless`: the answer to a HEAD."""
    head = [
        f"HTTP/1.1 {response.status} {reason_of(response.status)}\r\nContent-Type: application/json\r\n",
        f"Content-Length: {len(response.body)}\r\n",
    ]
    if response.retry_after_s:
        head.append(f"Retry-After: {response.retry_after_s}\r\n")
    if response.allow:
        head.append(f"Allow: {response.allow}\r\n")
    if response.status == 401:
        head.append('WWW-Authenticate: Basic realm="tidemill", charset="UTF-8"\r\n')
    if last:
        head.append("Connection: close\r\n")
    return b"".join(
        ("".join(head).encode("ascii"), b"Date: ", date, b"\r\n\r\n", b"" if bodiless else response.body)
    )
