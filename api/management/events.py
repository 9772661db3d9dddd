"""Events in, on the management port too: Segment's paths and `/v1/events`, by the intake listener's code.

For whoever has one port only; the listener serves them some twenty times faster. Answers and refusals are in
Segment's shape, because Segment's clients read them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from quart import Blueprint, Response, current_app, request
from quart_schema import hide, tag_blueprint

from api.intake import segment_api
from api.intake.http_listener import respond
from api.listen import is_loopback
from api.management.openapi import operation
from api.management.request import sent, service

events = Blueprint("events", __name__)
tag_blueprint(events, ["intake"])

RECEPTION = "tidemill-reception"
PATHS = tuple(path for path, route in segment_api.ROUTES.items() if route.kind != "health")
SUMMARIES = {
    "track": "Say what a contact did.",
    "identify": "Say who a contact is: its traits.",
    "alias": "Say that two ids are one contact.",
    "page": "Say which page a contact looked at.",
    "screen": "Say which screen a contact looked at.",
    "group": "Say which group a contact belongs to.",
    "batch": "Send several messages at once.",
    "events": "Send lines of messages (NDJSON), up to 8 MiB.",
}


class Success(msgspec.Struct, frozen=True):
    """What was sent is durable."""

    success: bool
    rejected: list[dict[str, Any]] = []


class Lines(msgspec.Struct, frozen=True):
    """Lines that were taken are durable; the others are listed, counted from 0."""

    accepted: int
    rejected: list[dict[str, Any]] = []
    rejected_unlisted: int = 0


class Refusal(msgspec.Struct, frozen=True):
    """Nothing of what was sent is taken; `code` is for programs."""

    code: str
    message: str


Messages = Annotated[str, msgspec.Meta(description="One message a line, each as `POST /v1/{type}` takes it.")]
REFUSALS = dict.fromkeys((400, 401, 413, 415, 429, 503), Refusal)


async def take_events() -> Response:
    """Take what was sent; the answer leaves when it is durable."""
    reception: segment_api.Reception = current_app.extensions[RECEPTION]
    head = segment_api.Head(
        method=request.method,
        path=request.path,
        authorization=request.headers.get("Authorization", "").encode("latin-1"),
        encoding=request.headers.get("Content-Encoding", "").lower().encode("latin-1"),
        from_browser="Origin" in request.headers,
    )
    client = request.scope.get("client")
    local = client is None or is_loopback(client[0])
    answer = await respond(reception, head, await sent(), service().enqueue, local=local)
    headers = {}
    if answer.retry_after_s:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.allow:
        headers["Allow"] = answer.allow
    return Response(answer.body, answer.status, headers, content_type="application/json")


def _handler(kind: str) -> Callable[[], Awaitable[Response]]:
    """A handler of its own for each kind, so that each is described under its own name."""

    async def take() -> Response:
        return await take_events()

    take.__name__ = f"take_{kind}"
    take.__doc__ = SUMMARIES[kind]
    if kind == "events":
        described = operation(
            needs="events", body=Messages, media=("application/x-ndjson",), answers={200: Lines} | REFUSALS
        )
    else:
        described = operation(needs="events", body=dict[str, Any], answers={200: Success} | REFUSALS)
    return described(take)


for _path in PATHS:
    _kind, _endpoint = segment_api.ROUTES[_path].kind, _path.rsplit("/", 1)[1]
    _view = _handler(_kind) if _endpoint == _kind else hide(_handler(_kind))
    events.add_url_rule(_path, _endpoint, _view, methods=["POST"], strict_slashes=False)
