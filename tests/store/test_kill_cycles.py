"""kill -9 at random moments under load, cycle after cycle, against the real files and an account kept outside.

Where in a commit a kill strikes is left to chance and to the clock; `test_crash_images.py` goes through all places.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.kernel import Kernel
from engine.store.recover import recover
from tests.store.helpers import line
from tests.store.sidecar_process import Sidecar, opened

CYCLES, NIGHTLY_CYCLES = 20, 200
LINES_PER_CYCLE = 3_000
CONTACTS = 61


def lines(first: int, count: int) -> list[bytes]:
    return [line(f"c{n % CONTACTS}", message=f"m{n}", number=n) for n in range(first, first + count)]


def points(upto: int) -> Counter[str]:
    """Return the points that the flow gives for the first lines: one for each even number."""
    return Counter(f"c{n % CONTACTS}" for n in range(0, upto, 2))


class KillAccount:
    """`acknowledged` lines were, `sent` may be durable: a recovery must lie between, contact by contact."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.acknowledged = self.sent = 0

    def check(self) -> None:
        with opened(self._data) as (journal, checkpoints):
            kernel = Kernel(key=journal.key)
            recover(kernel, journal, checkpoints)
        for contact, least in points(self.acknowledged).items():
            assert least <= kernel.contact(contact)["points"] <= points(self.sent)[contact]
        arrived = kernel.stats("thanks")["nodes"]["start"]["arrived"]
        assert self.acknowledged <= arrived <= self.sent
        effects = kernel.outbox(0, self.sent)
        assert len({effect.id for effect in effects}) == len(effects)
        messages = Counter(effect.contact for effect in effects)
        assert messages == {contact: kernel.contact(contact)["points"] for contact in messages}


class Victim(Sidecar):
    """Killed some moment after the first acknowledgement."""

    def stream_until_killed(self, given: list[bytes], after_s: float) -> int:
        """Send `given`, kill the process `after_s` after the first acknowledgement; how many lines were."""
        feeder = threading.Thread(target=self._feed, args=(given, False))
        feeder.start()
        acknowledged = 0
        assert self._process.stdout is not None
        for text in self._process.stdout:
            if not acknowledged:
                threading.Thread(target=self._kill, args=(after_s,)).start()
            acknowledged = int(text.split()[1])
        feeder.join()
        assert self._process.wait() == -signal.SIGKILL
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return acknowledged

    def _kill(self, after_s: float) -> None:
        time.sleep(after_s)
        self._process.send_signal(signal.SIGKILL)


def killed(data: Path, cycles: int, seed: int) -> None:
    chance, account = random.Random(seed), KillAccount(data)
    for _ in range(cycles):
        first = account.acknowledged
        given = lines(first, LINES_PER_CYCLE)
        account.sent = max(account.sent, first + len(given))
        account.acknowledged += Victim(data, "real").stream_until_killed(given, chance.uniform(0, 0.25))
        account.check()
    assert account.acknowledged > 50 * cycles, "it was under load"


def test_twenty_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    killed(tmp_path, CYCLES, seed=20)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(10))
def test_two_hundred_kills_lose_nothing_acknowledged(
    tmp_path: Path, part: int, request: pytest.FixtureRequest
) -> None:
    if "nightly" not in request.config.getoption("-m"):
        pytest.skip("the long form: -m nightly")
    killed(tmp_path, NIGHTLY_CYCLES // 10, seed=200 + part)
