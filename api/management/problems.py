"""Every refusal leaves as `application/problem+json` (RFC 9457).

`type` stays `about:blank`, so `title` is the status's own phrase; what a program goes by is `code`, and
`errors` lists each thing wrong with its node and its JSON Pointer. What a person can mend is a
`TidemillError` and says how; anything else is a bug of ours: the peer gets a 500 without internals, and
`on_bug` is told, because an exception inside the web framework never reaches the engine's nursery by itself.
So it is of a store that is damaged, or could not be written: no answer may be trusted then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

import msgspec
from quart import Quart, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from api.refusals import http_sentence, status_of
from engine.errors import Problem, Refused, StoreError, TidemillError, Unavailable

MEDIA_TYPE = "application/problem+json"

OnBug = Callable[[BaseException], None]
"""Told of every exception that is nobody's refusal; it must stop the process in the end."""

_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
}
_DETAILS = {
    404: "There is nothing at this path; /docs lists what there is.",
    405: "This path does not know this method; /docs lists what there is.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
}
_PLACE = re.compile(r"^(?P<said>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class ProblemAnswer(msgspec.Struct, frozen=True):
    """A refusal, as RFC 9457 writes it."""

    type: Annotated[str, msgspec.Meta(description="Always `about:blank`.")]
    title: Annotated[str, msgspec.Meta(description="The status in words.")]
    status: int
    detail: Annotated[str, msgspec.Meta(description="What is wrong and what to do about it.")]
    code: Annotated[str, msgspec.Meta(description="A stable word for programs.")]
    errors: list[Problem] = []


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[Problem, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer that refuses; `errors` says what is wrong where."""
    body = ProblemAnswer("about:blank", HTTPStatus(status).phrase, status, detail, code, list(errors))
    return Response(msgspec.json.encode(body), status, headers, content_type=MEDIA_TYPE)


def invalid(error: msgspec.ValidationError) -> Refused:
    """What msgspec found in a body or a query, with the place it found it at."""
    match = _PLACE.match(str(error))
    assert match is not None
    return wrong(pointer_of(match["path"] or ""), match["said"])


def wrong(pointer: str, said: str) -> Refused:
    """What was sent is wrong at `pointer`; `said` is the sentence without its full stop."""
    found = Problem("", pointer, "invalid", f"{said}.")
    where = f" at {pointer}" if pointer else ""
    return Refused("invalid", f"{said}{where}.", problems=(found,))


def pointer_of(path: str) -> str:
    """`.nodes[0].next`, msgspec's way to name a place, as the JSON Pointer `/nodes/0/next`.

    msgspec writes `[...]` for a key of a map: the pointer ends before it, at the map itself.
    """
    parts: list[str] = []
    for name, index in _PART.findall(path):
        if index == "...":
            break
        parts.append(escaped(name or index))
    return "".join(f"/{part}" for part in parts)


def escaped(part: str) -> str:
    """A key as a part of a JSON Pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def install(app: Quart, on_bug: OnBug) -> None:
    """Make every error of `app` a problem document, and every bug known to `on_bug`."""

    async def refused(error: TidemillError) -> Response:
        headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Unavailable) else None
        sentence = http_sentence(error)
        return problem(status_of(error), error.code, sentence, errors=error.problems, headers=headers)

    async def of_the_store(error: StoreError) -> Response:
        on_bug(error)
        return problem(500, error.code, str(error))

    async def of_http(error: HTTPException) -> Response:
        status = error.code or 500
        kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        detail = _DETAILS.get(status) or error.description or HTTPStatus(status).phrase
        return problem(status, _CODES.get(status, "refused"), detail, headers=kept)

    async def of_a_bug(error: InternalServerError) -> Response:
        on_bug(error.original_exception or error)
        return problem(500, "internal", "The engine made a mistake and stops; its log says which.")

    app.register_error_handler(TidemillError, refused)
    app.register_error_handler(StoreError, of_the_store)
    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(InternalServerError, of_a_bug)
