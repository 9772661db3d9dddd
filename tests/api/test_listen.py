"""Listening: who may connect to a Unix socket, what happens to files in its place, who counts as local."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import trio

from api.listen import (
    Address,
    ListenError,
    bound,
    is_local,
    is_loopback,
    listening,
    open_listeners,
    parse_address,
)


def test_port_0_is_given_a_port_and_bound_tells_it() -> None:
    async def main() -> None:
        async with listening(parse_address("127.0.0.1:0")) as listeners:
            address = bound(listeners[0])
            assert address.host == "127.0.0.1"
            assert address.port > 0
            stream = await trio.open_tcp_stream(address.host, address.port)
            accepted = await listeners[0].accept()
            assert is_local(accepted)
            await stream.aclose()
            await accepted.aclose()

    trio.run(main)


def test_a_unix_socket_is_its_owners_alone_and_goes_with_the_listener(tmp_path: Path) -> None:
    path = tmp_path / "in.sock"

    async def main() -> None:
        async with listening(parse_address(f"unix:{path}")) as listeners:
            mode = os.stat(path).st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600
            assert bound(listeners[0]) == Address(path=str(path))
            stream = await trio.open_unix_socket(str(path))
            accepted = await listeners[0].accept()
            assert is_local(accepted)
            await stream.aclose()
            await accepted.aclose()
        assert not path.exists()

    trio.run(main)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "in.sock"
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()

    async def main() -> None:
        async with listening(parse_address(f"unix:{path}")):
            stream = await trio.open_unix_socket(str(path))
            await stream.aclose()

    trio.run(main)


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "in.sock"

    async def main() -> None:
        async with listening(parse_address(f"unix:{path}")):
            with pytest.raises(ListenError, match="Address already in use"):
                await open_listeners(parse_address(f"unix:{path}"))
            assert path.exists()

    trio.run(main)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")

    async def main() -> None:
        with pytest.raises(ListenError, match="no socket"):
            await open_listeners(parse_address(f"unix:{path}"))

    trio.run(main)
    assert path.read_text() == "mine"


def test_a_socket_that_took_our_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "in.sock"

    async def main() -> None:
        async with listening(parse_address(f"unix:{path}")):
            path.rename(tmp_path / "moved.sock")
            path.write_text("another's")
        assert path.read_text() == "another's"

    trio.run(main)


def test_a_taken_port_and_a_missing_directory_are_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(parse_address("127.0.0.1:0")) as listeners:
            with pytest.raises(ListenError) as caught:
                await open_listeners(bound(listeners[0]))
            assert "Stop the process" in str(caught.value)
        with pytest.raises(ListenError, match="No such file or directory"):
            await open_listeners(parse_address(f"unix:{tmp_path}/none/in.sock"))

    trio.run(main)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_who_counts_as_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
