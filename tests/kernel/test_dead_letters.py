"""Dead letters: kept within bounds, retried once and under the same id, deleted with their contact."""

from __future__ import annotations

import pytest

from engine.kernel import Kernel, dead_letters
from engine.kernel.dead_letters import DeadLetters
from engine.model import Control, Effect
from tests.kernel.kernel_bench import HELLO, Bench


def given_up(*contacts: str) -> Bench:
    """A bench on which a message to each was given up."""
    bench = Bench()
    bench.control("launch", flow=HELLO)
    for contact in contacts:
        bench.control("set_contact", contact=contact, traits={"city": f"city of {contact}"})
        bench.track(contact, "X")
    receipts = [{"effect": one.id, "status": "failed", "detail": "why"} for one in bench.kernel.outbox(0, 10)]
    assert bench.control("receipts", receipts=receipts)["accepted"] == len(contacts)
    return bench


def test_it_is_an_effect_of_its_batch_again_once_and_under_the_same_id() -> None:
    bench = given_up("a", "b")
    newest, oldest = bench.kernel.dead_letters()
    assert (newest["contact"], newest["detail"], newest["at"]) == ("b", "why", "2026-08-01T00:00:00Z")
    before = bench.kernel.counts()
    outcome = bench.apply(*[Control("retry", {"effects": [oldest["effect"]]})] * 2)
    assert [answer["accepted"] for answer in outcome.answers] == [1, 0]  # type: ignore[index]
    (effect,) = outcome.effects
    assert (effect.id, effect.contact, effect.message) == (oldest["effect"], "a", {"text": "Hello city of a"})
    assert bench.kernel.outbox(before["effects"], 10) == [effect]
    bench.control("receipts", receipts=[{"effect": effect.id, "status": "delivered"}])
    after = bench.kernel.counts()
    assert (after["receipts_failed"], after["receipts_delivered"]) == (2, 1)
    assert (before["dead_letters"], after["dead_letters"]) == (2, 1)


def test_what_fails_again_is_kept_again() -> None:
    bench = given_up("a")
    for _ in range(3):
        (dead,) = bench.kernel.dead_letters()
        bench.control("retry")
        assert bench.kernel.dead_letters() == []
        bench.control("receipts", receipts=[{"effect": dead["effect"], "status": "failed"}])


def test_what_bounced_is_not_kept() -> None:
    bench = given_up()
    bench.track("a", "X")
    (effect,) = bench.kernel.outbox(0, 10)
    bench.control("receipts", receipts=[{"effect": effect.id, "status": "bounced"}])
    assert bench.control("retry") == {"accepted": 0, "unknown": []}


@pytest.mark.parametrize("restarted", [False, True])
def test_with_its_contact_it_is_forgotten(*, restarted: bool) -> None:
    bench = given_up("a", "b")
    if restarted:
        snapshot = bench.kernel.snapshot(full=True)
        bench.kernel = Kernel()
        bench.kernel.restore(iter(lambda: snapshot.part(100), None))
    bench.control("delete_contact", contact="a")
    assert [one["contact"] for one in bench.kernel.dead_letters()] == ["b"]
    assert bench.control("retry")["accepted"] == 1


def test_only_what_is_put_back_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, unpack, unpacked = given_up("a", "b", "c"), dead_letters._unpack, []

    def watched(packed: bytes) -> Effect:
        unpacked.append(unpack(packed))
        return unpacked[-1]

    monkeypatch.setattr(dead_letters, "_unpack", watched)
    listed = bench.kernel.dead_letters()
    bench.control("set_contact", contact="d", traits={})
    for contact in ("d", "a"):  # the one without a dead letter, the other with one
        bench.control("delete_contact", contact=contact)
    assert len(bench.kernel.dead_letters()) == 2
    monkeypatch.setattr(dead_letters, "DEAD_LETTERS_MAX", 2)
    kept = DeadLetters()
    for n in range(4):
        kept.add(0, "", Effect(n, f"f.{n}.n.0", 0, "e", "f", 1, n, "n", "webhook", None, {}))
    assert unpacked == []
    bench.control("retry", effects=[listed[0]["effect"]])
    assert [effect.contact for effect in unpacked] == ["c"]


def test_the_oldest_go_beyond_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def effect(n: int, text: str = "") -> Effect:
        return Effect(n, f"f.{n}.n.0", 0, "c", "f", 1, n, "n", "webhook", None, {"text": text})

    kept = DeadLetters()
    monkeypatch.setattr(dead_letters, "DEAD_LETTERS_MAX", 3)
    monkeypatch.setattr(dead_letters, "DEAD_LETTERS_BYTES_MAX", 1_000)
    for n in range(5):
        kept.add(0, "", effect(n))
    assert kept.ids() == ["f.2.n.0", "f.3.n.0", "f.4.n.0"]
    kept.add(0, "", effect(5, "x" * 600))
    assert kept.ids() == ["f.3.n.0", "f.4.n.0", "f.5.n.0"]
    kept.add(0, "", effect(6, "x" * 600))
    assert kept.ids() == ["f.6.n.0"]
    kept.add(0, "", effect(7, "x" * 1_000))
    assert kept.ids() == ["f.6.n.0"]
    assert kept.take("f.6.n.0") == effect(6, "x" * 600)
    assert kept.take("f.6.n.0") is None
