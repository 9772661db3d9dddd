"""The HTTP listener on real sockets: durable before the answer, in order, and an orderly end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import trio
import trio.testing

from api.intake.http_listener import respond
from api.intake.segment_api import Head, Reception
from api.keys import Keys
from api.listen import Address
from engine.errors import Unavailable
from engine.limits import INTAKE_BODY_S, INTAKE_IDLE_S
from tests.api.fakes import FakeEngine
from tests.api.intake_client import request, serving, track


def test_the_answer_waits_until_the_event_is_durable() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (_, connect):
            client = await connect()
            await client.send(track("Ordered"))
            await engine.takes(1)
            with trio.move_on_after(0.05) as waiting:
                await client.answer()
            assert waiting.cancelled_caught
            engine.settle()
            status, fields, body = await client.answer()
            assert (status, body) == (200, {"success": True})
            assert fields["Content-Type"] == "application/json"
            assert fields["Date"].endswith(" GMT")
        assert engine.events == ["Ordered"]

    trio.run(main)


def test_a_unix_socket_serves_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, Address(path=str(tmp_path / "in"))) as (_, connect):
            client = await connect()
            assert await client.post("/v1/identify", b'{"userId":7}') == (200, {"success": True})
        assert engine.contacts == ["7"]

    trio.run(main)


def test_pipelined_requests_are_queued_together_and_answered_in_order() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (_, connect):
            client = await connect()
            await client.send(track("A") + request("/none") + track("B") + request("/healthz", method="GET"))
            await engine.takes(2)
            engine.settle()
            assert [(await client.answer())[0] for _ in range(4)] == [200, 404, 200, 200]
        assert engine.events == ["A", "B"]

    trio.run(main)


def test_a_connection_is_kept_and_head_has_no_body() -> None:
    async def main() -> None:
        async with serving(FakeEngine()) as (intake, connect):
            client = await connect()
            await client.send(request("/healthz", method="HEAD"))
            await client.stream.send_all(b"")
            head = await client.stream.receive_some()
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Content-Length: 15\r\n" in head
            assert head.endswith(b"\r\n\r\n")
            for _ in range(3):
                assert (await client.post("/v1/track", b'{"userId":"a","event":"A"}'))[0] == 200
            assert intake.statistics() == {"open": 1, "accepted": 1, "refused": 0, "requests": 4, "shed": 0}

    trio.run(main)


def test_ndjson_and_gzip() -> None:
    line = b'{"type":"track","userId":"a","event":"A"}\n'

    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect):
            client = await connect()
            status, found = await client.post("/v1/events", gzip.compress(line * 3), "Content-Encoding: gzip")
            assert (status, found) == (200, {"accepted": 3, "rejected": []})
            status, found = await client.post("/v1/events", line * 20_000 + b"x\n")
            assert (status, found["accepted"], found["rejected"][0]["line"]) == (200, 20_000, 20_000)
            status, found = await client.post("/v1/events", b"plain", "Content-Encoding: gzip")
            assert (status, found["code"]) == (400, "bad_gzip")
        assert len(engine.events) == 20_003
        assert len(engine.taken) > 2, "a large body is queued in parts"

    trio.run(main)


def test_a_large_gzip_body_is_unpacked_off_the_loop() -> None:
    message = {"type": "track", "userId": "a", "event": "A", "properties": {"x": "x" * 9_000}}
    body = json.dumps({"batch": [{**message, "messageId": str(n)} for n in range(9)]}).encode()
    packed = gzip.compress(body, compresslevel=0)
    assert len(packed) > 64 * 1024

    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect):
            client = await connect()
            assert (await client.post("/v1/batch", packed, "Content-Encoding: gzip"))[0] == 200
        assert len(engine.events) == 9

    trio.run(main)


def test_keys() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, keys=Keys(["secret"])) as (_, connect):
            client = await connect()
            body = b'{"userId":"a","event":"A"}'
            await client.send(request("/v1/track", body))
            status, fields, found = await client.answer()
            assert (status, found["code"]) == (401, "invalid_write_key")
            assert fields["WWW-Authenticate"].startswith("Basic ")
            assert (await client.post("/v1/track", body, "Authorization: Basic c2VjcmV0Og=="))[0] == 200
            assert (await client.post("/v1/events", body, "Authorization: Basic eDo="))[0] == 401
        assert engine.events == ["A"]

    trio.run(main)


def test_an_unavailable_engine_is_a_503_that_says_when_to_come_back() -> None:
    async def main() -> None:
        engine = FakeEngine()
        engine.refusals = [Unavailable("full", "No room.", retry_after_s=9)]
        async with serving(engine) as (_, connect):
            client = await connect()
            await client.send(track("A"))
            status, fields, found = await client.answer()
            assert (status, fields["Retry-After"], found["code"]) == (503, "9", "full")
            await client.send(track("B"))
            assert (await client.answer())[0] == 200
        assert engine.events == ["B"]

    trio.run(main)


def test_an_engine_that_stops_before_durability_answers_503() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (_, connect):
            client = await connect()
            await client.send(track("A"))
            await engine.takes(1)
            engine.fail()
            assert (await client.answer())[0] == 503

    trio.run(main)


def test_a_full_queue_makes_the_connection_wait() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True, room=1)
        async with serving(engine) as (_, connect):
            first, second = await connect(), await connect()
            await first.send(track("A"))
            await engine.takes(1)
            await second.send(track("B"))
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert engine.events == ["A"]
            engine.settle()
            await engine.takes(2)
            engine.settle()
            assert (await second.answer())[0] == 200

    trio.run(main)


def test_bodies_beyond_what_is_held_at_once_are_shed() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine, bodies_bytes_max=150_000) as (intake, connect):
            slow, shed = await connect(), await connect()
            large = b" " * 100_000
            await slow.send(request("/v1/events", large)[:-1])
            await trio.testing.wait_all_tasks_blocked(0.02)
            await shed.send(request("/v1/events", large))
            status, fields, found = await shed.answer()
            assert (status, fields["Retry-After"], found["code"]) == (429, "1", "slow_down")
            await slow.send(large[-1:])
            assert (await slow.answer())[0] == 200
            assert (await shed.post("/v1/events", large))[0] == 200
            assert intake.statistics()["shed"] == 1

    trio.run(main)


def test_a_syntax_error_is_answered_after_what_came_before_it_and_ends_the_connection() -> None:
    async def main() -> None:
        engine = FakeEngine()
        async with serving(engine) as (_, connect):
            client = await connect()
            await client.send(track("A") + b"nonsense\r\n\r\n" + track("B"))
            rest = await client.rest()
            assert rest.count(b"HTTP/1.1 ") == 2
            assert rest.index(b" 200 OK") < rest.index(b" 400 Bad Request")
            assert b"Connection: close" in rest
        assert engine.events == ["A"]

    trio.run(main)


def test_a_refused_large_body_can_still_read_its_answer() -> None:
    async def main() -> None:
        async with serving(FakeEngine()) as (_, connect):
            client = await connect()
            await client.send(request("/v1/track", bytes(3_000_000)))
            assert b" 400 Bad Request" in await client.rest()

    trio.run(main)


def test_expect_100_continue() -> None:
    async def main() -> None:
        async with serving(FakeEngine()) as (_, connect):
            client = await connect()
            whole = request("/v1/track", b'{"userId":"a","event":"A"}', "Expect: 100-continue")
            head, _, body = whole.partition(b"\r\n\r\n")
            await client.send(head + b"\r\n\r\n")
            assert (await client.answer())[0] == 100
            await client.send(body)
            assert (await client.answer())[0] == 200

    trio.run(main)


def test_connections_beyond_the_cap_are_told_so_while_all_are_busy() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine, connections_max=1) as (intake, connect):
            first = await connect()
            await first.send(track("A"))
            await engine.takes(1)
            second = await connect()
            assert (await second.rest()).startswith(b"HTTP/1.1 503 ")
            assert intake.statistics()["refused"] == 1
            engine.settle()
            assert (await first.answer())[0] == 200
            await first.stream.aclose()
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert (await (await connect()).post("/healthz", b""))[0] == 405

    trio.run(main)


def test_a_connection_that_is_idle_makes_room_for_another() -> None:
    async def main() -> None:
        async with serving(FakeEngine(), connections_max=2) as (intake, connect):
            first, second, third = await connect(), await connect(), await connect()
            body = b'{"userId":"a","event":"A"}'
            for client in (second, third):
                assert (await client.post("/v1/track", body))[0] == 200
            assert await first.rest() == b""
            assert (await second.post("/v1/track", body))[0] == 200
            assert intake.statistics()["open"] == 2
            assert intake.statistics()["refused"] == 0

    trio.run(main)


@pytest.mark.parametrize(
    ("sent", "patience_s", "answer"),
    [(b"", INTAKE_IDLE_S, b""), (track("A")[:-5], INTAKE_BODY_S, b"408"), (b"GET", INTAKE_BODY_S, b"408")],
)
def test_silence_ends_a_connection(sent: bytes, patience_s: int, answer: bytes) -> None:
    """On a clock of the test's own: real sockets, but no second of it is waited for."""
    clock = trio.testing.MockClock()

    async def main() -> None:
        async with serving(FakeEngine()) as (intake, connect):
            client = await connect()
            await client.send(sent)
            await trio.testing.wait_all_tasks_blocked(0.05)
            clock.jump(patience_s - 1)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert intake.statistics()["open"] == 1
            clock.jump(3)
            rest = await client.rest()
            assert rest[9:12] == answer

    trio.run(main, clock=clock)


def test_stopping_answers_what_has_arrived_and_cuts_who_is_idle() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (intake, connect):
            idle, busy, half = await connect(), await connect(), await connect()
            await busy.send(track("A"))
            await half.send(track("B")[:-3])
            await engine.takes(1)
            await trio.testing.wait_all_tasks_blocked(0.02)
            intake.stop()
            intake.stop()
            assert await idle.rest() == b""
            await half.send(track("B")[-3:])
            await engine.takes(2)
            engine.settle()
            for client in (busy, half):
                status, fields, _ = await client.answer()
                assert (status, fields["Connection"]) == (200, "close")
                assert await client.rest() == b""
            with pytest.raises(OSError, match="all attempts"):
                await connect()

    trio.run(main)


def test_a_client_that_breaks_off_harms_nobody() -> None:
    async def main() -> None:
        engine = FakeEngine(held=True)
        async with serving(engine) as (intake, connect):
            gone = await connect()
            await gone.send(track("A"))
            await engine.takes(1)
            await gone.stream.aclose()
            engine.settle()
            half = await connect()
            await half.send(track("B")[:-3])
            await half.stream.aclose()
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert intake.statistics()["open"] == 0
            assert intake._bodies_bytes == 0

    trio.run(main)


def test_the_same_function_serves_the_other_port() -> None:
    async def main() -> None:
        engine = FakeEngine()
        reception = Reception()
        head = Head("POST", "/v1/track")
        body = b'{"userId":"a","event":"A"}'
        assert (await respond(reception, head, body, engine.enqueue, local=True)).status == 200
        assert (await respond(reception, head, body, engine.enqueue, local=False)).status == 403
        engine.refusals = [Unavailable("full", "No room.")]
        assert (await respond(reception, head, body, engine.enqueue, local=True)).status == 503
        assert engine.events == ["A"]

    trio.run(main)
