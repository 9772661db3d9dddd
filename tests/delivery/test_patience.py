"""Patience: what cannot be delivered is tried again for a day, holds up nothing else, and an outage loses nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
import trio

from engine import limits
from engine.delivery.backoff import Destination
from engine.delivery.channels import TryLater
from engine.model import Effect, Receipt
from tests.delivery.delivery_bench import DeliveryBench, bench, jump
from tests.delivery.failing_channels import HOUR_S, Fickle, Several


def only(*effects: str, error: Exception | None = None) -> Callable[[str, float], Exception | None]:
    """Return a rule by which these effects always fail."""
    return lambda effect, now: (error or OSError("refused")) if effect in effects else None


def until(up_s: float, *effects: str) -> Callable[[str, float], Exception | None]:
    """Return a rule by which these effects, or all, fail until a time."""
    return lambda effect, now: (
        OSError("refused") if now < up_s and (effect in effects or not effects) else None
    )


async def kept_busy(b: DeliveryBench, seconds: float, every_s: float = 10.0) -> None:
    """Further effects, which keep the channel from being taken to be down."""
    for _ in range(math.ceil(seconds / every_s)):
        b.add("email")
        await trio.sleep(every_s)


def test_pauses_double_from_a_second_to_an_hour_and_chance_shortens_them_by_a_half_at_most() -> None:
    channel = Fickle(only("e1"))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add("email")
            await kept_busy(b, 26 * HOUR_S)
            assert {id for id, status in b.receipts.items() if status != "delivered"} == {"e1"}
            (receipt,) = [one for batch in b.journaled for one in batch if one.effect == "e1"]
            tried = len(channel.times("e1"))
            assert receipt.detail.startswith(f"Gave up after {tried} attempts in 24.")
            assert receipt.detail.endswith(" hours: refused")
            told = b.delivery.statistics()
            assert (told["attempts_failed"], told["gave_up"]) == (tried, 1)
            assert (told["set_aside"], told["destinations_down"]) == (0, 0)

    jump(test)
    pauses = channel.pauses("e1")
    longest = [min(2.0**n, HOUR_S) for n in range(len(pauses))]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert len({round(pause / most, 3) for pause, most in zip(pauses, longest, strict=True)}) > 30
    assert limits.DELIVERY_GIVE_UP_S <= sum(pauses) <= limits.DELIVERY_GIVE_UP_S + HOUR_S


@pytest.mark.parametrize(("asked_s", "paused_s"), [(7.0, 7.0), (1e9, limits.DELIVERY_RETRY_AFTER_S_MAX)])
def test_what_the_other_side_asks_for_is_waited_for_within_reason(asked_s: float, paused_s: float) -> None:
    channel = Fickle(only("e1", error=TryLater("busy", after_s=asked_s)))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add("email")
            await trio.sleep(1.5 * paused_s)

    jump(test)
    assert channel.pauses("e1")[0] == pytest.approx(paused_s)


def test_a_place_that_is_down_is_left_alone_as_long_as_any_answer_asked() -> None:
    to, chance = Destination("place"), Random(1)
    for _ in range(limits.DELIVERY_FAILURES_MAX - 1):
        to.fail(0.0, 0.0, chance)
    to.under_way = 2
    to.fail(10.0, 600.0, chance)
    to.under_way = 1
    to.fail(11.0, 0.0, chance)
    to.under_way = 0
    assert not to.may_be_tried(609.0)
    assert to.may_be_tried(610.0)
    assert to.succeed()
    assert to.may_be_tried(12.0)


def test_what_was_asked_to_wait_waits_though_its_place_is_up_again() -> None:
    def fails(effect: str, now: float) -> Exception | None:
        if effect == "e1" and now < 600.0:
            return TryLater("busy", after_s=600.0)
        return OSError("refused") if now < 60.0 else None

    channel = Fickle(fails)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*20 * ["email"])
            await trio.sleep(300)
            assert len(channel.delivered) == 19
            await trio.sleep(310)
            assert len(channel.delivered) == 20

    jump(test)
    assert channel.pauses("e1") == [pytest.approx(600.0, abs=1.0)]


def test_a_pause_of_nothing_asked_for_is_no_storm() -> None:
    channel = Fickle(only("e1", error=TryLater("busy", after_s=0.0)))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add("email")
            await trio.sleep(10)

    jump(test)
    assert len(channel.begun) <= 5


def test_what_waits_holds_up_nothing_else() -> None:
    bad = [f"e{n}" for n in range(1, 6)]
    channel = Fickle(only(*bad))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*9 * ["email"])
            await trio.sleep(0.1)
            assert channel.delivered == ["e6", "e7", "e8", "e9"]
            assert b.delivery.statistics()["set_aside"] == 5

    jump(test)


def test_what_is_due_again_and_what_is_new_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELIVERY_FAILURES_MAX", 1_000)
    bad = [f"e{n}" for n in range(1, 7)]
    channel = Fickle(only(*bad), takes_s=50.0)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*12 * ["email"])
            await trio.sleep(22 * 50.0)

    jump(test)
    effects = [effect for effect, _ in channel.begun]
    new = [effect not in effects[:place] for place, effect in enumerate(effects)]
    assert new[:22] == [True, *10 * [True, False], True]
    assert channel.delivered == ["e7", "e8", "e9", "e10", "e11", "e12"]


def test_an_outage_of_an_hour_loses_nothing_and_is_left_in_peace() -> None:
    channel = Fickle(until(HOUR_S), workers=4)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*500 * ["email"])
            await trio.sleep(HOUR_S - 1)
            assert b.delivery.statistics()["destinations_down"] == 1
            assert b.receipts == {}
            assert len(channel.begun) < 150
            await trio.sleep(limits.DELIVERY_PAUSE_S_MAX + 1)
            assert b.receipts == {f"e{n}": "delivered" for n in range(1, 501)}
            assert b.delivery.statistics()["destinations_down"] == 0

    jump(test)


def test_while_it_is_down_there_is_one_attempt_at_a_time() -> None:
    channel = Fickle(until(HOUR_S), workers=8, takes_s=5.0)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*100 * ["email"])
            await trio.sleep(HOUR_S)

    jump(test)
    times = [at for _, at in channel.begun]
    alone = [after - before for before, after in pairwise(times[16:])]
    assert min(alone) >= 5.0
    assert limits.DELIVERY_PAUSE_S_MAX / 2 <= alone[-1] <= limits.DELIVERY_PAUSE_S_MAX + 5.0


def test_a_place_that_is_down_holds_up_no_other_place_of_its_channel() -> None:
    def fails(effect: str, now: float) -> Exception | None:
        return OSError("refused") if int(effect[1:]) <= 300 and now < HOUR_S else None

    channel = Several(fails, workers=2)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            for n in range(310):
                b.kernel._effect("down" if n < 300 else "up", "email", 0)
            b.delivery.wake()
            await trio.sleep(1)
            assert sorted(channel.delivered) == [f"e{n}" for n in range(301, 311)]
            assert len(channel.begun) < 30
            assert b.delivery.statistics()["set_aside"] == 300
            await trio.sleep(HOUR_S + limits.DELIVERY_PAUSE_S_MAX)
            assert set(b.receipts.values()) == {"delivered"}
            assert len(b.receipts) == 310
            assert b.delivery._lanes[0]._destinations == {}

    jump(test)


def test_messages_that_always_fail_do_not_keep_a_place_down() -> None:
    bad = [f"e{n}" for n in range(1, 21)]
    channel = Fickle(only(*bad))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*30 * ["email"])
            await trio.sleep(HOUR_S)
            assert channel.delivered == [f"e{n}" for n in range(21, 31)]

    jump(test)


def test_an_outage_of_three_days_does_not_burn_through_the_outbox() -> None:
    channel = Fickle(until(72 * HOUR_S))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*500 * ["email"])
            await trio.sleep(73 * HOUR_S)
            assert len(b.receipts) == 500
            assert set(b.receipts.values()) == {"delivered"}

    jump(test)


def test_a_message_alone_that_nobody_takes_is_given_up_after_a_day() -> None:
    channel = Fickle(only("e1"))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add("email")
            await trio.sleep(limits.DELIVERY_GIVE_UP_S + limits.DELIVERY_PAUSE_S_MAX)
            assert b.receipts == {"e1": "failed"}

    jump(test)
    assert len(channel.begun) < 24 * 60 * 2


def test_who_fails_an_effect_without_asking_the_place_says_nothing_of_it() -> None:
    """Webhooks do so for a URL that answered 410 before."""

    class Hook(Fickle):
        async def deliver(self, effect: Effect) -> Receipt:
            if int(effect.id[1:]) % 10 == 0:
                return Receipt(effect.id, "failed", "410 Gone")
            return await super().deliver(effect)

    channel = Hook(until(HOUR_S), workers=4)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*500 * ["email"])
            await trio.sleep(HOUR_S)
            assert b.delivery.statistics()["destinations_down"] == 1
            assert set(b.receipts.values()) == {"failed"}
            assert len(channel.begun) < 150
            await trio.sleep(2 * limits.DELIVERY_PAUSE_S_MAX)
            assert len(b.receipts) == 500
            assert len(channel.delivered) == 450

    jump(test)


def test_a_channel_that_breaks_with_every_effect_is_paused_before_all_have_failed() -> None:
    def fails(effect: str, now: float) -> Exception | None:
        return RuntimeError("no such relay") if now < HOUR_S else None

    channel = Fickle(fails, workers=2)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*500 * ["email"])
            await trio.sleep(HOUR_S + 2 * limits.DELIVERY_PAUSE_S_MAX)
            assert len(b.receipts) == 500
            assert 70 < list(b.receipts.values()).count("failed") < 150

    jump(test)


def test_so_many_are_set_aside_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELIVERY_ASIDE_MAX", 3)
    bad = [f"e{n}" for n in range(1, 6)]
    channel = Fickle(until(100.0, *bad), workers=2)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add(*9 * ["email"])
            for _ in range(99):
                await trio.sleep(1)
                assert b.delivery.statistics()["set_aside"] <= 3
            assert {effect for effect, _ in channel.begun} == {"e1", "e2", "e3"}
            await trio.sleep(200)
            assert b.receipts == {f"e{n}": "delivered" for n in range(1, 10)}

    jump(test)


def test_what_is_wanted_no_more_is_not_tried_again() -> None:
    channel = Fickle(only("e1"))

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.add("email")
            await trio.sleep(0.1)
            b.kernel.pending.clear()
            await trio.sleep(100)
            assert b.receipts == {}
            assert b.delivery.statistics()["set_aside"] == 0

    jump(test)
    assert len(channel.begun) == 1


def test_a_channel_that_is_down_holds_up_no_other() -> None:
    down, up = Fickle(until(math.inf)), Fickle(only())

    async def test() -> None:
        async with bench({"email": down, "sms": up}) as b:
            b.add(*30 * ["email"], "sms", *3 * ["email"], "sms")
            await trio.sleep(0.5)
            assert up.delivered == ["e31", "e35"]

    jump(test)
