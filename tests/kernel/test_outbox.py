"""The outbox beside a list of what is pending: added, settled, forgotten and read in any order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel.outbox import BLOCK_BITS, PendingEffects
from engine.model import Effect

WIDE = 1 << BLOCK_BITS


def run_of(seq: int) -> int:
    return seq - seq % 5 if seq % 2 else seq


def id_of(seq: int) -> str:
    return f"f.{run_of(seq)}.n.{seq}"


def effect(seq: int) -> Effect:
    """Some runs have one, some have several."""
    return Effect(seq, id_of(seq), 0, f"c{seq % 7}", "f", 1, run_of(seq), "n", "webhook", None, {})


VERBS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([1, 2, WIDE - 1, WIDE + 1])),
    st.tuples(st.just("settle"), st.integers(0, 3 * WIDE)),
    st.tuples(st.just("settle all to"), st.integers(0, 3 * WIDE)),
    st.tuples(st.just("forget"), st.integers(0, 6)),
    st.tuples(st.just("after"), st.integers(0, 3 * WIDE)),
    st.tuples(st.just("restore"), st.just(0)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(VERBS, max_size=30))
def test_it_gives_what_is_pending_in_order(verbs: list[tuple[str, int]]) -> None:
    outbox, pending = PendingEffects(), list[int]()
    for verb, n in verbs:
        if verb == "add":
            for _ in range(n):
                pending.append(outbox.next_seq())
                outbox.add(effect(pending[-1]))
        elif verb.startswith("settle"):
            for seq in range(n + 1) if verb == "settle all to" else (n,):
                settled = outbox.settle(id_of(seq))
                assert (settled.seq if settled else None) == (seq if seq in pending else None)
                pending = [one for one in pending if one != seq] if settled else pending
        elif verb == "forget":
            outbox.forget_contact(frozenset({f"c{n}"}))
            pending = [seq for seq in pending if seq % 7 != n]
        elif verb == "after":
            later = [seq for seq in pending if seq > n]
            assert [one.seq for one in outbox.after(n, 5)] == later[:5]
            assert [one.seq for one in outbox.after(n, WIDE + 5)] == later[: WIDE + 5]
        else:
            last, kept = outbox.last_seq, list(outbox)
            outbox = PendingEffects()
            outbox.restore(last, reversed(kept))
        assert [one.seq for one in outbox] == pending
        assert len(outbox) == len(pending)


def test_one_that_keeps_nothing_numbers_all_the_same() -> None:
    outbox = PendingEffects(keep=False)
    outbox.add(effect(outbox.next_seq()))
    assert (outbox.next_seq(), len(outbox), outbox.after(0, 9), outbox.settle("f.1.n.1")) == (2, 0, [], None)


@pytest.mark.parametrize(
    "id", ["", ".", "f", "f.1", "f..n.0", "f.1.n.0.0", "f.-1.n.0", "f.²1.n.0", "f." + "9" * 5_000]
)
def test_a_receipt_for_what_was_never_sent_is_for_nothing(id: str) -> None:
    outbox = PendingEffects()
    outbox.add(effect(outbox.next_seq()))
    assert outbox.settle(id) is None
    assert len(outbox) == 1
