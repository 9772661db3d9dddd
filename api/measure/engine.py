"""An engine to be measured: `tidemill serve` in a process of its own, on Unix sockets and ports of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from api.client.http import Client
from api.config import FILE_NAME, Address, parse_address
from engine.errors import TidemillError

SERVE = (sys.executable, "-c", "from api.cli.main import main; main()", "serve", "--data")
"""What runs the engine of this installation; the data directory is to follow."""
PORTS = ("--http", "127.0.0.1:0", "--intake", "127.0.0.1:0", "--stream", "127.0.0.1:0")
STOP_S = 120.0


class MeasureError(TidemillError):
    """What was to be measured did not do what it is measured for."""


class Engine:
    """A running engine. `started_s`: from the start of its process until it takes events.

    `command` is a program that takes a data directory and the addresses and says `ready`, as `tidemill serve` does.
    `messages`: its standard error, where messages are logged, is a pipe that the caller reads (`process.stderr`).
    `settings`: what its `tidemill.toml` holds.
    """

    def __init__(
        self, data: Path, *, command: Sequence[str] = SERVE, messages: bool = False, settings: str = ""
    ) -> None:
        self.data = data
        self._sockets = tempfile.TemporaryDirectory(prefix="tidemill-bench-")
        Path(self._sockets.name, FILE_NAME).write_text(settings, encoding="utf-8")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, str(data.absolute()), *PORTS, "--stream", f"unix:{self._sockets.name}/s"],
            cwd=self._sockets.name,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if messages else subprocess.DEVNULL,
            text=True,
        )
        addresses = self._addresses()
        self.started_s = time.perf_counter() - began
        self.http, self.intake = addresses["http"], addresses["intake"]
        self.stream = Address(path=f"{self._sockets.name}/s")
        self.client = Client(self.http)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.kill()

    def launch(self, flow: dict[str, Any]) -> None:
        """Make the flow and launch it."""
        self.client.post("flows", body=flow)
        self.client.post("flows", flow["id"], "launch")

    def metrics(self) -> dict[str, float]:
        """What `/metrics` says; what has labels under its name with them: `tidemill_x_total{status="failed"}`."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def resident_bytes(self) -> int:
        """Memory the process holds just now (Linux)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> float:
        """Stop it cleanly, with a checkpoint. Returns the seconds that took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        code = self._end()
        if code:
            raise MeasureError("engine_failed", f"The engine ended with exit code {code}.")
        return time.perf_counter() - began

    def kill(self) -> None:
        """End it as a power cut would: no checkpoint, a journal to replay."""
        self.process.kill()
        self._end()

    def _end(self) -> int:
        try:
            code = self.process.wait(STOP_S)
        finally:
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()
            self._sockets.cleanup()
        return code

    def _addresses(self) -> dict[str, Address]:
        stdout: IO[str] | None = self.process.stdout
        assert stdout is not None
        found: dict[str, Address] = {}
        for line in stdout:
            name, where, *_ = line.split()
            if name in ("http", "intake"):
                found[name] = parse_address(where.removeprefix("http://"))
            if name == "ready":
                return found
        self.kill()
        raise MeasureError(
            "engine_failed", "The engine did not start.", remedy="Try `tidemill serve` to see what it says."
        )


def _environment() -> dict[str, str]:
    """Ours, without settings of an engine, and with the place this package was imported from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}
