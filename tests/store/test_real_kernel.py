"""The store with the kernel it is for: a restart, clean or not, changes nothing that can be asked."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from engine import tuning
from engine.clock import VirtualClock
from engine.delivery.channels import DEFAULT_NAMES
from engine.errors import NotFound, Refused
from engine.kernel import Kernel
from engine.service import running
from engine.wire import decode_lines
from tests.store.helpers import Collector, line, recovery_of, run, until
from tests.store.live_store import DAY, START, at_rest, crash, crashing, orders, prepare, recovered, settings


def answers(kernel: Kernel) -> dict[str, Any]:
    """Much of what can be asked."""
    return {
        "counts": kernel.counts(),
        "flows": kernel.flows(),
        "stats": kernel.stats("second-order"),
        "contact": kernel.contact("c7"),
        "runs": kernel.runs("second-order", limit=1_000),
        "pools": kernel.pools(),
        "outbox": kernel.outbox(0, 1_000),
        "due": kernel.next_due_ms(),
        "digest": kernel.digest(),
    }


def test_checkpoints_in_between_and_a_crash_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(START)
    before: dict[str, Any] = {}
    deltas: list[int] = []

    async def test() -> None:
        async with running(settings(tmp_path, clock)) as service:
            await prepare(service)
            for n in range(12):
                await service.submit(decode_lines(orders(40 * n, 40, contacts=30 + 20 * n)))
                clock.set(clock.now_ms() + 7 * DAY)
                if n % 2:
                    await service._checkpointer.make()
                    deltas.append(service.statistics()["checkpoint"]["deltas"])
                if n == 5:
                    await service.control("delete_contact", contact="c3")
                    await service.control("pause", flow="second-order")
                    await service.control("resume", flow="second-order")
                if n == 8:
                    [first, *_] = service.outbox()
                    await service.control("receipts", receipts=[{"effect": first.id, "status": "bounced"}])
            await service.submit(decode_lines(orders(480, 5)))
            await at_rest(service)
            before.update(answers(service.kernel))
            await crash(service, monkeypatch)

    with crashing():
        run(test)
    with recovered(tmp_path) as kernel:
        assert max(deltas) > 0
        assert before["counts"]["effects"] > 20
        assert answers(kernel) == before


def test_a_clean_stop_and_start_changes_nothing_and_goes_on_by_deltas(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    seen: list[dict[str, Any]] = []
    deltas: list[int] = []

    async def session(n: int) -> None:
        async with running(settings(tmp_path, clock)) as service:
            if n == 0:
                await prepare(service)
                await service.submit(decode_lines(orders(0, 400, contacts=300)))
            else:
                deltas.append(service.statistics()["checkpoint"]["deltas"])
                assert recovery_of(service).batches == 0
                assert answers(service.kernel) == seen[-1]
            await service.submit(decode_lines(orders(400 + 10 * n, 10)))
            clock.set(clock.now_ms() + 8 * DAY)
            await service.submit(decode_lines(orders(800 + 10 * n, 10)))
        seen.append(answers(service.kernel))

    for n in range(6):
        run(partial(session, n))
    with recovered(tmp_path) as kernel:
        assert answers(kernel) == seen[-1]
    assert max(deltas) > 0


def test_a_wait_ends_by_itself_and_its_message_is_delivered_once(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    collector = Collector()

    async def enter() -> None:
        async with running(settings(tmp_path, clock, collector)) as service:
            await prepare(service)
            await service.submit(decode_lines(line("c1", "Order Completed", "m1", total=70.0)))
            assert service.kernel.next_due_ms() == START + 30 * DAY

    async def leave() -> None:
        async with running(settings(tmp_path, clock, collector)) as service:
            await until(lambda: service.kernel.counts().get("receipts_delivered") == 1)
            assert service.kernel.stats("second-order")["nodes"]["thank"]["executed"] == 1

    async def after() -> None:
        async with running(settings(tmp_path, clock, collector)) as service:
            assert service.outbox() == service.kernel.outbox(0, 10) == []

    run(enter)
    assert collector.effects == []
    clock.set(START + 30 * DAY)
    run(leave)
    run(after)
    assert [effect.message for effect in collector.effects] == [{"text": "Again? S0"}]


def test_the_channels_configured_decide_what_fails(tmp_path: Path) -> None:
    clock = VirtualClock(START)

    async def test() -> None:
        async with running(settings(tmp_path, clock)) as service:
            assert service.kernel.channels() == sorted(DEFAULT_NAMES)
            seq = service.kernel.seq
        async with running(settings(tmp_path, clock)) as service:
            assert service.kernel.seq == seq, "the same set is not journaled again"

    run(test)


def test_a_refusal_is_durable_and_replayed_as_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(START)

    async def test() -> None:
        async with running(settings(tmp_path, clock)) as service:
            with pytest.raises(NotFound):
                await service.control("pause", flow="none")
            with pytest.raises(Refused):
                await service.control("no_such_thing")
            await at_rest(service)
            before.append(service.kernel.digest())
            await crash(service, monkeypatch)

    before: list[bytes] = []
    with crashing():
        run(test)
    with recovered(tmp_path) as kernel:
        assert kernel.digest() == before[0]


def test_a_checkpoint_gives_others_their_turn_between_parts(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    contacts = 8_000

    async def test() -> None:
        async with running(settings(tmp_path, clock)) as service:
            await prepare(service)
            await service.submit(decode_lines(orders(0, contacts, contacts=contacts)))
            turns = 0
            async with trio.open_nursery() as nursery:

                async def make() -> None:
                    await service._checkpointer.make()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(make)
                while True:
                    await trio.lowlevel.checkpoint()
                    turns += 1
            assert turns > contacts / tuning.CHECKPOINT_PART_RECORDS_MAX
            assert service.statistics()["checkpoint"]["made"] == 1

    run(test)
