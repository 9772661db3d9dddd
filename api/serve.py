"""The composition root: everything that runs in `tidemill serve`, started and stopped in order.

    signals ── engine (engine.service) ── management API (api.management.server)
                                       └─ intake, stream (api.intake.http_listener, api.intake.stream_listener)

The engine's tasks are outermost. The ways in are children and end first, so that nothing is accepted that could not
be acknowledged. One signal stops cleanly: accept no more, answer what was accepted, deliver what is in flight, write
a checkpoint, exit 0. A second signal ends the process at once, which is safe: the next start recovers.

Addresses with their real ports go to stdout, for programs to read; logs and progress go to stderr.
"""

from __future__ import annotations

import logging
import os
import signal
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
from api.process import log_to_stderr, notify_systemd, raise_open_files_limit, run
from api.read_files import read_schema
from api.terminal.terminal import progress, thousands
from engine.flow.schema import Schema
from engine.service import Service, ServiceConfig, running
from engine.store.recover import Progress

SCHEMA_FILE = "schema.yaml"
SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_FORCED = 1
log = logging.getLogger("tidemill")

Say = Callable[[str], None]


def serve(settings: Settings) -> None:
    """Run the engine until a signal stops it. Raises TidemillError for what a person can correct."""
    log_to_stderr()
    raise_open_files_limit()
    run(partial(serve_until_signal, settings, _say))


def _say(line: str) -> None:
    print(line, flush=True)


async def serve_until_signal(settings: Settings, say: Say) -> None:
    """Recover, open all ways in, say where they are, and stop in order at the first signal."""
    config = _service_config(settings)
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            stop = Stop(nursery.cancel_scope.cancel)
            nursery.start_soon(stop.watch, signals)
            report = RecoveryReport(say)
            async with running(config, progress=report.show) as service:
                stop.is_recovering = False
                report.end(service, settings.data)
                await take_schema(service, Path(settings.data) / SCHEMA_FILE)
                await open_ways_in(service, settings, say, stop.wanted)
            log.info("stopped cleanly")
            nursery.cancel_scope.cancel()


class Stop:
    """Handler of signals: the first sets `wanted`, or abandons a recovery; the second ends the process."""

    def __init__(self, abandon: Callable[[], None]) -> None:
        self.wanted = trio.Event()
        self.is_recovering = True
        self._abandon = abandon

    async def watch(self, signals: AsyncIterator[int]) -> None:
        """Handle each signal as it comes."""
        async for _ in signals:
            if self.wanted.is_set():
                _end_at_once()
            self.wanted.set()
            if self.is_recovering:
                self._abandon()


async def open_ways_in(service: Service, settings: Settings, say: Say, stop: trio.Event) -> None:
    """Serve `service` on all addresses of the settings until `stop` is set, then answer what was accepted."""
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
            notify_systemd("READY=1")
            await stop.wait()
            notify_systemd("STOPPING=1")
            log.info("stopping")
            intake.stop()
            stream.stop()
        outer.cancel_scope.cancel()


def url(address: Address, scheme: str) -> str:
    """Return an address as people use it: `http://127.0.0.1:7700`, `tcp://…`, a Unix socket as `unix:PATH`."""
    return str(address) if address.is_unix or address.tls else f"{scheme}://{address}"


async def take_schema(service: Service, path: Path) -> None:
    """Apply the `schema.yaml` of the data directory, if there is one and it changed since the last start."""
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


class RecoveryReport:
    """Progress of a recovery: a bar on a terminal, and what was restored."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._bar = progress()
        self._phases: dict[str, TaskID] = {}

    def show(self, now: Progress) -> None:
        """Show how far the recovery is; called about ten times a second."""
        if now.phase not in self._phases:
            words = {"restore": "Restoring the checkpoint", "replay": "Replaying the journal"}
            self._bar.start()
            self._phases[now.phase] = self._bar.add_task(words[now.phase], total=now.total)
        self._bar.update(self._phases[now.phase], completed=now.done, total=now.total)

    def end(self, service: Service, data: str) -> None:
        """Print the line with which every start begins."""
        self._bar.stop()
        counts = service.kernel.counts()
        recovered = service.recovered
        found = recovered is not None and recovered.checkpoint_seq + recovered.batches > 0
        took = f", recovered in {recovered.seconds:.2f} s" if recovered is not None and found else ""
        contacts, waiting = thousands(counts["contacts"]), thousands(counts["waiting"])
        self._say(f"data    {data}  {contacts} contacts, {waiting} waiting{took}")
