"""Segment's HTTP API as a function: a request in, inputs to be made durable and the answer out. No sockets.

The fast listener (`api.intake.http_listener`) and the Quart app serve the same paths by the same code:

    head -> Reception.judge -> refused before the body, or
    body -> Reception.receive -> refused, or a Taking: parts to submit in order, then the answer

One bad message does not spoil a batch: the official clients drop the whole batch at a 400 and do not look
at the body of a 200, so the good ones are taken and the others listed under `rejected`. Only a batch with
nothing good in it is a 400.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

import msgspec

from api.intake.segment_messages import DECODE_ERRORS, pieces, sentence, take_batch, take_each, take_message
from api.keys import Keys
from api.refusals import status_of
from engine.errors import Unavailable
from engine.limits import (
    EVENTS_BODY_BYTES_MAX,
    GZIP_MEMBERS_MAX,
    MESSAGE_BYTES_MAX,
    REJECTIONS_LISTED_MAX,
    SEGMENT_BATCH_BYTES_MAX,
)
from engine.model import Input
from engine.tuning import STREAM_READ_BYTES
from engine.wire import Decoded, Rejection, decode_lines


class Head(msgspec.Struct, frozen=True):
    """The head of a request. Header values are as sent, b"" for a missing one."""

    method: str
    path: str
    """Without the query."""
    authorization: bytes = b""
    encoding: bytes = b""
    """Content-Encoding."""
    from_browser: bool = False
    """It has an `Origin`."""


class Response(msgspec.Struct, frozen=True):
    """An answer: `body` is JSON. `retry_after_s` and `allow` become headers where they are set."""

    status: int
    body: bytes
    retry_after_s: int = 0
    allow: str = ""


class Route(msgspec.Struct, frozen=True):
    """The kind of a path: a type of message, `batch`, `events` or `health`."""

    kind: str
    method: str
    body_bytes_max: int


_single = {
    kind: Route(kind, "POST", MESSAGE_BYTES_MAX)
    for kind in ("track", "identify", "alias", "page", "screen", "group")
}
_batch = Route("batch", "POST", SEGMENT_BATCH_BYTES_MAX)

ROUTES = {
    **{f"/v1/{kind}": route for kind, route in _single.items()},
    **{f"/v1/{kind[0]}": route for kind, route in _single.items()},
    "/v1/batch": _batch,
    "/v1/import": _batch,
    "/v1/b": _batch,
    "/v1/events": Route("events", "POST", EVENTS_BODY_BYTES_MAX),
    "/healthz": Route("health", "GET", 0),
}
"""The documented paths, and those official clients use: `/v1/import` (Java), `/v1/b`, `/v1/t`… (phones)."""

PACKED = (b"gzip", b"x-gzip")
"""The Content-Encodings that `unpack` unpacks."""

UNKNOWN_BODY_BYTES_MAX = MESSAGE_BYTES_MAX
"""A body for a path that does not exist is read (and thrown away) up to here, to keep the connection."""


class Taking:
    """A request that is to be taken: submit each of `parts()` in order, then give `answer()`.

    A part without inputs needs no submitting. Nothing was changed yet when this is made.
    """

    __slots__ = ("_answer", "_part")

    def __init__(self, part: Decoded, answer: Response) -> None:
        self._part = part
        self._answer = answer

    def parts(self) -> Iterable[Decoded]:
        return (self._part,)

    def answer(self) -> Response:
        """Answer once all parts are durable."""
        return self._answer


class EventsTaking(Taking):
    """A body of NDJSON, decoded piece by piece, so that the loop is held for one piece at a time."""

    __slots__ = ("_accepted", "_body", "_rejected", "_unlisted")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._accepted = 0
        self._rejected: list[Rejection] = []
        self._unlisted = 0

    def parts(self) -> Iterator[Decoded]:
        first = 0
        for piece in pieces(self._body, STREAM_READ_BYTES):
            decoded = decode_lines(piece)
            self._accepted += len(decoded.inputs)
            for wrong in decoded.rejected:
                if len(self._rejected) < REJECTIONS_LISTED_MAX:
                    self._rejected.append(Rejection(first + wrong.line, wrong.code, wrong.detail))
                else:
                    self._unlisted += 1
            first += decoded.lines
            yield decoded

    def answer(self) -> Response:
        """Return `{"accepted", "rejected"}`; `rejected_unlisted` counts those beyond the bound."""
        found: dict[str, object] = {"accepted": self._accepted, "rejected": self._rejected}
        if self._unlisted:
            found["rejected_unlisted"] = self._unlisted
        return Response(200, msgspec.json.encode(found))


class _KeyInBody(msgspec.Struct):
    writeKey: object = None


class _BatchBody(_KeyInBody, kw_only=True):
    batch: list[msgspec.Raw]


_batches = msgspec.json.Decoder(_BatchBody)
_keys_in_bodies = msgspec.json.Decoder(_KeyInBody)

SUCCESS = Response(200, b'{"success":true}')
HEALTHY = Response(200, b'{"status":"ok"}')


class Reception:
    """Answers for the paths of `ROUTES`. Write keys are those of `keys` that allow events; without any, only local
    peers are served, and no browser pages: one on the same machine could otherwise post events from any site it
    shows. What was judged holds until `keys` change (`Keys.on_change`)."""

    def __init__(self, keys: Keys | None = None) -> None:
        self.keys = keys or Keys()

    def judge(self, head: Head, *, local: bool) -> Response | None:
        """Return the refusal that is certain before the body is read, or None. `local`: the peer is on this
        machine."""
        route = route_of(head.path)
        if route is None:
            return refusal(404, "not_found", f"There is nothing at {head.path[:200]}.")
        if head.method != route.method and not (head.method == "HEAD" and route.method == "GET"):
            allow = "GET, HEAD" if route.method == "GET" else route.method
            return refusal(405, "method_not_allowed", f"{head.path} takes {allow}.", allow=allow)
        if route.kind == "health":
            return None
        if not self.needs_key:
            if not local or head.from_browser:
                return refusal(
                    403,
                    "forbidden",
                    "Without a key for events only local programs are served.",
                )
        elif head.authorization:
            if not self._authorised(head.authorization):
                return refusal(401, "invalid_write_key", "The write key is not one of ours.")
        elif route.kind == "events":
            return refusal(
                401,
                "no_write_key",
                "Send a key for events as user name of Basic authentication, or as bearer token.",
            )
        if head.encoding not in (b"", b"identity", *PACKED):
            return refusal(415, "bad_encoding", "A body is sent plain or with Content-Encoding gzip.")
        return None

    def receive(self, head: Head, body: bytes) -> Taking | Response:
        """Receive a whole request that `judge` did not refuse; `body` is already unpacked (`unpack`)."""
        route = route_of(head.path)
        assert route is not None, "judge() comes first"
        if len(body) > route.body_bytes_max:
            return too_large(route)
        if route.kind == "health":
            return HEALTHY
        if route.kind == "events":
            return EventsTaking(body)
        if route.kind == "batch":
            return self._receive_batch(head, body)
        if self.needs_key and not head.authorization:
            try:
                found = _keys_in_bodies.decode(body)
            except DECODE_ERRORS as error:
                return refusal(400, "not_json", sentence(error))
            if (wrong := self._key_of(head, found)) is not None:
                return wrong
        taken = take_message(body, route.kind)
        if isinstance(taken, Rejection):
            return refusal(400, taken.code, taken.detail)
        return Taking(Decoded([taken[0]], taken[1] + b"\n", [], 1), SUCCESS)

    def kind_of_single(self, head: Head) -> str | None:
        """Return the kind of the message that is the whole body, where `judge` found nothing wrong and all that is left
        to do is to take it: it is not packed, and the write key needs not be looked for in it."""
        route = route_of(head.path)
        assert route is not None, "judge() comes first"
        if head.encoding in PACKED or (self.needs_key and not head.authorization):
            return None
        return route.kind if route.kind in _single else None

    def receive_each(self, messages: Sequence[tuple[bytes, str]]) -> tuple[Decoded, list[Response]]:
        """Receive many requests with one message each (`kind_of_single`), as `receive` does: all inputs in one, and
        the answers, in order, that are given once they are durable."""
        inputs: list[Input] = []
        lines: list[bytes] = []
        answers: list[Response] = []
        for taken in take_each(messages):
            if isinstance(taken, Rejection):
                answers.append(refusal(400, taken.code, taken.detail))
            else:
                inputs.append(taken[0])
                lines.append(taken[1])
                answers.append(SUCCESS)
        return Decoded(inputs, b"\n".join([*lines, b""]), [], len(lines)), answers

    def _receive_batch(self, head: Head, body: bytes) -> Taking | Response:
        try:
            decoded = _batches.decode(body)
        except DECODE_ERRORS as error:
            return refusal(400, "invalid", f"A batch is an object with a list `batch`: {sentence(error)}")
        if (wrong := self._key_of(head, decoded)) is not None:
            return wrong
        taken = take_batch([bytes(message) for message in decoded.batch])
        if not taken.rejected:
            return Taking(taken, SUCCESS)
        listed = [
            {"index": wrong.line, "code": wrong.code, "detail": wrong.detail}
            for wrong in taken.rejected[:REJECTIONS_LISTED_MAX]
        ]
        if taken.inputs:
            return Taking(taken, Response(200, msgspec.json.encode({"success": True, "rejected": listed})))
        first = taken.rejected[0]
        answer = {"code": first.code, "message": first.detail, "rejected": listed}
        return Response(400, msgspec.json.encode(answer))

    def _authorised(self, header: bytes) -> bool:
        """Whether a request is authorised.

        Basic with the key as user name, as Segment's clients send it, or a bearer token.
        """
        scheme, _, credentials = header.partition(b" ")
        if scheme.lower() == b"bearer":
            return self.keys.allows(credentials.strip(), "events")
        if scheme.lower() != b"basic":
            return False
        try:
            user = base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
        except binascii.Error:
            return False
        return self.keys.allows(user, "events")

    def is_key(self, key: str) -> bool:
        """Whether `key` is a write key, or no key is needed."""
        return not self.needs_key or self.keys.allows(key.encode("utf-8", "surrogatepass"), "events")

    @property
    def needs_key(self) -> bool:
        return self.keys.guard_events

    def _key_of(self, head: Head, body: _KeyInBody) -> Response | None:
        """Return the `writeKey` of a body: clients for browsers and phones send it there instead of a header."""
        if head.authorization or not self.needs_key:
            return None  # judged by its header already
        if isinstance(body.writeKey, str) and self.is_key(body.writeKey):
            return None
        return refusal(401, "invalid_write_key", "Send a write key: Basic authentication, or `writeKey`.")


def route_of(path: str) -> Route | None:
    """Return the route of a path; a slash at its end does not matter."""
    return ROUTES.get(path) or ROUTES.get(path.rstrip("/"))


def unpack(head: Head, body: bytes) -> bytes | Response:
    """Unpack the body to what it was before Content-Encoding.

    What it may expand to is bounded by its path. So is the number of members: each may unpack to nothing, and costs as
    much as the bytes that follow it.
    """
    if head.encoding not in PACKED:
        return body
    route = route_of(head.path)
    assert route is not None, "judge() comes first"
    room = route.body_bytes_max
    unpacked: list[bytes] = []
    members = 0
    try:
        while body:
            members += 1
            if members > GZIP_MEMBERS_MAX:
                detail = f"A gzip body has at most {GZIP_MEMBERS_MAX} members."
                return refusal(400, "bad_gzip", detail)
            member = zlib.decompressobj(wbits=31)
            part = member.decompress(body, room + 1)
            room -= len(part)
            if room < 0:
                return too_large(route)
            if not member.eof:
                return refusal(400, "bad_gzip", "The gzip body ends early.")
            unpacked.append(part)
            body = member.unused_data
    except zlib.error:
        return refusal(400, "bad_gzip", "The body is not gzip.")
    return b"".join(unpacked)


def too_large(route: Route | None) -> Response:
    """Return the refusal of a large body.

    Segment's own paths say 400, as Segment does: its clients then do not retry.
    """
    if route is None or route.kind in ("events", "health"):
        most = UNKNOWN_BODY_BYTES_MAX if route is None else route.body_bytes_max
        return refusal(413, "too_large", f"The body has at most {most} bytes.")
    return refusal(400, "too_large", f"The body has at most {route.body_bytes_max} bytes.")


def unavailable(error: Unavailable) -> Response:
    """Return the answer to an error that says when to try again: 503, or 429 for `slow_down`, with Retry-After."""
    body = msgspec.json.encode({"code": error.code, "message": error.detail})
    return Response(status_of(error), body, retry_after_s=max(1, error.retry_after_s))


def refusal(status: int, code: str, message: str, *, allow: str = "") -> Response:
    """Return an answer in Segment's shape."""
    return Response(status, msgspec.json.encode({"code": code, "message": message}), allow=allow)


def reason_of(status: int) -> str:
    """Return the phrase of a status: `Bad Request` and so on."""
    return HTTPStatus(status).phrase
