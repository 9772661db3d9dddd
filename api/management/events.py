"""Intake of events on the management port: Segment's paths and `/v1/events`, by the intake listener's code.

It serves installations with one port only; the listener is about twenty times faster. Answers and refusals are in
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
from api.management.request import body_bytes, service

events = Blueprint("events", __name__)
tag_blueprint(events, ["intake"])

RECEPTION = "tidemill-reception"
PATHS = tuple(path for path, route in segment_api.ROUTES.items() if route.kind != "health")
SUMMARIES = {
    "track": "Record an event of a contact.",
    "identify": "Set traits of a contact.",
    "alias": "Merge two ids into one contact.",
    "page": "Record which page a contact viewed.",
    "screen": "Record which screen a contact viewed.",
    "group": "Record that a contact joined a group.",
    "batch": "Send several messages in one request.",
    "events": "Send lines of messages (NDJSON), up to 8 MiB.",
}


class Success(msgspec.Struct, frozen=True):
    """Messages are durable, except for those in `rejected`."""

    success: bool
    rejected: list[dict[str, Any]] = []


class Lines(msgspec.Struct, frozen=True):
    """Accepted lines are durable; `rejected` lists the others, counted from 0."""

    accepted: int
    rejected: list[dict[str, Any]] = []
    rejected_unlisted: int = 0


class Refusal(msgspec.Struct, frozen=True):
    """Refusal of the whole request; `code` is for programs."""

    code: str
    message: str


Messages = Annotated[str, msgspec.Meta(description="One message a line, each as `POST /v1/{type}` takes it.")]
REFUSALS = dict.fromkeys((400, 401, 413, 415, 429, 503), Refusal)


async def take_events() -> Response:
    """Accept messages; the answer leaves when they are durable."""
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
    answer = await respond(reception, head, await body_bytes(), service().enqueue, local=local)
    headers = {}
    if answer.retry_after_s:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.allow:
        headers["Allow"] = answer.allow
    return Response(answer.body, answer.status, headers, content_type="application/json")


def _handler(kind: str) -> Callable[[], Awaitable[Response]]:
    """Return a handler for one kind of message, so that each kind has a description of its own."""

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
