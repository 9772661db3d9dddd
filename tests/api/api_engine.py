"""A real engine on a small data directory, and a client of its app, for the tests of the management API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
import trio
from werkzeug.datastructures import Headers

from api.management.app import create_app
from api.management.problems import MEDIA_TYPE, ProblemAnswer
from engine.delivery.channels import DEFAULT_NAMES, Outbox
from engine.service import Service, ServiceConfig, running
from engine.wire import decode_lines

MAP_BYTES = 64 * 1024 * 1024

T = TypeVar("T")

FLOW: dict[str, Any] = {
    "id": "welcome",
    "name": "Welcome",
    "folder": "start",
    "nodes": {
        "begin": {"kind": "launch", "trigger": {"event": "Signed Up"}, "next": "hello"},
        "hello": {
            "kind": "step",
            "actions": [
                {"send": "email", "message": {"subject": "Hello", "html": "Hello {{ customer.first }}"}}
            ],
            "next": "pause",
        },
        "pause": {"kind": "wait", "for": "3d", "next": "thanks"},
        "thanks": {"kind": "step", "actions": [{"points": {"add": 10}}]},
    },
}


class Reply(msgspec.Struct):
    """An answer, its body decoded where it is JSON."""

    status: int
    headers: Headers
    body: Any

    def shaped(self, shape: type[T]) -> T:
        """Return the body, after a check that it has exactly the fields of `shape`."""
        return msgspec.convert(self.body, shape)

    @property
    def problem(self) -> ProblemAnswer:
        """The body, which is a problem document that repeats the status."""
        assert self.headers["Content-Type"] == MEDIA_TYPE
        found = msgspec.convert(self.body, ProblemAnswer)
        assert found.status == self.status
        return found


class Api:
    """A client of an app in this process.

    `bugs` are the faults that the app met; they are raised when the block of the test ends.
    """

    def __init__(self, service: Service, **settings: Any) -> None:
        self.service = service
        self.bugs: list[BaseException] = []
        self.app = create_app(service, on_bug=self.bugs.append, **settings)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        peer: tuple[str, int] | None = None,
    ) -> Reply:
        """Send a request: `body` as JSON, or `data` unchanged; `peer` None stands for a Unix socket."""
        sent = {"Host": "localhost"} | (headers or {})
        if body is not None:
            data = msgspec.json.encode(body)
            sent.setdefault("Content-Type", "application/json")
        target, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(target),
            "raw_path": target.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": peer,
            "extensions": {},
        }
        return await self._exchange(scope, data or b"")

    async def _exchange(self, scope: Any, data: bytes) -> Reply:
        """Send one request to the app by ASGI. Quart's own test client knows neither peers nor `%2F`."""
        sent: list[dict[str, Any]] = [{"type": "http.request", "body": data, "more_body": False}]
        got: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not sent:
                await trio.sleep_forever()
            return sent.pop()

        async def send(message: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            got.append(message)

        await self.app(scope, receive, send)  # type: ignore[arg-type]
        headers = Headers([(name.decode(), value.decode("latin-1")) for name, value in got[0]["headers"]])
        raw = b"".join(message["body"] for message in got[1:])
        is_json = "json" in headers.get("Content-Type", "")
        return Reply(got[0]["status"], headers, msgspec.json.decode(raw) if is_json else raw)

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: object = None, **more: Any) -> Reply:
        return await self.ask("POST", path, body, **more)

    async def put(self, path: str, body: object = None, **more: Any) -> Reply:
        return await self.ask("PUT", path, body, **more)

    async def patch(self, path: str, body: object = None, **more: Any) -> Reply:
        return await self.ask("PATCH", path, body, **more)

    async def delete(self, path: str, **more: Any) -> Reply:
        return await self.ask("DELETE", path, **more)

    async def launch(self, document: dict[str, Any]) -> None:
        """Create a flow and launch it."""
        assert (await self.post("/v1/flows", document)).status == 201
        assert (await self.post(f"/v1/flows/{document['id']}/launch")).status == 200

    async def send(self, *lines: dict[str, Any]) -> None:
        """Send input lines, which are durable when this returns."""
        decoded = decode_lines(b"\n".join(map(msgspec.json.encode, lines)))
        assert not decoded.rejected
        await self.service.submit(decoded)


def signed_up(contact: str, **more: Any) -> dict[str, Any]:
    """Return the event that launches FLOW."""
    return {"type": "track", "userId": contact, "event": "Signed Up", **more}


@asynccontextmanager
async def engine(data: Path) -> AsyncIterator[Service]:
    """Run an engine whose channels all wait for an application to pull the outbox."""
    config = ServiceConfig(
        data=data,
        channels=dict.fromkeys(DEFAULT_NAMES, Outbox()),
        journal_map_bytes=MAP_BYTES,
        checkpoint_map_bytes=MAP_BYTES,
    )
    async with running(config) as service:
        yield service


def with_api(data: Path, body: Callable[[Api], Awaitable[None]], **settings: Any) -> None:
    """Run `body` with a client of a fresh engine; a fault that the app met fails the test."""

    async def main() -> None:
        with trio.fail_after(30):
            async with engine(data) as service:
                api = Api(service, **settings)
                await body(api)
                if api.bugs:
                    raise api.bugs[0]

    trio.run(main)
