"""Hostile input from a peer that can connect: too much, too deep, too slow, too many.

Each is refused or cut off in little time, and others are served meanwhile.
"""

from __future__ import annotations

import gzip
import resource
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from api import process
from api.config import Address
from api.intake.http_listener import Intake
from api.intake.segment_api import PACKED, Head, Response, unpack
from api.intake.stream_listener import Stream
from api.management import app, server
from engine.limits import (
    API_HEADER_BYTES_MAX,
    EVENTS_BODY_BYTES_MAX,
    GZIP_MEMBERS_MAX,
    INTAKE_BODY_S,
    LINE_DEPTH_MAX,
    MESSAGE_BYTES_MAX,
)
from tests.api.api_engine import Api, engine, with_api
from tests.api.fakes import FakeEngine
from tests.api.intake_client import request
from tests.api.intake_client import serving as intake_serving
from tests.api.management.web_server import GET, answer_on, ask, connect, serving

IDLE = 1_000
CPU_S_MAX = 0.5


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of the connections are in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    process.raise_open_files_limit()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4 * IDLE:
        pytest.skip("this system does not let a process have as many connections")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_new_client_is_served_beside_a_thousand_idle_ones(tmp_path: Path, many_files: None) -> None:
    async def hold(address: Address) -> list[trio.SocketStream]:
        held: list[trio.SocketStream] = []

        async def one() -> None:
            held.append(await connect(address))

        for _ in range(IDLE // 100):
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(one)
        return held

    async def main() -> None:
        fake = FakeEngine()
        async with engine(tmp_path / "data") as service, serving(service) as [http]:
            doors = {"http": http}
            async with trio.open_nursery() as nursery:
                for name, way in (("intake", Intake(fake.enqueue)), ("stream", Stream(fake.enqueue))):
                    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                    doors[name] = Address("127.0.0.1", listeners[0].socket.getsockname()[1])
                    nursery.start_soon(partial(way.serve, listeners))
                for name, address in doors.items():
                    held = await hold(address)
                    with trio.fail_after(10):
                        await check_served(name, address)
                        for idle in (held[0], held[-1]):
                            await check_served_on(name, idle)
                    for stream in held:
                        await stream.aclose()
                nursery.cancel_scope.cancel()

    trio.run(main)


async def check_served(name: str, address: Address) -> None:
    stream = await connect(address)
    async with stream:
        await check_served_on(name, stream)


async def check_served_on(name: str, stream: trio.SocketStream) -> None:
    if name == "stream":
        await stream.send_all(b'{"type":"track","userId":"a","event":"A"}\n')
        assert await stream.receive_some() == b'{"ack":1}\n'
    else:
        await stream.send_all(GET)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


def test_idle_connections_beyond_the_cap_keep_nobody_out() -> None:
    async def main() -> None:
        async with intake_serving(FakeEngine(), connections_max=20) as (intake, connect_to):
            for _ in range(60):
                client = await connect_to()
                await client.send(request("/healthz", method="GET"))
                assert (await client.answer())[0] == 200
            assert intake.statistics()["refused"] == 0

    trio.run(main)


@pytest.mark.parametrize("begun", [b"G", b"GET /healthz HTTP/1.1\r\nX: ", b"\r\n"])
def test_a_head_that_trickles_in_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """A byte at a time does not count as being busy: the whole head has the time of an idle connection."""
    monkeypatch.setattr(server, "API_IDLE_S", 0.3)

    async def main() -> None:
        async with engine(tmp_path / "data") as service, serving(service) as [address]:
            stream = await connect(address)
            async with stream:
                await stream.send_all(begun)
                with trio.fail_after(10):
                    await trickle(stream)
            assert b" 200 " in await ask(address, GET)

    trio.run(main)


def test_a_body_that_trickles_in_is_cut_off_on_the_management_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "API_BODY_S", 0.3)

    async def main() -> None:
        async with engine(tmp_path / "data") as service, serving(service) as [address]:
            stream = await connect(address)
            async with stream:
                await stream.send_all(
                    b"POST /v1/flows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n"
                )
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trickle, stream)
                    with trio.fail_after(10):
                        assert b" 408 " in await answer_on(stream)
                    nursery.cancel_scope.cancel()

    trio.run(main)


async def trickle(stream: trio.SocketStream) -> None:
    try:
        while True:
            await stream.send_all(b" ")
            await trio.sleep(0.05)
    except trio.BrokenResourceError:
        return


@pytest.mark.parametrize(
    "begun", [request("/v1/track", bytes(30_000))[:-29_000], b"POST /v1/track HTTP/1.1\r\nX: y"]
)
def test_what_trickles_in_is_cut_off_on_the_intake_port(begun: bytes) -> None:
    """On a clock of the test's own: a byte every five seconds."""
    clock = trio.testing.MockClock()

    async def main() -> None:
        async with intake_serving(FakeEngine()) as (_, connect_to):
            client = await connect_to()
            await client.send(begun)
            for _ in range(INTAKE_BODY_S // 5 + 1):
                await trio.testing.wait_all_tasks_blocked(0.02)
                clock.jump(5)
                try:
                    await client.send(b"x")
                except trio.BrokenResourceError:
                    break
            clock.jump(2)
            assert b" 408 " in await client.rest()

    trio.run(main, clock=clock)


EMPTY = gzip.compress(b"")
BOMBS = {
    "zeros": gzip.compress(bytes(64 * 1024 * 1024)),
    "zeros twice": gzip.compress(gzip.compress(bytes(64 * 1024 * 1024))),
    "many members": gzip.compress(bytes(1024)) * 20_000,
    "many empty members": EMPTY * 300_000,
    "empty members and rubbish": EMPTY * 1_000 + b"x" * 1_000_000,
    "blank lines": gzip.compress(b"\n" * (EVENTS_BODY_BYTES_MAX + 1)),
    "an early end": gzip.compress(bytes(1_000_000))[:-9],
    "a wrong sum": gzip.compress(b"x" * 1000)[:-8] + b"12345678",
    "a header that never ends": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 1_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch", "/v1/track"])
def test_what_unpacks_to_too_much_is_refused_in_little_time(name: str, path: str) -> None:
    begun = time.thread_time()
    refused = unpack(Head("POST", path, encoding=PACKED[0]), BOMBS[name])
    assert time.thread_time() - begun < CPU_S_MAX
    if isinstance(refused, bytes):
        assert name == "zeros twice", "unpacked once, it is rubbish"
    else:
        assert refused.status in (400, 413)


def test_some_members_are_taken() -> None:
    head = Head("POST", "/v1/events", encoding=PACKED[0])
    body = b'{"a":1}\n'
    assert unpack(head, gzip.compress(body) * GZIP_MEMBERS_MAX) == body * GZIP_MEMBERS_MAX
    refused = unpack(head, gzip.compress(body) * (GZIP_MEMBERS_MAX + 1))
    assert isinstance(refused, Response)


def test_a_bomb_ends_in_an_answer_over_a_socket() -> None:
    async def main() -> None:
        async with intake_serving(FakeEngine()) as (_, connect_to):
            for name, packed in BOMBS.items():
                client = await connect_to()
                status, _ = await client.post("/v1/events", packed[: 2 << 20], "Content-Encoding: gzip")
                assert status in (200, 400, 413), name

    trio.run(main)


DEEP = 100_000
NESTED = {
    "lists": b"[" * DEEP + b"]" * DEEP,
    "lists without an end": b"[" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "objects without an end": b'{"a":' * DEEP,
    "both": b'[{"a":' * DEEP + b"1" + b"}]" * DEEP,
    "within a key": b'{"traits":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "just too deep": b'{"traits":' + b"[" * 500 + b"]" * 500 + b"}",
    "many keys": b'{"traits":{' + b",".join(b'"k%d":1' % n for n in range(60_000)) + b"}}",
    "one key many times": b'{"traits":{' + b",".join([b'"k":1'] * 60_000) + b"}}",
    "a long number": b'{"traits":{"n":' + b"9" * 400_000 + b"}}",
    "a long fraction": b'{"traits":{"n":0.' + b"9" * 400_000 + b"}}",
    "a large exponent": b'{"traits":{"n":1e999999999}}',
    "a lone surrogate": b'{"traits":{"n":"\\ud800"}}',
    "not UTF-8": b'{"traits":{"n":"\xff"}}',
    "a zero byte": b'{"traits":{"n":"\0"}}',
    "a long text": b'{"traits":{"n":"' + b"x" * 900_000 + b'"}}',
    "nothing": b"",
    "two values": b"{}{}",
}


def test_bodies_of_any_shape_are_refused_on_every_route_that_takes_one(tmp_path: Path) -> None:
    routes = [
        ("POST", "/v1/flows"),
        ("PUT", "/v1/flows/x/draft"),
        ("POST", "/v1/flows/x/simulate"),
        ("POST", "/v1/flows/x/backtest"),
        ("PUT", "/v1/contacts/a"),
        ("PATCH", "/v1/contacts/a"),
        ("POST", "/v1/promo-pools/p/codes"),
        ("POST", "/v1/outbox/receipts"),
        ("PUT", "/v1/schema"),
        ("POST", "/v1/track"),
        ("POST", "/v1/batch"),
        ("POST", "/v1/events"),
    ]

    async def body(api: Api) -> None:
        for name, data in NESTED.items():
            for method, path in routes:
                json = {"Content-Type": "application/json"}
                begun = time.thread_time()
                answer = await api.ask(method, path, data=data, headers=json)
                assert answer.status < 500, (name, path)
                if path != "/v1/events" and not path.startswith("/v1/contacts"):
                    assert 400 <= answer.status < 500, (name, path)
                assert time.thread_time() - begun < 2 * CPU_S_MAX, (name, path)
            assert (await api.get("/healthz")).status == 200

    with_api(tmp_path, body)


LAUGHS = [b"a: &a [x,x,x,x,x,x,x,x,x]\n"]
LAUGHS += [b"%c: &%c [%s]\n" % (at, at, b",".join([b"*%c" % (at - 1)] * 9)) for at in range(98, 110)]
YAML = {
    "a billion laughs": b"".join(LAUGHS),
    "within itself": b"&a [*a]",
    "lists": b"[" * 5_000,
    "maps": b"{a: " * 5_000,
    "items": b"- " * 5_000 + b"x",
    "keys": b"? " * 5_000 + b"x",
    "code": b"a: !!python/object/apply:os.system ['true']",
    "binary": b"!!binary " + b"A" * 100_000,
    "a long number": b"a: " + b"9" * 100_000,
    "a number to the base of sixty": b"a: 190" + b":20" * 20,
    "another version": b"%YAML 9.9\n---\na: b",
    "a zero byte": b"\x00",
    "another encoding": b"\xff\xfe",
    "many documents": b"---\n" * 10_000,
    "an open quote": b"'" + b"x" * 500_000,
}


@pytest.mark.parametrize("yaml", YAML.values(), ids=YAML)
def test_yaml_of_any_shape_is_refused_in_bounded_time(tmp_path: Path, yaml: bytes) -> None:
    async def body(api: Api) -> None:
        begun = time.process_time()
        answer = await api.post("/v1/flows", data=yaml, headers={"Content-Type": "application/yaml"})
        assert 400 <= answer.status < 500
        assert time.process_time() - begun < 4.0

    with_api(tmp_path, body)


def test_heads_and_lines_have_bounds_on_every_port(tmp_path: Path) -> None:
    async def main() -> None:
        async with engine(tmp_path / "data") as service, serving(service) as [address]:
            for head in (
                b"GET /" + b"x" * API_HEADER_BYTES_MAX + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X" * API_HEADER_BYTES_MAX + b": y\r\n\r\n",
            ):
                assert (await ask(address, head))[9:12] in (b"431", b"400")
        fake = FakeEngine()
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(partial(Stream(fake.enqueue).serve, listeners))
            stream = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
            async with stream:
                long = b'{"type":"track","userId":"a","event":"' + b"x" * MESSAGE_BYTES_MAX * 40 + b'"}\n'
                deep = b'{"type":"track","userId":"a","event":"A","x":' + b"[" * LINE_DEPTH_MAX * 2000 + b"\n"
                good = b'{"type":"track","userId":"a","event":"A"}\n'
                got = b""
                await stream.send_all(long + deep + good)
                while b'{"ack":3}' not in got:
                    got += await stream.receive_some()
                assert got.count(b'"error"') == 2
            nursery.cancel_scope.cancel()

    trio.run(main)
