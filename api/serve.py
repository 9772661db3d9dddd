"""The composition root: everything that runs in `tidemill serve`, started and stopped in order.

    signals ── engine (engine.service) ── management API (api.management.server)
                                       └─ intake, stream (api.intake.http_listener, api.intake.stream_listener)

The engine's tasks are outermost, the ways in are children: they end first, so that nothing is taken that
could not be acknowledged. One signal stops cleanly: accept no more, answer what was taken, deliver what is
under way, write a checkpoint, exit 0. A second ends the process at once, which is safe: the next start recovers.

What a program may want to read (the addresses, with real ports) goes to stdout, logs and progress to stderr.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NoReturn

import trio
from rich.progress import TaskID

from api.channels import make_channels
from api.config import Address, Settings
from api.intake.http_listener import Intake
from api.intake.stream_listener import Stream
from api.keyfile import read_keys, watch
from api.keys import Keys
from api.listen import bound, listening
from api.management import server
from api.read_files import read_schema
from api.terminal.terminal import progress, thousands
from engine.errors import TidemillError
from engine.flow.schema import Schema
from engine.service import Service, ServiceConfig, running
from engine.store.recover import Progress
from engine.tuning import OPEN_FILES_WANTED

SCHEMA_FILE = "schema.yaml"
SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_FORCED = 1
ALONE = (TidemillError, KeyboardInterrupt, BrokenPipeError, SystemExit)
"""What needs no traceback: people can mend it, did it, or went away (rich exits where its reader did)."""

log = logging.getLogger("tidemill")

Say = Callable[[str], None]


def serve(settings: Settings) -> None:
    """Run the engine until a signal stops it. Raises TidemillError for what a person can mend."""
    log_to_stderr()
    want_open_files()
    call(partial(serve_until_signal, settings, _say))


def want_open_files() -> None:
    """Connections are files: many systems allow 1,024 at first, and more to whoever asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _say(line: str) -> None:
    print(line, flush=True)


def call(main: Callable[[], object]) -> None:
    """`trio.run`, with an error a person can mend taken out of the groups nurseries put it in."""
    try:
        trio.run(main)  # type: ignore[arg-type]
    except BaseExceptionGroup as group:
        raise the_error(group) from None


def the_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of a group of errors that speak for themselves; else the group itself, with its traceback."""
    mendable, rest = group.split(ALONE)
    if mendable is None or rest is not None:
        return group
    error: BaseException = mendable
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def serve_until_signal(settings: Settings, say: Say) -> None:
    """Recover, open all ways in, say where they are, and stop in order at the first signal."""
    config = _service_config(settings)
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            stop = Stop(nursery.cancel_scope.cancel)
            nursery.start_soon(stop.watch, signals)
            report = Report(say)
            async with running(config, progress=report.show) as service:
                stop.is_recovering = False
                report.end(service, settings.data)
                await take_schema(service, Path(settings.data) / SCHEMA_FILE)
                await open_ways_in(service, settings, say, stop.wanted)
            log.info("stopped cleanly")
            nursery.cancel_scope.cancel()


class Stop:
    """What signals do: the first sets `wanted` (or gives up a recovery), the second ends the process."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self.wanted = trio.Event()
        self.is_recovering = True
        self._give_up = give_up

    async def watch(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            if self.wanted.is_set():
                _end_at_once()
            self.wanted.set()
            if self.is_recovering:
                self._give_up()


async def open_ways_in(service: Service, settings: Settings, say: Say, stop: trio.Event) -> None:
    """Serve `service` on all addresses of the settings until `stop` is set, then answer what was taken."""
    data = Path(settings.data)
    keys = Keys(settings.write_keys, read_keys(data))
    intake = Intake(service.enqueue, keys=keys)
    stream = Stream(service.enqueue, keys=keys)
    certificate = (settings.certfile, settings.keyfile) if settings.certfile else None
    async with AsyncExitStack() as stack, trio.open_nursery() as outer:
        outer.start_soon(watch, data, keys)
        http = await outer.start(
            partial(server.serve, service, settings.addresses("http"), keys=keys, certificate=certificate)
        )
        taken: dict[str, list[trio.SocketListener]] = {}
        for name in ("intake", "stream"):
            taken[name] = []
            for address in settings.addresses(name):
                taken[name] += await stack.enter_async_context(listening(address))
        async with trio.open_nursery() as inner:
            if taken["intake"]:
                await inner.start(intake.serve, taken["intake"])
            if taken["stream"]:
                await inner.start(stream.serve, taken["stream"])
            for address in http:
                say(f"http    {url(address, 'http')}  management API, to try out at /docs")
            for listener in taken["intake"]:
                say(f"intake  {url(bound(listener), 'http')}  Segment's paths and /v1/events")
            for listener in taken["stream"]:
                say(f"stream  {url(bound(listener), 'tcp')}  NDJSON lines in, acknowledgements out")
            say("ready   stop with Ctrl-C or SIGTERM")
            notify("READY=1")
            await stop.wait()
            notify("STOPPING=1")
            log.info("stopping")
            intake.stop()
            stream.stop()
        outer.cancel_scope.cancel()


def url(address: Address, scheme: str) -> str:
    """`http://127.0.0.1:7700`, `tcp://…`; a Unix socket as `unix:PATH`."""
    return str(address) if address.is_unix or address.tls else f"{scheme}://{address}"


def notify(state: str) -> None:
    """Tell systemd (`Type=notify`), if it is systemd who started us: one datagram to NOTIFY_SOCKET."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    name = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(name)
        sock.send(state.encode())


async def take_schema(service: Service, path: Path) -> None:
    """Where the data directory has a `schema.yaml`, it is the schema: taken at every start if it changed."""
    schema = await trio.to_thread.run_sync(_schema_at, path)
    if schema is not None and schema.document() != service.kernel.schema():
        await service.control("schema", schema=schema.document())
        log.info("schema taken from %s", path)


def _schema_at(path: Path) -> Schema | None:
    return read_schema(path) if path.is_file() else None


def _service_config(settings: Settings) -> ServiceConfig:
    channels = make_channels(settings.channels, os.environ)
    return ServiceConfig(data=Path(settings.data), channels=channels)


def _end_at_once() -> NoReturn:
    sys.stderr.write("tidemill: second signal: ending at once; the next start recovers.\n")
    sys.stderr.flush()
    os._exit(EXIT_FORCED)


class Report:
    """Recovery as a person sees it: a progress bar on a terminal, and what it brought back."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._bar = progress()
        self._phases: dict[str, TaskID] = {}

    def show(self, now: Progress) -> None:
        """Called about ten times a second while the engine recovers."""
        if now.phase not in self._phases:
            words = {"restore": "Restoring the checkpoint", "replay": "Replaying the journal"}
            self._bar.start()
            self._phases[now.phase] = self._bar.add_task(words[now.phase], total=now.total)
        self._bar.update(self._phases[now.phase], completed=now.done, total=now.total)

    def end(self, service: Service, data: str) -> None:
        """The line every start prints first."""
        self._bar.stop()
        counts = service.kernel.counts()
        recovered = service.recovered
        found = recovered is not None and recovered.checkpoint_seq + recovered.batches > 0
        took = f", recovered in {recovered.seconds:.2f} s" if recovered is not None and found else ""
        contacts, waiting = thousands(counts["contacts"]), thousands(counts["waiting"])
        self._say(f"data    {data}  {contacts} contacts, {waiting} waiting{took}")


def log_to_stderr() -> None:
    """One line per record; the channel `log` writes its messages beside them."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
