"""Problem documents: every refusal leaves as `application/problem+json` (RFC 9457).

`type` stays `about:blank`, so `title` is the phrase of the status. Programs use `code`; `errors` lists each mistake
with its node and its JSON Pointer. An error that a person can correct is a `TidemillError` (`api.refusals` has the
statuses). Any other exception is a bug of ours: the client gets a 500 without internals, and `on_bug` is called,
because an exception inside the web framework never reaches the engine's nursery by itself. `on_bug` is called for a
`StoreError` as well: with a store that is corrupt, or cannot be written, no answer may be trusted.
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
"""Callback for every exception that is not a refusal; it must stop the process in the end."""

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
_PLACE = re.compile(r"^(?P<sentence>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class ProblemAnswer(msgspec.Struct, frozen=True):
    """Refusal in the form of RFC 9457."""

    type: Annotated[str, msgspec.Meta(description="Always `about:blank`.")]
    title: Annotated[str, msgspec.Meta(description="The status in words.")]
    status: int
    detail: Annotated[str, msgspec.Meta(description="The mistake and the remedy, for people.")]
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
    """Return the answer that refuses a request; `errors` lists each mistake with its place."""
    body = ProblemAnswer("about:blank", HTTPStatus(status).phrase, status, detail, code, list(errors))
    return Response(msgspec.json.encode(body), status, headers, content_type=MEDIA_TYPE)


def invalid(error: msgspec.ValidationError) -> Refused:
    """Turn an error of msgspec about a body or a query into a refusal with its place."""
    match = _PLACE.match(str(error))
    assert match is not None
    return wrong(pointer_of(match["path"] or ""), match["sentence"])


def wrong(pointer: str, sentence: str) -> Refused:
    """Return a refusal of the value at `pointer`; `sentence` comes without its full stop."""
    mistake = Problem("", pointer, "invalid", f"{sentence}.")
    place = f" at {pointer}" if pointer else ""
    return Refused("invalid", f"{sentence}{place}.", problems=(mistake,))


def pointer_of(path: str) -> str:
    """Convert a path of msgspec, such as `.nodes[0].next`, into a JSON Pointer, such as `/nodes/0/next`.

    msgspec writes `[...]` for a key of a map: the pointer ends before it, at the map itself.
    """
    parts: list[str] = []
    for name, index in _PART.findall(path):
        if index == "...":
            break
        parts.append(escaped(name or index))
    return "".join(f"/{part}" for part in parts)


def escaped(part: str) -> str:
    """Escape a key as a part of a JSON Pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def install(app: Quart, on_bug: OnBug) -> None:
    """Answer every error of `app` with a problem document, and call `on_bug` for every bug."""

    async def refused(error: TidemillError) -> Response:
        headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Unavailable) else None
        sentence = http_sentence(error)
        return problem(status_of(error), error.code, sentence, errors=error.problems, headers=headers)

    async def store_failed(error: StoreError) -> Response:
        on_bug(error)
        return problem(500, error.code, str(error))

    async def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        detail = _DETAILS.get(status) or error.description or HTTPStatus(status).phrase
        return problem(status, _CODES.get(status, "refused"), detail, headers=headers)

    async def bug(error: InternalServerError) -> Response:
        on_bug(error.original_exception or error)
        return problem(
            500, "internal", "The engine met a fault of its own and stops; its log has the details."
        )

    app.register_error_handler(TidemillError, refused)
    app.register_error_handler(StoreError, store_failed)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(InternalServerError, bug)
