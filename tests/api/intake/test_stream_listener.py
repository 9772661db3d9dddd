"""The acknowledged stream: numbers, order, durability, back-pressure, and both ends of a connection."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from api.intake.lines import LineCutter
from api.keys import Keys
from api.listen import Address
from engine.errors import Unavailable
from engine.limits import MESSAGE_BYTES_MAX
from tests.api.fakes import FakeEngine
from tests.api.stream_peer import event, serving

# Lines


@given(st.lists(st.binary(max_size=30), max_size=10), st.lists(st.integers(0, 300), max_size=10).map(sorted))
def test_any_cut_gives_the_same_numbered_lines(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(lines)
    cutter = LineCutter(8)
    ends = [0, *[min(cut, len(data)) for cut in cuts], len(data)]
    blocks = [cutter.feed(data[start:end]) for start, end in pairwise(ends)]
    blocks.append(cutter.end())
    found: dict[int, bytes] = {}
    too_long: list[int] = []
    for block in blocks:
        taken = block.data.split(b"\n")
        if taken and not taken[-1]:
            taken.pop()
        assert len(taken) == block.until - block.first
        found |= dict(enumerate(taken, start=block.first))
        too_long += [wrong.line for wrong in block.rejected]
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert sorted([*found, *too_long]) == list(range(len(expected)))
    assert all(found[number] == expected[number] for number in found)
    assert all(len(expected[number]) > 8 for number in too_long)
    assert blocks[-1].until == len(expected)


def test_a_line_without_end_is_not_held() -> None:
    cutter = LineCutter(1_000)
    blocks = [cutter.feed(b"x" * 600) for _ in range(100)]
    assert [wrong.line for block in blocks for wrong in block.rejected] == [0]
    assert cutter.feed(b"x\nok\n").first == 1


# The protocol


def test_lines_are_acknowledged_once_durable_and_in_order() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (_, connect, _):
            peer = await connect()
            await peer.send(event("A"))
            await engine.takes(1)
            await peer.send(event("B") + event("C"))
            await engine.takes(2)
            await trio.testing.wait_all_tasks_blocked(0.02)
            engine.settle(1)
            assert await peer.answer() == {"ack": 1}
            engine.settle()
            assert await peer.answer() == {"ack": 3}
        assert engine.events == ["A", "B", "C"]

    trio.run(main)


def test_blank_and_bad_lines_count_and_bad_ones_are_named_before_their_acknowledgement() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (stream, connect, _):
            peer = await connect()
            await peer.send(event("A") + b"\n  \nnonsense\n" + event("B") + b'{"type":"control","op":"x"}\n')
            await peer.stream.send_eof()
            *errors, last = await peer.rest()
            assert [(one["error"]["line"], one["error"]["code"]) for one in errors] == [
                (3, "not_json"),
                (5, "invalid"),
            ]
            assert last == {"ack": 6}
            assert stream.statistics()["lines"] == 6
        assert engine.events == ["A", "B"]

    trio.run(main)


def test_only_bad_lines_are_acknowledged_without_troubling_the_engine() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect, _):
            peer = await connect()
            await peer.send(b"x\n")
            assert (await peer.answer())["error"]["line"] == 0
            assert await peer.answer() == {"ack": 1}
        assert engine.taken == []

    trio.run(main)


def test_a_line_that_is_too_long_is_named_and_skipped() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect, _):
            peer = await connect()
            await peer.send(event("A") + b"x" * (MESSAGE_BYTES_MAX + 1))
            while (answer := await peer.answer()) == {"ack": 1}:
                pass
            assert (answer["error"]["line"], answer["error"]["code"]) == (1, "too_large")
            await peer.send(b"x" * 100_000 + b"\n")
            await peer.acked(2)
            await peer.send(event("B"))
            await peer.acked(3)
            await peer.send(
                b'{"type":"track","userId":"ann","event":"C","x":"' + b"x" * MESSAGE_BYTES_MAX + b'"}\n'
            )
            await peer.stream.send_eof()
            *_, error, last = await peer.rest()
            assert (error["error"]["line"], error["error"]["code"]) == (3, "too_large")
            assert last == {"ack": 4}
        assert engine.events == ["A", "B"]

    trio.run(main)


def test_a_last_line_without_newline_is_taken_if_it_is_whole() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect, _):
            whole, cut, nothing = await connect(), await connect(), await connect()
            await whole.send(event("A").rstrip())
            await whole.stream.send_eof()
            assert await whole.rest() == [{"ack": 1}]
            await cut.send(event("B")[:-2])
            await cut.stream.send_eof()
            error, ack = await cut.rest()
            assert (error["error"]["line"], ack) == (0, {"ack": 1})
            await nothing.stream.send_eof()
            assert await nothing.rest() == [{"ack": 0}]
        assert engine.events == ["A"]

    trio.run(main)


def test_many_lines_in_any_chunks_over_a_unix_socket(tmp_path: Path) -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, Address(path=str(tmp_path / "s"))) as (_, connect, _):
            peer = await connect()
            data = b"".join(map(event, range(3_000)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.acked, 3_000)
                for start in range(0, len(data), 7_919):
                    await peer.send(data[start : start + 7_919])
        assert engine.events == [str(n) for n in range(3_000)]

    trio.run(main)


def test_a_sender_waits_while_too_much_is_under_way() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine, in_flight_bytes_max=10_000) as (_, connect, _):
            peer = await connect()
            line = event("x" * 200)
            sent = 0

            async def push() -> None:
                nonlocal sent
                while True:
                    await peer.send(line * 10)
                    sent += 10

            with trio.move_on_after(0.3):
                await push()
            assert len(engine.events) * len(line) <= 10_000 + 256 * 1024
            assert sent > 0
            engine.held = False
            engine.settle()
            await peer.stream.send_eof()
            *errors, last = await peer.rest()
            assert all("ack" in one or one["error"]["line"] == last["ack"] - 1 for one in errors)
            assert len(engine.events) >= sent

    trio.run(main)


def test_a_full_engine_is_told_of_once_and_nothing_is_lost() -> None:
    clock = trio.testing.MockClock(autojump_threshold=0.05)

    async def main() -> None:
        engine = FakeEngine()
        engine.refusals = [Unavailable("store_full", "The journal is full.", retry_after_s=5)] * 3
        async with serving(engine) as (_, connect, _):
            peer = await connect()
            await peer.send(event("A") + event("B"))
            assert await peer.answer() == {
                "error": {"code": "store_full", "detail": "The journal is full.", "retry_after": 5}
            }
            assert await peer.answer() == {"ack": 2}
        assert engine.events == ["A", "B"]

    trio.run(main, clock=clock)


def test_stopping_acknowledges_what_becomes_durable_and_closes() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (stream, connect, _):
            peer, idle = await connect(), await connect()
            await peer.send(event("A"))
            await engine.takes(1)
            stream.stop()
            assert await idle.rest() in ([], [{"ack": 0}])
            engine.settle()
            assert await peer.rest() == [{"ack": 1}]

    trio.run(main)


def test_an_engine_that_stops_before_durability_acknowledges_nothing() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (_, connect, _):
            peer = await connect()
            await peer.send(event("A"))
            await engine.takes(1)
            await peer.send(event("B"))
            await engine.takes(2)
            engine.settle(1)
            engine.fail()
            *acks, error = await peer.rest()
            assert acks == [{"ack": 1}]
            assert error["error"]["code"] == "stopped"

    trio.run(main)


def test_what_was_sent_by_a_peer_that_left_is_still_taken() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (stream, connect, _):
            peer = await connect()
            await peer.send(event("A"))
            await engine.takes(1)
            await peer.send(event("B"))
            await peer.stream.aclose()
            engine.held = False
            engine.settle()
            await engine.takes(2)
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert stream.statistics()["open"] == 0
        assert engine.events == ["A", "B"]

    trio.run(main)


def test_keys_are_asked_for_in_the_first_line() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, keys=Keys(["secret"])) as (_, connect, _):
            peer = await connect()
            await peer.send(b'{"write')
            await peer.send(b'Key": "secret"}\n' + event("A"))
            assert await peer.answer() == {"ack": 1}
            for wrong in (b'{"writeKey":"no"}\n', event("B"), b"x" * 5_000, b"[" * 900 + b"\n", b""):
                refused = await connect()
                await refused.send(wrong + event("B"))
                await refused.stream.send_eof()
                [answer] = await refused.rest()
                assert answer["error"]["code"] == "invalid_write_key"
        assert engine.events == ["A"]

    trio.run(main)


def test_without_keys_a_greeting_is_skipped() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect, _):
            peer = await connect()
            await peer.send(b'{"writeKey":"whatever"}\n' + event("A"))
            assert await peer.answer() == {"ack": 1}
            halting = await connect()
            await halting.send(b'{"wr')
            await trio.testing.wait_all_tasks_blocked(0.02)
            await halting.send(b"ong\n")
            assert (await halting.answer())["error"]["line"] == 0
        assert engine.events == ["A"]

    trio.run(main)


def test_peers_from_elsewhere_are_refused_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(FakeEngine()) as (_, connect, _):
            monkeypatch.setattr("api.intake.connections.is_local", lambda _: False)
            peer = await connect()
            [answer] = await peer.rest()
            assert answer["error"]["code"] == "forbidden"

    trio.run(main)
