"""kill -9 in the middle of a stream, start again, resend what was not acknowledged: nothing missing, nothing twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.kernel import Kernel
from engine.store.checkpoint import Checkpoints
from engine.store.journal import Journal
from engine.store.recover import recover
from tests.store.fake_kernel import FakeKernel
from tests.store.helpers import line

EVENTS = 12_000
CONTACTS = 97
LINES = [line(f"c{n % CONTACTS}", message=f"m{n}", number=n) for n in range(EVENTS)]
KILLS = 4
ROUND = EVENTS // (KILLS + 1)  # sent to a process that will be killed


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
        """Send `lines`; kill the process once so many are acknowledged, or let it end. How many were."""
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


def killed_again_and_again(data: Path, kernel: str, seed: int) -> str:
    """Stream all LINES through processes that are killed; the digest at the end of the last."""
    chance = random.Random(seed)
    sent = 0
    for _ in range(KILLS):
        sidecar = Sidecar(data, kernel)
        sent += sidecar.stream(LINES[sent : sent + ROUND], kill_after=chance.randint(1, ROUND))
    sidecar = Sidecar(data, kernel)
    recovered = sidecar.digest
    assert sent + sidecar.stream(LINES[sent:], kill_after=None) == EVENTS
    assert recovered != sidecar.digest, "something was left to send"
    return sidecar.digest


@contextmanager
def opened(data: Path) -> Iterator[tuple[Journal, Checkpoints]]:
    journal, checkpoints = Journal(data / "journal"), Checkpoints(data / "checkpoints")
    yield journal, checkpoints
    journal.close()
    checkpoints.close()


def test_kill_and_resend_gives_the_same_counts(tmp_path: Path) -> None:
    digest = killed_again_and_again(tmp_path, "fake", seed=1)
    with opened(tmp_path) as (journal, checkpoints):
        kernel = FakeKernel(journal.key)
        assert recover(kernel, journal, checkpoints).batches == 0  # type: ignore[arg-type]
    assert kernel.digest().hex() == digest
    assert kernel.counted == {f"c{n}": EVENTS // CONTACTS + (n < EVENTS % CONTACTS) for n in range(CONTACTS)}


def test_kill_and_resend_moves_no_contact_twice(tmp_path: Path) -> None:
    digest = killed_again_and_again(tmp_path, "real", seed=2)
    with opened(tmp_path) as (journal, checkpoints):
        kernel = Kernel(key=journal.key)
        assert recover(kernel, journal, checkpoints).batches == 0
    assert kernel.digest().hex() == digest

    points = Counter(f"c{n % CONTACTS}" for n in range(EVENTS) if n % 2 == 0)
    seen = Counter(f"c{n % CONTACTS}" for n in range(EVENTS))
    contacts = {id: kernel.contact(id) for id in seen}
    assert {id: contact["points"] for id, contact in contacts.items()} == points
    assert {id: contact["events"]["seen"]["count"] for id, contact in contacts.items()} == seen
    nodes = kernel.stats("thanks")["nodes"]
    assert nodes["start"]["arrived"] == EVENTS
    assert nodes["point"]["executed"] == points.total()
    effects = kernel.outbox(0, EVENTS)
    assert Counter(effect.contact for effect in effects) == points
    assert len({effect.id for effect in effects}) == points.total()
