"""Requests of many connections answered together: as if each were alone, and queued as one."""

from __future__ import annotations

import os
from pathlib import Path

import trio
import trio.testing

from api.keys import Keys
from api.listen import Address
from engine.errors import Unavailable
from tests.api.fakes import FakeEngine
from tests.api.intake_client import IntakeClient, request, serving, track

HEALTH = request("/healthz", method="GET")


async def send_at_once(*requests: tuple[IntakeClient, bytes]) -> None:
    """All are in the sockets before the listener has a look."""
    await trio.testing.wait_all_tasks_blocked(0.02)
    for client, data in requests:
        assert os.write(client.stream.socket.fileno(), data) == len(data)


def test_what_comes_at_once_is_one_submission() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (intake, connect):
            clients = [await connect() for _ in range(20)]
            await send_at_once(*((client, track(f"E{number}")) for number, client in enumerate(clients)))
            await engine.takes(1)
            assert engine.events == [f"E{number}" for number in range(20)]
            assert intake._bodies_bytes > 20 * 30
            engine.settle()
            assert [(await client.answer())[0] for client in clients] == [200] * 20
            assert intake.statistics()["requests"] == 20
            assert intake._bodies_bytes == 0

    trio.run(main)


def test_a_bad_message_spoils_nobody_elses_answer() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect):
            good, bad, typeless = [await connect() for _ in range(3)]
            for _ in range(3):
                await send_at_once(
                    (good, request("/v1/track", b'{"type":"track","userId":"a","event":"A"}')),
                    (bad, request("/v1/track", b'{"userId":"a"}')),
                    (typeless, request("/v1/identify", b'{"traits":{},"userId":7}')),
                )
                assert (await good.answer())[0] == 200
                assert (await bad.answer())[0] == 400
                assert (await typeless.answer())[0] == 200
        assert engine.contacts == ["a", "7"] * 3
        assert len(engine.taken) == 3

    trio.run(main)


def test_when_the_engine_takes_nothing_what_is_wrong_is_still_told_so() -> None:
    async def main() -> None:
        engine = FakeEngine()
        engine.refusals = [Unavailable("full", "No room.", retry_after_s=9)]
        async with serving(engine) as (_, connect):
            good, bad = await connect(), await connect()
            await send_at_once((good, track("A")), (bad, request("/v1/track", b"{}")))
            status, fields, _ = await good.answer()
            assert (status, fields["Retry-After"]) == (503, "9")
            assert (await bad.answer())[0] == 400

    trio.run(main)


def test_who_asks_again_before_the_answer_is_read_after_it() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (_, connect):
            client = await connect()
            await client.send(track("A"))
            await engine.takes(1)
            await client.send(track("B"))
            await trio.testing.wait_all_tasks_blocked(0.02)
            await client.send(request("/none"))
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert engine.events == ["A"]
            engine.settle()
            assert (await client.answer())[0] == 200
            await engine.takes(2)
            engine.settle()
            assert [(await client.answer())[0] for _ in range(2)] == [200, 404]
            await client.send(track("C"))
            await engine.takes(3)
            engine.settle()
            assert (await client.answer())[0] == 200
        assert engine.events == ["A", "B", "C"]

    trio.run(main)


def test_the_end_of_the_peers_side_comes_after_its_answer() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (intake, connect):
            client = await connect()
            await client.send(track("A"))
            await client.stream.send_eof()
            await engine.takes(1)
            await trio.testing.wait_all_tasks_blocked(0.02)
            engine.settle()
            assert (await client.answer())[0] == 200
            assert await client.rest() == b""
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert intake.statistics()["open"] == 0

    trio.run(main)


def test_a_full_queue_keeps_nobody_from_asking_other_things() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True, room=1)
        async with serving(engine) as (_, connect):
            first, second, third = [await connect() for _ in range(3)]
            await first.send(track("A"))
            await engine.takes(1)
            await second.send(track("B"))
            await trio.testing.wait_all_tasks_blocked(0.02)
            await third.send(HEALTH)
            assert (await third.answer())[0] == 200
            engine.settle()
            await engine.takes(2)
            engine.settle()
            assert [(await client.answer())[0] for client in (first, second)] == [200, 200]

    trio.run(main)


def test_whoever_does_not_read_his_answers_gets_them_all_in_the_end(tmp_path: Path) -> None:
    """A Unix socket holds some hundred answers; the one that does not fit is sent as the peer reads."""
    asked = 1_000

    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, Address(path=str(tmp_path / "in"))) as (_, connect):
            client, other = await connect(), await connect()
            sent = 0
            while sent < asked:
                with trio.move_on_after(0.2):
                    await client.send(track(f"E{sent}"))
                    sent += 1
                    await engine.takes(sent)
                    continue
                break
            assert 100 < len(engine.events) < asked, "nobody reads on for whoever does not read"
            assert (await other.post("/v1/track", b'{"userId":"b","event":"B"}'))[0] == 200
            assert [(await client.answer())[0] for _ in range(sent)] == [200] * sent
            assert (await client.post("/v1/track", b'{"userId":"a","event":"Z"}'))[0] == 200

    trio.run(main)


def test_cut_off_in_a_burst() -> None:
    """The listener is cancelled while an answer is owed; its durability then concerns nobody."""

    async def main() -> None:
        engine = FakeEngine(held=True)
        async with trio.open_nursery() as nursery:
            async with serving(engine) as (intake, connect):
                client = await connect()
                await client.send(track("A"))
                await engine.takes(1)
            engine.settle()
            assert intake.statistics() == {"open": 0, "accepted": 1, "refused": 0, "requests": 0, "shed": 0}
            assert intake._bodies_bytes == 0
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_key_in_the_body_is_looked_for_there() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, keys=Keys(["secret"])) as (_, connect):
            client = await connect()
            for key, status in (("secret", 200), ("wrong", 401), ("secret", 200)):
                body = b'{"userId":"a","event":"A","writeKey":"%s"}' % key.encode()
                assert (await client.post("/v1/track", body))[0] == status
        assert engine.events == ["A", "A"]

    trio.run(main)


def test_unlike_kinds_and_lengths_share_a_connection() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect):
            client = await connect()
            for n in range(50):
                path = ("/v1/track", "/v1/t", "/v1/page")[n % 3]
                body = b'{"userId":"a","event":"A","name":"%s"}' % (b"x" * (n % 7))
                assert (await client.post(path, body))[0] == 200
                if n % 10 == 0:
                    body = b'{"batch":[{"type":"track","userId":"a","event":"B"}]}'
                    assert (await client.post("/v1/batch", body))[0] == 200
        assert len(engine.events) == 55

    trio.run(main)
