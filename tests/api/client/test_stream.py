"""Sending a stream: every line accounted for, over killed engines and broken connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from api.client.stream import FeedError, Sent, send_stream
from api.keys import Keys
from api.listen import Address
from engine.wire import Rejection
from tests.api.fakes import FakeEngine
from tests.api.stream_peer import event, serving


def test_a_feed_accounts_for_every_line() -> None:
    async def main() -> None:
        engine = FakeEngine()
        acks: list[int] = []
        wrong: list[Rejection] = []
        lines = [event(n) if n % 1_000 else b"nonsense" for n in range(5_000)]
        async with serving(engine, keys=Keys(["k"])) as (_, _, where):
            sent = await send_stream(where, lines, acks.append, on_rejection=wrong.append, key="k")
        assert sent == Sent(5_000, 5, 1)
        assert [one.line for one in wrong] == [0, 1_000, 2_000, 3_000, 4_000]
        assert acks == sorted(set(acks))
        assert acks[-1] == 5_000
        assert len(engine.events) == 4_995

    trio.run(main)


def test_a_feed_goes_on_after_the_last_acknowledgement_when_the_engine_is_killed(tmp_path: Path) -> None:
    """Every third submission the engine dies with what it has not acknowledged; nothing may be missing."""
    address = Address(path=str(tmp_path / "s"))
    durable: list[str] = []
    wrong: list[int] = []

    async def lives(engine: FakeEngine, most: int) -> None:
        async with serving(engine, address):
            await engine.takes(most)
            engine.settle(max(1, most - 1))
            await trio.testing.wait_all_tasks_blocked(0.01)
        for decoded in engine.taken[: max(1, most - 1)]:
            durable.extend(one.name for one in decoded.inputs)  # type: ignore[union-attr]
        (tmp_path / "s").unlink()

    async def main() -> None:
        lines = [event(n) if n != 700 else b"x\n" for n in range(20_000)]
        finished = trio.Event()
        found: list[Sent] = []

        async def feed() -> None:
            found.append(
                await send_stream(
                    address, lines, on_rejection=lambda one: wrong.append(one.line), patience_s=5
                )
            )
            finished.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed)
            for most in (1, 2, 3):
                await lives(FakeEngine(held=True), most)
            last = FakeEngine()
            async with serving(last, address):
                with trio.fail_after(5):
                    await finished.wait()
            durable.extend(last.events)
        assert found[0].lines == 20_000
        assert found[0].connections >= 4

    trio.run(main)
    assert wrong == [700]
    assert list(dict.fromkeys(durable)) == [str(n) for n in range(20_000) if n != 700]


def test_a_feed_says_why_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FeedError, match="the first 0 lines are safely in"):
            await send_stream(Address(path=str(tmp_path / "none")), [event("A")], patience_s=0)
        async with serving(FakeEngine(), keys=Keys(["k"])) as (_, _, where):
            with pytest.raises(FeedError, match="a key for events"):
                await send_stream(where, [event("A")], key="wrong")
        async with serving(FakeEngine()) as (_, _, where):
            with pytest.raises(ValueError, match="newline inside"):
                await send_stream(where, [event("A"), b"a\nb"])
            assert await send_stream(where, []) == Sent(0, 0, 1)

    trio.run(main)


def test_a_feed_keeps_no_more_than_its_window() -> None:
    drawn = 0

    async def main() -> None:
        nonlocal drawn
        engine = FakeEngine(held=True)

        def lines() -> Any:
            nonlocal drawn
            for n in range(100_000):
                drawn += 1
                yield event(n)

        async with serving(engine) as (_, _, where):
            with trio.move_on_after(0.2):
                await send_stream(where, lines(), window_bytes=100_000)
        assert drawn * len(event(1)) < 100_000 + 2 * 64 * 1024

    trio.run(main)
