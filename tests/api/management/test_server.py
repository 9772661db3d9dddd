"""The server in front of the app: what it refuses before the app, its bounds, its end, and faults that stop it."""

from __future__ import annotations

import logging
import ssl
import warnings
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.config import Address, ConfigError, parse_address
from api.management import connection, server
from engine.service import Service
from tests.api.api_engine import engine
from tests.api.management.web_server import GET, answer_on, ask, connect, serving


def run(tmp_path: Path, body, *addresses: str) -> None:  # type: ignore[no-untyped-def]
    async def main() -> None:
        with trio.fail_after(30):
            async with engine(tmp_path / "data") as service, serving(service, *addresses) as bound:
                await body(service, bound)

    trio.run(main)


def test_it_serves_tcp_and_a_unix_socket_and_keeps_connections(tmp_path: Path) -> None:
    async def body(service: Service, bound: list[Address]) -> None:
        assert len(bound) == 2
        for address in bound:
            stream = await connect(address)
            async with stream:
                for _ in range(3):
                    await stream.send_all(GET)
                    assert (await answer_on(stream)).endswith(b'{"status":"ok"}')
        pipelined = await connect(bound[0])
        async with pipelined:
            await pipelined.send_all(GET + GET.replace(b"healthz", b"nothing"))
            assert b" 200 " in await answer_on(pipelined)

    run(tmp_path, body, "127.0.0.1:0", f"unix:{tmp_path}/http.sock")
    assert not (tmp_path / "http.sock").exists()


REFUSED = [
    (
        b"POST /v1/flows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nG",
        b"ambiguous_length",
    ),
    (
        b"POST /v1/flows HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"
        b"0\r\n\r\n",
        b"ambiguous_length",
    ),
    (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        b"no_upgrade",
    ),
    (
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 0\r\n\r\n",
        b"no_upgrade",
    ),
    (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"no_upgrade",
    ),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
    (b"GET /healthz HTTP/1.1\r\n\r\n", b""),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b""),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b""),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"head_too_large"),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000, b""),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""),
]


@pytest.mark.parametrize(("request_", "code"), REFUSED)
def test_what_has_two_readings_or_is_another_protocol_never_reaches_the_app(
    tmp_path: Path, request_: bytes, code: bytes
) -> None:
    async def body(service: Service, bound: list[Address]) -> None:
        stream = await connect(bound[0])
        async with stream:
            await stream.send_all(request_)
            got = b""
            if request_.startswith(b"\x16"):
                await stream.send_eof()
            while more := await stream.receive_some():
                got += more
        assert b" 101 " not in got
        assert b" 200 " not in got
        if got:
            assert got.startswith(b"HTTP/1.1 4")
            assert b"connection: close" in got.lower()
        if code:
            assert b'"code":"' + code + b'"' in got
            assert b"application/problem+json" in got
        assert b" 200 " in await ask(bound[0], GET)

    run(tmp_path, body)


def test_a_name_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    async def body(service: Service, bound: list[Address]) -> None:
        rebound = await ask(bound[0], GET.replace(b"localhost", b"evil.example"))
        assert rebound.startswith(b"HTTP/1.1 403")

    run(tmp_path, body)


BEGUN = b"POST /v1/flows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
"""A request whose body is waited for: its connection is busy."""


def test_further_connections_wait_while_all_are_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "API_CONNECTIONS_MAX", 2)

    async def body(service: Service, bound: list[Address]) -> None:
        first, second = [await connect(bound[0]) for _ in range(2)]
        for stream in (first, second):
            await stream.send_all(BEGUN)
            assert b" 100 " in await stream.receive_some()
        third = await connect(bound[0])
        await third.send_all(GET)
        with trio.move_on_after(0.2) as waited:
            await answer_on(third)
        assert waited.cancelled_caught
        await first.send_all(b"{}")
        assert b" 422 " in await answer_on(first)
        assert b" 200 " in await answer_on(third)
        assert await first.receive_some() == b"", "it was the first to have nothing more to say"
        for stream in (first, second, third):
            await stream.aclose()

    run(tmp_path, body)


@pytest.mark.parametrize("said", [b"", b"GET /healthz HT", GET])
def test_the_connection_that_is_idle_longest_makes_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(server, "API_CONNECTIONS_MAX", 3)

    async def body(service: Service, bound: list[Address]) -> None:
        idle = []
        for _ in range(3):
            idle.append(await connect(bound[0]))
            await idle[-1].send_all(said)
            if said == GET:
                await answer_on(idle[-1])
        assert b" 200 " in await ask(bound[0], GET)
        assert await idle[0].receive_some() == b""
        await idle[2].send_all(GET[len(said) :] or GET)
        assert b" 200 " in await answer_on(idle[2])
        for stream in idle:
            await stream.aclose()

    run(tmp_path, body)


def test_a_silent_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "API_IDLE_S", 0.1)

    async def body(service: Service, bound: list[Address]) -> None:
        for begun in (b"", b"GET /healthz HT", GET):
            stream = await connect(bound[0])
            async with stream:
                await stream.send_all(begun)
                while await stream.receive_some():
                    continue

    run(tmp_path, body)


def test_a_peer_that_does_not_take_its_answer_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "API_ANSWER_S", 0.2)
    monkeypatch.setattr(server, "API_CONNECTIONS_MAX", 1)

    async def body(service: Service, bound: list[Address]) -> None:
        stuck = await connect(bound[0])
        async with stuck:
            await stuck.send_all(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40)
            assert b" 200 " in await ask(bound[0], GET)

    run(tmp_path, body)


def certified(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    """A file with a certificate for `localhost` and its key, and what trusts it."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    file = tmp_path / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(file))
    return str(file), context


def test_tls_speaks_http_1_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "API_HANDSHAKE_S", 0.2)

    async def main(file: str, trusts: ssl.SSLContext) -> None:
        where = [msgspec.structs.replace(parse_address("localhost:0"), tls=True)]
        async with engine(tmp_path / "data") as service, trio.open_nursery() as nursery:
            serve = partial(server.serve, service, where, certificate=(file, file))
            address = (await nursery.start(serve))[0]
            assert address.tls
            trusts.set_alpn_protocols(["h2", "http/1.1"])
            for _ in range(2):
                inner = trio.SSLStream(await connect(address), trusts, server_hostname="localhost")
                async with inner:
                    for _ in range(2):
                        await inner.send_all(GET)
                        answer = await inner.receive_some()
                        assert answer.startswith(b"HTTP/1.1 200 ")
                        if not answer.endswith(b"}"):
                            assert (await inner.receive_some()).endswith(b'{"status":"ok"}')
                    assert inner.selected_alpn_protocol() == "http/1.1"
            plain = await connect(address)
            async with plain:
                await plain.send_all(GET)
                assert b"HTTP/1.1" not in await until_closed(plain)
            silent = await connect(address)
            async with silent:
                assert await until_closed(silent) == b""
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            with warnings.catch_warnings(action="ignore"):  # of Python, that it is old
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            outdated = await connect(address)
            async with outdated:
                with pytest.raises(trio.BrokenResourceError):
                    await trio.SSLStream(outdated, old).do_handshake()
            nursery.cancel_scope.cancel()

    trio.run(main, *certified(tmp_path))


@pytest.mark.parametrize(
    ("file", "says"), [("absent.pem", "No such file"), ("empty.pem", "TLS cannot begin")]
)
def test_a_certificate_that_cannot_be_used_says_so(tmp_path: Path, file: str, says: str) -> None:
    (tmp_path / "empty.pem").touch()

    async def main() -> None:
        where = [msgspec.structs.replace(parse_address("127.0.0.1:0"), tls=True)]
        async with engine(tmp_path / "data") as service:
            name = str(tmp_path / file)
            with pytest.raises(ConfigError, match=says):
                await server.serve(service, where, certificate=(name, name))
            with pytest.raises(ConfigError, match="there is no certificate"):
                await server.serve(service, where)

    trio.run(main)


async def until_closed(stream: trio.SocketStream) -> bytes:
    got = b""
    try:
        while more := await stream.receive_some():
            got += more
    except trio.BrokenResourceError:
        return got
    return got


def test_an_idle_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with engine(tmp_path) as service:
            began = trio.current_time()
            async with serving(service) as bound:
                stream = await connect(bound[0])
                await stream.send_all(GET)
                await answer_on(stream)
            assert trio.current_time() - began < server.GRACE_S
            assert await stream.receive_some() == b""
            await stream.aclose()

    trio.run(main)


def test_a_request_in_progress_is_answered_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with engine(tmp_path) as service:
            started = trio.Event()
            control = service.control

            async def slow(op: str, /, **args: object) -> dict[str, object]:
                started.set()
                await trio.sleep(0.2)
                return await control(op, **args)

            monkeypatch.setattr(service, "control", slow)
            began = trio.current_time()
            async with serving(service) as bound:
                stream = await connect(bound[0])
                body = b'{"traits": {}}'
                await stream.send_all(
                    b"PUT /v1/contacts/c1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
                await started.wait()
            assert b" 200 " in await answer_on(stream)
            assert service.kernel.contact("c1")["id"] == "c1"
            assert trio.current_time() - began < server.GRACE_S
            await stream.aclose()

    trio.run(main)


def test_a_fault_of_the_app_is_answered_and_then_stops_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "ALARM_DELAY_S", 0.05)
    answers: list[bytes] = []

    async def main() -> None:
        async with engine(tmp_path) as service:
            monkeypatch.setattr(service, "outbox", lambda *_: [][0])
            async with trio.open_nursery() as nursery:
                (address,) = await nursery.start(server.serve, service, [parse_address("127.0.0.1:0")])
                answers.append(await ask(address, GET.replace(b"/healthz", b"/v1/outbox")))
                await trio.sleep(5)
                raise AssertionError("the fault did not reach the nursery")

    with caplog.at_level(logging.CRITICAL, "tidemill.web"), pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main)
    assert caught.value.subgroup(IndexError) is not None
    assert caught.value.subgroup(AssertionError) is None
    assert answers[0].startswith(b"HTTP/1.1 500")
    assert b"IndexError" not in answers[0]


hostile = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    b"GET ",
                    b"POST ",
                    b"PUT ",
                    b"/v1/flows",
                    b"/v1/contacts/%ff%00%2F",
                    b"?limit=%",
                    b"/docs/",
                ),
                *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n", b"\r\n\r\n", b"Host: localhost\r\n", b"0\r\n"),
                *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
                *(b"Content-Type: application/json\r\n", b"Origin: x\r\n", b"If-Match: \xff\r\n", b'{"a":'),
                *(
                    b"Authorization: Basic \xff\r\n",
                    b"Content-Encoding: gzip\r\n",
                    b"Cookie: =\r\n",
                    b"/v1/track",
                ),
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=20,
).map(b"".join)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(hostile, min_size=20, max_size=40))
def test_no_bytes_make_a_fault(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture, requests: list[bytes]
) -> None:
    async def body(service: Service, bound: list[Address]) -> None:
        for request in requests:
            stream = await connect(bound[0])
            async with stream:
                await stream.send_all(request)
                await stream.send_eof()
                while await stream.receive_some():
                    continue
        assert b" 200 " in await ask(bound[0], GET)

    run(tmp_path_factory.mktemp("hostile"), body)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
