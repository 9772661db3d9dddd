"""Calls of the command line, and an engine in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result

from api.cli.main import main

TIDEMILL = [sys.executable, "-c", "from api.cli.main import main; main()"]
ROOT = Path(__file__).parents[2]
START_S = 20


def tidemill(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """Call the command line in this process. The result has `.exit_code`, `.stdout`, `.stderr`."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def answer(result: Result) -> Any:
    """Return the JSON that a command with `--json` printed."""
    assert result.exit_code == 0, result.stderr
    return msgspec.json.decode(result.stdout)


class EngineProcess:
    """A `tidemill serve` of its own. `addresses`: `http`, `intake`, `stream` as it printed them."""

    def __init__(self, process: subprocess.Popen[str], addresses: dict[str, str]) -> None:
        self.process = process
        self.addresses = addresses

    @property
    def http(self) -> str:
        return self.addresses["http"].removeprefix("http://")

    @property
    def stream(self) -> str:
        return self.addresses["stream"].removeprefix("tcp://")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal. Return the exit code and the text on stderr."""
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=START_S)
        return self.process.returncode, errors


@contextmanager
def serving(
    *arguments: object, folder: Path, launcher: Sequence[str] = (), **environ: str
) -> Iterator[EngineProcess]:
    """Run an engine and yield it once it is ready; kill it at the end. `launcher`: the command it is started by."""
    process = subprocess.Popen(
        [*launcher, *TIDEMILL, "serve", *(str(argument) for argument in arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        addresses: dict[str, str] = {}
        for line in process.stdout:
            name, value, *_ = line.split()
            addresses.setdefault(name, value)
            if name == "ready":
                break
        else:
            raise AssertionError(f"it did not start: {process.communicate()[1]}")
        yield EngineProcess(process, addresses)
    finally:
        process.kill()
        process.communicate()


ANYWHERE = ("--http", "127.0.0.1:0", "--intake", "127.0.0.1:0", "--stream", "127.0.0.1:0")
"""Ports that are free."""
