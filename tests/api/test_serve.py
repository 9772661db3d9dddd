"""The composition root in its parts: what signals do, what systemd hears, how addresses are printed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from api import serve
from api.config import Address
from tests.api.command_line import ANYWHERE, serving


async def signals(count: int) -> AsyncIterator[int]:
    for _ in range(count):
        yield signal.SIGTERM


def heard(count: int, *, recovering: bool) -> tuple[bool, int]:
    """Whether a stop is wanted after so many signals, and how often a recovery was given up."""
    given_up: list[int] = []
    stop = serve.Stop(lambda: given_up.append(1))
    stop.is_recovering = recovering
    trio.run(stop.watch, signals(count))
    return stop.wanted.is_set(), len(given_up)


def test_the_first_signal_stops_in_order() -> None:
    assert heard(0, recovering=False) == (False, 0)
    assert heard(1, recovering=False) == (True, 0)


def test_a_signal_during_recovery_gives_the_recovery_up() -> None:
    assert heard(1, recovering=True) == (True, 1)


def test_the_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    heard(2, recovering=False)
    assert codes == [1]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (Address(host="127.0.0.1", port=1), "http://127.0.0.1:1"),
        (Address(host="::1", port=1), "http://[::1]:1"),
        (Address(path="/run/a"), "unix:/run/a"),
    ],
)
def test_an_address_is_printed_so_that_it_can_be_used(address: Address, shown: str) -> None:
    assert serve.url(address, "http") == shown


def test_systemd_hears_when_the_engine_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        with serving(
            "--data", tmp_path / "d", *ANYWHERE, folder=tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")
        ) as e:
            assert sock.recv(64) == b"READY=1"
            assert e.stop()[0] == 0
        assert sock.recv(64) == b"STOPPING=1"
