"""Delivery: each durable effect reaches its channel under its id, and its receipt the kernel."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine import limits
from engine.channels import Channel, Log, Outbox, TryLater
from engine.channels.log import line_of
from engine.delivery import Delivery
from engine.errors import Unavailable
from engine.model import Effect, Receipt
from engine.service import Service, ServiceConfig, running
from engine.wire import decode_lines
from tests.store.fake_kernel import FakeKernel
from tests.store.helpers import Collector, config, line, run, until


def sends(*channels: str) -> bytes:
    return b"".join(line(f"c{n}", "send", channel=channel) for n, channel in enumerate(channels))


async def receipted(service: Service, count: int) -> dict[str, str]:
    """The receipts, once there are `count`."""
    await until(lambda: len(service.kernel.receipts) >= count)
    return service.kernel.receipts


def test_an_effect_is_delivered_and_its_receipt_journaled(tmp_path: Path) -> None:
    collector = Collector()

    async def test() -> None:
        async with running(config(tmp_path, channel=collector)) as service:
            await service.submit(decode_lines(sends("email", "sms", "webhook")))
            assert await receipted(service, 3) == dict.fromkeys(("e1", "e2", "e3"), "delivered")
            assert service.kernel.outbox(0, 10) == []
            assert service.statistics()["delivery"]["receipts"]["sms"] == {"delivered": 1}

    run(test)
    assert sorted(effect.id for effect in collector.effects) == ["e1", "e2", "e3"]


def test_effects_of_an_outbox_channel_wait_for_the_application(tmp_path: Path) -> None:
    collector = Collector()

    async def first() -> None:
        settings = config(tmp_path, channel=collector)
        settings = ServiceConfig(
            data=settings.data, kernel=settings.kernel, channels={**settings.channels, "sms": Outbox()}
        )
        async with running(settings) as service:
            await service.submit(decode_lines(sends("sms", "email", "sms", "gone", "sms")))
            await receipted(service, 1)
            assert [effect.id for effect in service.outbox()] == ["e1", "e3", "e4", "e5"]
            assert [effect.id for effect in service.outbox(after=1, limit=2)] == ["e3", "e4"]
            await service.control("receipts", receipts=[Receipt("e1", "bounced")])
            assert [effect.id for effect in service.outbox()] == ["e3", "e4", "e5"]

    run(first)
    assert [effect.id for effect in collector.effects] == ["e2"]


def test_no_more_is_handed_out_than_was_asked_for_while_a_batch_is_being_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        settings = config(tmp_path, channel=Collector())
        settings = ServiceConfig(data=settings.data, kernel=settings.kernel, channels={"sms": Outbox()})
        async with running(settings) as service:
            await service.submit(decode_lines(sends("sms", "sms", "sms", "sms")))
            monkeypatch.setattr(service._ingest, "durable_effects_before", lambda: 4)
            assert [effect.id for effect in service.outbox(limit=2)] == ["e1", "e2"]
            assert [effect.id for effect in service.outbox(limit=10)] == ["e1", "e2", "e3"]
            monkeypatch.undo()

    run(test)


def test_what_was_not_receipted_before_a_stop_is_delivered_after_the_start(tmp_path: Path) -> None:
    collector = Collector()

    async def first() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(decode_lines(sends(*150 * ["email"])))

    async def second() -> None:
        async with running(config(tmp_path, channel=collector)) as service:
            await receipted(service, 150)

    run(first)
    run(second)
    assert sorted(effect.seq for effect in collector.effects) == list(range(1, 151))


def test_a_delivery_cut_off_by_a_stop_is_repeated_under_the_same_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DELIVERY_STOP_S", 0.05)
    begun: list[str] = []

    class Hanging:
        workers = 1

        async def deliver(self, effect: Effect) -> Receipt:
            begun.append(effect.id)
            await trio.sleep_forever()

    async def first() -> None:
        async with running(config(tmp_path, channel=Hanging())) as service:
            await service.submit(decode_lines(sends("email", "email")))
            await until(lambda: bool(begun))

    async def second() -> None:
        async with running(config(tmp_path, channel=collector)) as service:
            await receipted(service, 2)

    run(first)
    collector = Collector()
    run(second)
    assert begun == ["e1"]
    assert sorted(effect.id for effect in collector.effects) == ["e1", "e2"]


def test_a_stop_lets_deliveries_under_way_end(tmp_path: Path) -> None:
    class Slow(Collector):
        async def deliver(self, effect: Effect) -> Receipt:
            await trio.sleep(0.1)
            return await super().deliver(effect)

    slow = Slow()

    async def test() -> None:
        async with running(config(tmp_path, channel=slow)) as service:
            await service.submit(decode_lines(sends("email")))
            await trio.sleep(0.02)
        assert service.kernel.receipts == {"e1": "delivered"}

    run(test)


# The delivery by itself, on a kernel and a clock that jumps


class Bench:
    """A delivery over a fake kernel whose outbox the test fills."""

    def __init__(self, channels: dict[str, Channel | Outbox]) -> None:
        self.kernel = FakeKernel()
        self.before: int | None = None
        self.refusals = 0
        self.journaled: list[list[Receipt]] = []
        self.delivery = Delivery(
            self.kernel,  # type: ignore[arg-type]
            channels,
            durable_before=lambda: self.before,
            journal=self.journal,
        )

    async def journal(self, receipts: list[Receipt]) -> None:
        await trio.lowlevel.checkpoint()
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("store_full", "Full.")
        self.journaled.append(receipts)
        for receipt in receipts:
            self.kernel.pending.pop(int(receipt.effect[1:]), None)

    def add(self, *channels: str) -> None:
        for channel in channels:
            self.kernel._effect("c", channel, 0)
        self.delivery.wake()

    @property
    def receipts(self) -> dict[str, str]:
        return {one.effect: one.status for batch in self.journaled for one in batch}


@asynccontextmanager
async def bench(channels: dict[str, Channel | Outbox]):  # type: ignore[no-untyped-def]
    made = Bench(channels)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.delivery.run)
        yield made
        await made.delivery.stop()


def jump(test) -> None:  # type: ignore[no-untyped-def]
    """Run with a clock that jumps whenever everybody sleeps."""
    trio.run(test, clock=MockClock(autojump_threshold=0))


def test_nothing_is_delivered_before_it_is_durable() -> None:
    collector = Collector()

    async def test() -> None:
        async with bench({"email": collector}) as b:
            b.before = 2
            b.add("email", "email", "email")
            await trio.sleep(1)
            assert [effect.id for effect in collector.effects] == ["e1"]
            b.before = None
            b.delivery.wake()
            await trio.sleep(1)
            assert sorted(effect.id for effect in collector.effects) == ["e1", "e2", "e3"]

    jump(test)


class Unready:
    """A channel that is not ready so many times."""

    workers = 1

    def __init__(self, times: int, error: Exception) -> None:
        self.times = times
        self.error = error
        self.attempts: list[tuple[str, float]] = []

    async def deliver(self, effect: Effect) -> Receipt:
        self.attempts.append((effect.id, trio.current_time()))
        if len(self.attempts) <= self.times:
            raise self.error
        return Receipt(effect.id, "delivered")


@pytest.mark.parametrize(
    ("error", "pauses"), [(OSError("refused"), [1, 2, 4]), (TryLater("busy", after_s=7.0), [7, 7, 7])]
)
def test_a_channel_that_is_not_ready_is_tried_again_under_the_same_id(
    error: Exception, pauses: list[int]
) -> None:
    unready = Unready(3, error)

    async def test() -> None:
        async with bench({"email": unready}) as b:
            b.add("email")
            await trio.sleep(100)
            assert b.receipts == {"e1": "delivered"}
            assert b.delivery.statistics()["attempts_failed"] == 3

    jump(test)
    assert {id for id, _ in unready.attempts} == {"e1"}
    times = [at for _, at in unready.attempts]
    assert [round(b - a) for a, b in pairwise(times)] == pauses


def test_attempts_end_in_a_receipt_that_says_why() -> None:
    unready = Unready(99, OSError("connection refused"))

    async def test() -> None:
        async with bench({"email": unready}) as b:
            b.add("email")
            await trio.sleep(1_000)
            ((receipt,),) = b.journaled
            assert receipt.status == "failed"
            assert "connection refused" in receipt.detail

    jump(test)
    assert len(unready.attempts) == limits.DELIVERY_ATTEMPTS_MAX


def test_an_effect_a_channel_cannot_handle_does_not_stop_the_others() -> None:
    class Picky(Collector):
        async def deliver(self, effect: Effect) -> Receipt:
            if effect.id == "e1":
                raise ValueError("no such template")
            return await super().deliver(effect)

    async def test() -> None:
        async with bench({"email": Picky()}) as b:
            b.add("email", "email")
            await trio.sleep(1)
            assert b.receipts == {"e1": "failed", "e2": "delivered"}

    jump(test)


def test_a_channel_that_is_down_holds_up_no_other() -> None:
    collector = Collector()

    async def test() -> None:
        async with bench({"email": Unready(99, OSError()), "sms": collector}) as b:
            b.add(*3 * ["email"], "sms", *3 * ["email"], "sms")
            await trio.sleep(0.5)
            assert [effect.id for effect in collector.effects] == ["e4", "e8"]

    jump(test)


def test_what_is_wanted_no_more_is_not_tried_again() -> None:
    unready = Unready(99, OSError())

    async def test() -> None:
        async with bench({"email": unready}) as b:
            b.add("email")
            await trio.sleep(0.5)
            b.kernel.pending.clear()
            await trio.sleep(100)
            assert b.receipts == {}

    jump(test)
    assert len(unready.attempts) == 1


def test_receipts_are_journaled_many_at_a_time_and_again_while_the_store_is_full() -> None:
    class Quick(Collector):
        workers = 8

    async def test() -> None:
        async with bench({"email": Quick()}) as b:
            b.refusals = 3
            b.add(*100 * ["email"])
            await trio.sleep(100)
            assert len(b.receipts) == 100
            assert len(b.journaled) < 50

    jump(test)


def test_the_log_writes_a_line_per_effect() -> None:
    stream = io.StringIO()
    effect = Effect(
        1, "e1", 1_786_366_800_000, "c1", "cart", 2, 5, "nudge", "email", "a@b.c", {"subject": "Hi\n\x1b[31m"}
    )

    async def test() -> None:
        receipt = await Log(stream).deliver(effect)
        assert receipt == Receipt("e1", "delivered")

    run(test)
    assert stream.getvalue() == line_of(effect) + "\n"
    assert line_of(effect) == (
        "2026-08-10T13:00:00Z email to a@b.c: "
        r'{"subject":"Hi\n\u001b[31m"} (contact c1, flow cart v2, node nudge, effect e1)'
    )


def test_no_contact_can_write_a_second_line_into_the_log() -> None:
    effect = Effect(1, "e1", 0, "c1\r\nforged", "f", 1, 1, "n", "sms", "+1\x1b[2J\x85", {"text": "x" * 5_000})
    text = line_of(effect)
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert len(text) < 1_500
