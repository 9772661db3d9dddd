"""The process `tests.store.sidecar`, which can be killed, and the store that it leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.store.checkpoint import Checkpoints
from engine.store.journal import Journal


class Sidecar:
    """The process `tests.store.sidecar`; feeds it in the background and follows its acknowledgements."""

    def __init__(self, data: Path, kernel: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.sidecar", str(data), kernel],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self.digest = self._next("ready")

    def _next(self, word: str) -> str:
        assert self._process.stdout is not None
        text = self._process.stdout.readline().decode()
        assert text.startswith(word), f"{text!r} is not {word}"
        return text.split()[1]

    def stream(self, lines: list[bytes], kill_after: int | None) -> int:
        """Send `lines`, and kill the process once `kill_after` are acknowledged, or let it end.

        Return the number of acknowledged lines.
        """
        end = kill_after is None
        feeder = threading.Thread(target=self._feed, args=(lines, end))
        feeder.start()
        acknowledged = 0
        assert self._process.stdout is not None
        for text in self._process.stdout:
            word, value = text.decode().split()
            if word == "end":
                self.digest = value
                break
            acknowledged = int(value)
            if kill_after is not None and acknowledged >= kill_after:
                self._process.send_signal(signal.SIGKILL)
                kill_after = None
        feeder.join()
        assert self._process.wait() == (0 if end else -signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return acknowledged

    def _feed(self, lines: list[bytes], close: bool) -> None:
        assert self._process.stdin is not None
        try:
            for start in range(0, len(lines), 20):
                self._process.stdin.write(b"".join(lines[start : start + 20]))
        except BrokenPipeError:
            assert not close, "it was not to end before its input"
        if close:
            self._process.stdin.close()


@contextmanager
def opened(data: Path) -> Iterator[tuple[Journal, Checkpoints]]:
    journal, checkpoints = Journal(data / "journal"), Checkpoints(data / "checkpoints")
    yield journal, checkpoints
    journal.close()
    checkpoints.close()
