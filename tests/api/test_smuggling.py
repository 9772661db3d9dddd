"""Request smuggling, over real sockets, against both ports that speak HTTP: one refusal, the end, never two answers."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
import trio

from api.config import Address
from api.intake.http_listener import Intake
from api.management import app
from tests.api.api_engine import engine
from tests.api.fakes import FakeEngine
from tests.api.management.web_server import serving
from tests.api.smuggling import CASES, HIDDEN

ANSWER = re.compile(rb"HTTP/1\.[01] \d\d\d ")
REFUSALS = (b"400", b"408", b"413", b"501", b"505")
SILENCE_S = 5.0


async def said(address: Address, data: bytes, cut: int | None = None) -> tuple[bytes, bool]:
    """All that is answered until the server closes, and whether it did."""
    stream = await trio.open_tcp_stream(address.host, address.port)
    got = b""
    async with stream:
        with trio.move_on_after(SILENCE_S) as patience:
            try:
                await stream.send_all(data[:cut])
                if cut is not None:
                    await trio.sleep(0.005)
                    await stream.send_all(data[cut:])
                while more := await stream.receive_some():
                    got += more
            except trio.BrokenResourceError:
                return got, True
        return got, not patience.cancelled_caught


async def check(address: Address, name: str, data: bytes, cut: int | None) -> None:
    got, closed = await said(address, data, cut)
    answers = len(ANSWER.findall(got))
    assert closed, (name, cut, got)
    assert answers <= 1, (name, cut, got)
    if answers:
        assert got[9:12] in REFUSALS, (name, cut, got)


async def check_all(address: Address) -> None:
    """Each case in one piece, cut in its first line, and cut before what is hidden in it."""
    async with trio.open_nursery() as nursery:
        for name, data in CASES.items():
            for cut in (None, data.index(b"\r") + 1, len(data) - len(HIDDEN)):
                nursery.start_soon(check, address, name, data, cut)
    stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        await stream.send_all(HIDDEN)
        assert b" 200 " in await stream.receive_some(), "a request with one reading is served"


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


def test_the_management_port_answers_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "API_BODY_S", 0.2)  # for chunks that say they are endless

    async def main() -> None:
        async with engine(tmp_path / "data") as service, serving(service) as [address]:
            await check_all(address)
            assert service.kernel.counts()["contacts"] == 0

    trio.run(main)


def test_the_intake_port_answers_nothing_twice() -> None:
    async def main() -> None:
        fake = FakeEngine()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = Address("127.0.0.1", listeners[0].socket.getsockname()[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(Intake(fake.enqueue).serve, listeners))
            await check_all(address)
            assert fake.events == []
            nursery.cancel_scope.cancel()

    trio.run(main)
