"""kill -9 in the middle of a stream, start again, resend what was not acknowledged: nothing missing, nothing twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from engine.kernel import Kernel
from engine.store.recover import recover
from tests.store.fake_kernel import FakeKernel
from tests.store.helpers import line
from tests.store.sidecar_process import Sidecar, opened

EVENTS = 12_000
CONTACTS = 97
LINES = [line(f"c{n % CONTACTS}", message=f"m{n}", number=n) for n in range(EVENTS)]
KILLS = 4
ROUND = EVENTS // (KILLS + 1)  # sent to a process that will be killed


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
