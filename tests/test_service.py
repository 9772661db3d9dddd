"""The service as a whole, on the fake kernel: acknowledged input survives a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.errors import Conflict, Refused, StoreError, Unavailable
from engine.service import running
from engine.store.recover import Progress
from tests.store.fake_kernel import fake_of
from tests.store.helpers import config, events, recovery_of, run


def test_submitted_input_is_there_after_a_clean_stop(tmp_path: Path) -> None:
    async def first() -> bytes:
        async with running(config(tmp_path)) as service:
            await service.submit(events(25))
        return service.kernel.digest()

    async def second() -> None:
        async with running(config(tmp_path)) as service:
            assert service.kernel.digest() == digest
            assert recovery_of(service).batches == 0, "a clean stop leaves no tail"
            assert fake_of(service).counted == {f"c{n}": 3 if n < 5 else 2 for n in range(10)}

    digest = run(first)
    run(second)


def test_tickets_are_resolved_in_the_order_of_enqueueing(tmp_path: Path) -> None:
    async def test() -> None:
        resolved: list[int] = []
        async with running(config(tmp_path)) as service:
            tickets = [await service.enqueue(events(3, first=3 * n)) for n in range(50)]

            async def watch(number: int) -> None:
                await tickets[number].wait()
                assert all(ticket.done for ticket in tickets[:number])
                resolved.append(number)

            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(watch, number)
            assert sorted(resolved) == list(range(50))
            assert service.durable_seq == service.kernel.seq

    run(test)


def test_an_operation_gives_its_answer_or_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path)) as service:
            assert await service.control("echo", flow="f", n=(1, 2)) == {
                "op": "echo",
                "flow": "f",
                "n": [1, 2],
            }
            with pytest.raises(Refused, match="It is refused") as refused:
                await service.control("refuse")
            assert isinstance(refused.value, Conflict)

    run(test)


def test_configured_channels_are_given_to_the_kernel_once(tmp_path: Path) -> None:
    async def start() -> int:
        async with running(config(tmp_path)) as service:
            assert service.kernel.channels() == sorted(service.channels)
            return service.kernel.seq

    assert (run(start), run(start)) == (1, 1)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path)):
            with pytest.raises(StoreError, match="in use by process") as refused:
                async with running(config(tmp_path)):
                    pass
            assert refused.value.code == "locked"

    run(test)


def test_an_error_in_the_block_leaves_it_as_it_is_after_a_clean_stop(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(5))
            raise KeyError("mine")

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert recovery_of(service).batches == 0
            assert sum(fake_of(service).counted.values()) == 5

    with pytest.raises(KeyError):
        run(test)
    run(again)


def test_a_cancellation_from_outside_is_a_clean_stop(tmp_path: Path) -> None:
    async def test() -> None:
        with trio.CancelScope() as scope:
            async with running(config(tmp_path)) as service:
                ticket = await service.enqueue(events(5))
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert ticket.done

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert recovery_of(service).batches == 0
            assert sum(fake_of(service).counted.values()) == 5

    run(test)
    run(again)


def test_a_fault_of_the_kernel_stops_everything_and_writes_nothing_more(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(5))
            waiting = await service.enqueue(events(1, first=5))
            with pytest.raises(Unavailable):
                await service.control("crash")
            assert waiting.done
            await trio.sleep_forever()

    async def again() -> None:
        async with running(config(tmp_path)) as service:
            assert recovery_of(service).checkpoint_seq == 0, "no checkpoint is made of a state that failed"
            assert sum(fake_of(service).counted.values()) in (5, 6)

    with pytest.raises(ExceptionGroup) as stopped:
        run(test)
    assert stopped.group_contains(AssertionError, match="asked for a crash")
    run(again)


def test_nothing_is_taken_while_stopping(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path)) as service:
            pass
        assert not service.accepts_input
        with pytest.raises(Unavailable):
            await service.submit(events(1))

    run(test)


def test_recovery_reports_its_progress(tmp_path: Path) -> None:
    reports: list[Progress] = []

    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(5))

    async def again() -> None:
        async with running(config(tmp_path), progress=reports.append):
            pass

    run(test)
    run(again)
    assert reports[-1].phase == "restore"
    assert reports[-1].done == reports[-1].total > 0


def test_the_directory_is_private(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path / "new" / "data")):
            pass

    run(test)
    for path in (tmp_path / "new" / "data").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_statistics_are_numbers_and_texts_in_dicts(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(config(tmp_path)) as service:
            await service.submit(events(5))
            statistics = service.statistics()
            assert statistics["ingest"]["inputs"] == 6
            assert statistics["journal"]["commits"]["count"] == statistics["ingest"]["batches"] == 2
            assert statistics["accepts_input"] is True

    run(test)


def test_a_stop_that_fails_ends_in_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise StoreError("commit_failed", "The disk failed.")

    async def test() -> None:
        async with running(config(tmp_path)) as service:
            monkeypatch.setattr(service._checkpointer, "make", fail)

    with pytest.raises(ExceptionGroup) as stopped:
        run(test)
    assert stopped.group_contains(StoreError, match="The disk failed")
