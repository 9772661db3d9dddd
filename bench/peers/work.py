"""The input of all programs, and the way each of them is run on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from api.config import Address
from api.measure import work
from api.measure.engine import Engine
from api.measure.requests import ask
from api.measure.stream import Beside, send

HERE = Path(__file__).parent
NEEDS = {
    "handmade": ("fastapi", "uvicorn", "uvloop", "orjson"),
    "durable_workflows": ("dbos",),
    "stream_processor": ("pyflink",),
}
"""What a program imports: it runs under the first interpreter that has it."""
BODY_LINES = 8_192
"""Lines of one request with NDJSON: as many as the engine takes into one batch."""
QUIET = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error")
UP_S = 30.0
RUN_S = 600.0


class Input(msgspec.Struct, frozen=True):
    """The amount of work: contacts, events a round, single requests a round, seconds for a slow program."""

    contacts: int
    events: int
    requests: int
    seconds: float

    def lines(self, turn: int) -> bytes:
        return work.events(self.events, contacts=self.contacts, first=turn * self.events)

    def singles(self, turn: int) -> bytes:
        return work.events(self.requests, contacts=self.contacts, first=turn * self.requests, run="s")


class Rates(msgspec.Struct):
    """The rates of a program, each per second; None where it has no such way in."""

    events: float
    runs: float
    requests: float | None = None


class PeerError(Exception):
    """A program that did not do its work; the message has its output."""


def interpreter(program: str, candidates: Sequence[str]) -> str | None:
    """Return the first interpreter that can import all that the program needs."""
    imports = ";".join(f"import {name}" for name in NEEDS[program])
    for candidate in candidates:
        if not subprocess.run([candidate, "-c", imports], capture_output=True, check=False).returncode:
            return candidate
    return None


class Tidemill:
    """The engine of this project, by its stream and by single requests."""

    def __init__(self, folder: Path, given: Input) -> None:
        self._given = given
        self.engine = Engine(folder)
        self.engine.launch(work.flow())
        send(self.engine.stream, work.contacts(given.contacts))

    def round(self, turn: int) -> Rates:
        before = self._runs()
        sent = send(self.engine.stream, self._given.lines(turn))
        runs = self._runs() - before
        with Beside() as beside:
            asked = beside.start(ask, self.engine.intake, self._given.singles(turn)).result()
        return Rates(sent.per_second, runs / sent.seconds, asked.per_second)

    def _runs(self) -> int:
        return int(self.engine.client.get("flows", "reference")["entered"])

    def close(self) -> None:
        self.engine.kill()


class Handmade:
    """FastAPI, SQLite, a heap: bodies of NDJSON on two connections, so that one is always in flight; single posts."""

    def __init__(self, folder: Path, given: Input, python: str) -> None:
        self._given = given
        self._port = free_port()
        self._process = subprocess.Popen(
            [
                python,
                "-m",
                "uvicorn",
                "handmade:app",
                "--app-dir",
                str(HERE),
                "--port",
                str(self._port),
                *QUIET,
            ],
            env={**os.environ, "HANDMADE_DB": str(folder)},
        )
        self._wait()
        self._post_all(work.contacts(given.contacts))

    def round(self, turn: int) -> Rates:
        before, body = self._runs(), self._given.lines(turn)
        began_s = time.perf_counter()
        self._post_all(body)
        took_s = time.perf_counter() - began_s
        runs = self._runs() - before
        address = Address(host="127.0.0.1", port=self._port)
        with Beside() as beside:
            asked = beside.start(ask, address, self._given.singles(turn)).result()
        return Rates(self._given.events / took_s, runs / took_s, asked.per_second)

    def _post_all(self, body: bytes) -> None:
        lines = body.splitlines(keepends=True)
        bodies = [b"".join(lines[at : at + BODY_LINES]) for at in range(0, len(lines), BODY_LINES)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._post, bodies))

    def _post(self, body: bytes) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/v1/events", body, timeout=60) as answer:
            answer.read()

    def _runs(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/runs", timeout=60) as answer:
            return int(json.loads(answer.read())["started"])

    def _wait(self) -> None:
        deadline_s = time.monotonic() + UP_S
        while True:
            try:
                self._runs()
                return
            except OSError as error:
                if time.monotonic() > deadline_s or self._process.poll() is not None:
                    raise PeerError(f"The program does not answer: {error}.") from error
                time.sleep(0.1)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(UP_S)


def durable_workflows(folder: Path, given: Input, python: str) -> Rates:
    """Measure the events that it takes within its time."""
    with files(folder, given) as (contacts, events):
        done = _run(python, "durable_workflows", folder, contacts, events, given.seconds)
    return Rates(done["events"] / done["seconds"], done["runs"] / done["seconds"])


def stream_processor(folder: Path, given: Input, python: str) -> Rates:
    """Measure a round of events, less the time of the contacts alone, which includes the start of the cluster."""
    with files(folder, given) as (contacts, events):
        alone = _run(python, "stream_processor", _sub(folder, "alone"), contacts)
        both = folder / "both.ndjson"
        both.write_bytes(contacts.read_bytes() + events.read_bytes())
        done = _run(python, "stream_processor", _sub(folder, "both"), both)
        both.unlink()
    seconds = done["seconds"] - alone["seconds"]
    if seconds <= 0:
        raise PeerError("The events took no longer than the start: give more of them.")
    return Rates(given.events / seconds, done["runs"] / seconds)


@contextmanager
def files(folder: Path, given: Input) -> Iterator[tuple[Path, Path]]:
    """Write the contacts and the events of the first round to files."""
    contacts, events = folder / "contacts.ndjson", folder / "events.ndjson"
    contacts.write_bytes(work.contacts(given.contacts))
    events.write_bytes(given.lines(0))
    yield contacts, events
    contacts.unlink()
    events.unlink()


def _sub(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _run(python: str, program: str, *arguments: object) -> dict[str, float]:
    command = [python, str(HERE / f"{program}.py"), *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"It was not done after {RUN_S:.0f} seconds.") from error
    if done.returncode or not done.stdout.strip():
        raise PeerError(f"It ended with exit code {done.returncode}: {done.stderr[-500:]}")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
