"""Delivery: each durable effect reaches its channel under its id, and its receipt the kernel."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
import trio

from engine import limits
from engine.delivery.channels import DEFAULT_NAMES, Log, Outbox
from engine.delivery.channels.log import line_of
from engine.model import Effect, Receipt
from engine.service import Service, ServiceConfig, running
from engine.wire import decode_lines
from tests.delivery.delivery_bench import bench, jump
from tests.kernel.kernel_bench import HELLO
from tests.store.fake_kernel import fake_of
from tests.store.helpers import Collector, config, line, run, until


def sends(*channels: str) -> bytes:
    return b"".join(line(f"c{n}", "send", channel=channel) for n, channel in enumerate(channels))


async def receipted(service: Service, count: int) -> dict[str, str]:
    """The receipts, once there are `count`."""
    await until(lambda: len(fake_of(service).receipts) >= count)
    return fake_of(service).receipts


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
        assert fake_of(service).receipts == {"e1": "delivered"}

    run(test)


def test_a_dead_letter_that_is_retried_goes_to_its_channel_again(tmp_path: Path) -> None:
    class Mended(Collector):
        async def deliver(self, effect: Effect) -> Receipt:
            await super().deliver(effect)
            return Receipt(effect.id, "delivered" if len(self.effects) > 1 else "failed")

    mended = Mended()

    async def test() -> None:
        channels = dict.fromkeys(DEFAULT_NAMES, mended)
        async with running(ServiceConfig(data=tmp_path, channels=channels)) as service:
            await service.control("launch", flow=HELLO)
            await service.submit(decode_lines(line("ann", "X")))
            await until(lambda: bool(service.kernel.dead_letters()))
            assert service.kernel.counts()["effects_pending"] == 0
            await service.control("retry")
            await until(lambda: len(mended.effects) == 2 and not service.kernel.counts()["effects_pending"])
            assert service.kernel.dead_letters() == []

    run(test)
    first, second = mended.effects
    assert first == msgspec.structs.replace(second, seq=first.seq)


# The delivery by itself


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


@pytest.mark.parametrize("returned", [None, "delivered", Receipt("e1", "sent"), Receipt("e1", None)])  # type: ignore[arg-type]
def test_an_effect_fails_whose_channel_returns_no_receipt(returned: Receipt) -> None:
    class Forgetful(Collector):
        async def deliver(self, effect: Effect) -> Receipt:
            receipt = await super().deliver(effect)
            return returned if effect.id == "e1" else receipt

    async def test() -> None:
        async with bench({"email": Forgetful()}) as b:
            b.add("email", "email")
            await trio.sleep(1)
            assert b.receipts == {"e1": "failed", "e2": "delivered"}
            (told,) = [one.detail for batch in b.journaled for one in batch if one.status == "failed"]
            assert told.startswith("TypeError: the channel returned ")

    jump(test)


@pytest.mark.parametrize("detail", ["file \udcff not found", "\x01" * 20_000, None])
def test_whatever_a_channel_says_can_be_journaled(tmp_path: Path, detail: str | None) -> None:
    class Odd:
        workers = 1_000

        async def deliver(self, effect: Effect) -> Receipt:
            await trio.sleep(0.1)
            return Receipt("another's", "failed", detail)  # type: ignore[arg-type]

    async def test() -> None:
        async with running(config(tmp_path, channel=Odd())) as service:
            await service.submit(decode_lines(sends(*1_000 * ["email"])))
            assert set((await receipted(service, 1_000)).values()) == {"failed"}

    run(test)


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
