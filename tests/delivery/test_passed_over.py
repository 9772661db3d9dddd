"""Effects for a destination without room are skipped, and neither lost nor delivered twice."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import trio

from engine import limits, tuning
from engine.model import Effect, Receipt
from tests.delivery.delivery_bench import DeliveryBench, bench, jump
from tests.delivery.failing_channels import HOUR_S, Several


class RecoveringPlace(Several):
    """The place `dead` answers from `up_s` on; none is given an effect that is under way, or was delivered."""

    def __init__(self, up_s: float, *, workers: int = 3) -> None:
        super().__init__(self._refused, workers=workers, takes_s=0.01)
        self.up_s = up_s
        self.dead: set[str] = set()
        self.under_way: set[str] = set()

    def _refused(self, effect: str, now: float) -> Exception | None:
        return OSError("refused") if effect in self.dead and now < self.up_s else None

    async def deliver(self, effect: Effect) -> Receipt:
        if effect.contact == "dead":
            self.dead.add(effect.id)
        assert effect.id not in self.under_way
        assert effect.id not in self.delivered
        self.under_way.add(effect.id)
        try:
            return await super().deliver(effect)
        finally:
            self.under_way.remove(effect.id)


@pytest.fixture(autouse=True)
def little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELIVERY_ASIDE_MAX", 50)
    monkeypatch.setattr(limits, "DELIVERY_HELD_MAX", 20)
    monkeypatch.setattr(limits, "DELIVERY_HELD_DOWN_MAX", 6)
    monkeypatch.setattr(tuning, "DELIVERY_PAGE_EFFECTS", 4)


def add(b: DeliveryBench, count: int, to: Callable[[int], str]) -> None:
    for n in range(count):
        b.kernel._effect(to(n), "email", 0)
    b.delivery.wake()


def held(b: DeliveryBench) -> int:
    (lane,) = b.delivery._lanes
    assert len(lane._held) == sum(to.effects for to in lane._destinations.values())
    return len(lane._held)


def test_one_dead_place_stops_nothing_that_goes_elsewhere_and_nothing_of_it_is_lost() -> None:
    channel = RecoveringPlace(HOUR_S)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            add(b, 400, lambda n: "dead" if n < 200 or n % 2 else "live")
            await trio.sleep(30)
            assert len(channel.delivered) == 100
            add(b, 20, lambda n: "dead" if n % 2 else "live")
            await trio.sleep(1)
            assert len(channel.delivered) == 110
            while trio.current_time() < HOUR_S + limits.DELIVERY_PAUSE_S_MAX:
                assert held(b) <= 20
                await trio.sleep(1)
            await trio.sleep(60)
            assert b.receipts == {f"e{n}": "delivered" for n in range(1, 421)}
            assert held(b) == 0
            assert b.delivery._lanes[0]._destinations == {}

    jump(test)
    assert len(channel.delivered) == 420


def test_what_is_new_takes_turns_with_what_was_passed_over() -> None:
    channel = RecoveringPlace(HOUR_S, workers=1)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            add(b, 400, lambda n: "dead")
            while not channel.delivered:  # noqa: ASYNC110
                await trio.sleep(1)
            before = len(channel.delivered)
            assert before < 200
            add(b, 10, lambda n: "live")
            await trio.sleep(0.6)
            assert {f"e{n}" for n in range(401, 411)} < set(channel.delivered)
            assert len(channel.delivered) < before + 70

    jump(test)


def test_when_those_that_are_held_are_given_up_the_next_are_tried() -> None:
    channel = RecoveringPlace(math.inf)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            add(b, 30, lambda n: "dead")
            for day in range(30):
                assert held(b) <= 6 + 10 + channel.workers, day
                await trio.sleep(24 * HOUR_S)
            assert b.receipts == {f"e{n}": "failed" for n in range(1, 31)}
            assert held(b) == 0

    jump(test)


def test_when_those_that_are_held_are_wanted_no_more_the_next_are_tried() -> None:
    channel = RecoveringPlace(HOUR_S)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            add(b, 60, lambda n: "dead")
            await trio.sleep(60)
            wanted = {f"e{n}" for n in range(51, 61)}
            for seq in range(1, 51):
                del b.kernel.pending[seq]
            await trio.sleep(2 * HOUR_S)
            assert b.receipts == dict.fromkeys(wanted, "delivered")

    jump(test)


def test_what_is_read_again_before_its_receipt_is_journaled_is_not_delivered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "DELIVERY_PAGE_EFFECTS", 64)
    channel = RecoveringPlace(0.0)

    async def test() -> None:
        async with bench({"email": channel}) as b:
            b.refusals = 20
            add(b, 200, lambda n: "live")
            await trio.sleep(100)
            assert b.receipts == {f"e{n}": "delivered" for n in range(1, 201)}

    jump(test)
    assert len(channel.begun) == 200
