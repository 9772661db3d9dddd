"""The management API without hypercorn: the real app, asked by its ASGI interface in the engine's own nursery.

`Desk` takes the place of the listener: what is asked there reaches the app of the process that is alive, and the answer
is lost where that process ends, or the client goes away, before it has left. What hypercorn and the guards before it do
with bytes is tested over real sockets (`tests/api/`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import trio

from api.config import Address
from api.keys import Keys
from api.management.app import App, create_app
from api.management.server import Alarm
from engine.service import Service


class Answer(msgspec.Struct):
    """An answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def retry_after_s(self) -> int:
        """The seconds of `Retry-After`; 0 without the header."""
        return int(self.headers.get("retry-after", "0"))


class PendingRequest:
    """A request in flight. `answer` is None until it arrives, and stays None where it was lost."""

    def __init__(self, method: str, path: str, body: bytes, headers: dict[str, str], peer: str) -> None:
        self.body = body
        self.answer: Answer | None = None
        self.done = trio.Event()
        self.gone = trio.Event()
        path, _, query = path.partition("?")
        raw = quote(path, safe="/%").encode()
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": raw,
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": (peer, 50_000),
            "server": ("127.0.0.1", 7700),
            "extensions": {},
        }


class Desk:
    """The management API of the running process. `require` raises in a process that has ended."""

    def __init__(self, require: Callable[[], None], *, is_open: bool) -> None:
        self._require = require
        self._is_open = is_open
        self._door: trio.MemorySendChannel[PendingRequest] | None = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str],
        peer: str,
        patience_s: float,
    ) -> Answer | None:
        """Send a request and return its answer; None where no server listens, or after the time limit."""
        sent = b"" if body is None else msgspec.json.encode(body)
        kind = {"Content-Type": "application/json"} if sent else {}
        length = {"Content-Length": str(len(sent))}
        asked = PendingRequest(method, path, sent, {"Host": "localhost", **length, **kind, **headers}, peer)
        if self._door is None:
            return None
        try:
            self._door.send_nowait(asked)
        except (trio.BrokenResourceError, trio.WouldBlock):
            return None
        with trio.move_on_after(patience_s):
            await asked.done.wait()
        asked.gone.set()
        return asked.answer

    async def serve(
        self,
        service: Service,
        addresses: Sequence[Address],
        *,
        keys: Keys,
        certificate: tuple[str, str] | None,
        task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve the app to this desk, in place of `api.management.server.serve`."""
        send, receive = trio.open_memory_channel[PendingRequest](100)
        task_status.started([])
        if not self._is_open:
            await trio.sleep_forever()
        alarm = Alarm()
        app = create_app(service, on_bug=alarm.ring, keys=keys)
        self._door = send
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alarm.watch)
                async for asked in receive:
                    nursery.start_soon(self._answer, app, asked)
        finally:
            self._door = None
            receive.close()

    async def _answer(self, app: App, asked: PendingRequest) -> None:
        sent: list[dict[str, Any]] = []
        unread = [{"type": "http.request", "body": asked.body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if unread:
                return unread.pop()
            await asked.gone.wait()
            return {"type": "http.disconnect"}

        async def send(event: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            self._require()
            sent.append(event)

        try:
            await app(asked.scope, receive, send)  # type: ignore[arg-type]
            if sent and not sent[-1].get("more_body", True):
                asked.answer = _answer_of(sent)
        finally:
            asked.done.set()


def _answer_of(events: list[dict[str, Any]]) -> Answer:
    start, *parts = events
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(part["body"] for part in parts))
