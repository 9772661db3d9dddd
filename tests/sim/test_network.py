"""The simulated network behaves towards the engine's listeners as sockets and `select.epoll` do."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from tests.sim.network import Net, SimulatedConnection, Socket


class SocketPair:
    """A connection: the engine's end, an epoll that watches it, and the actions of the peer."""

    def __init__(self, end: Any, epoll: Any, say: Callable[[bytes], Any], finish: Callable[[], Any]) -> None:
        self.end, self.epoll = end, epoll
        self.say, self.finish = say, finish
        end.setblocking(False)
        epoll.register(end.fileno(), select.EPOLLIN)

    @property
    def speaks(self) -> bool:
        return [number for number, _ in self.epoll.poll(0, 10)] == [self.end.fileno()]


class UncutDraws(Random):
    """Draws that cut nothing."""

    def random(self) -> float:
        return 0.0


@pytest.fixture(params=["real", "simulated"])
def pair(request: pytest.FixtureRequest) -> Iterator[SocketPair]:
    if request.param == "simulated":
        net = Net(UncutDraws(), lambda: None)
        line = SimulatedConnection(UncutDraws())
        yield SocketPair(Socket(net, line, "127.0.0.1"), net.epoll(), line.to_engine.put, line.end)
        return
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), closing(select.epoll()) as epoll:
        yield SocketPair(ours, epoll, theirs.send, lambda: theirs.shutdown(socket.SHUT_WR))


def test_nothing_there_is_neither_readable_nor_read(pair: SocketPair) -> None:
    assert not pair.speaks
    with pytest.raises(BlockingIOError):
        pair.end.recv(10)


def test_sent_bytes_stay_readable_until_they_are_read(pair: SocketPair) -> None:
    pair.say(b"abc")
    assert pair.speaks
    assert pair.end.recv(2) == b"ab"
    assert pair.speaks, "level-triggered"
    assert pair.end.recv(2) == b"c"
    assert not pair.speaks


def test_the_end_is_readable_for_ever(pair: SocketPair) -> None:
    pair.say(b"x")
    pair.finish()
    assert pair.end.recv(10) == b"x"
    assert pair.speaks
    assert pair.end.recv(10) == pair.end.recv(10) == b""


def test_a_full_line_takes_no_more(pair: SocketPair) -> None:
    def fill() -> None:
        while True:
            pair.end.send(b"x" * 1_000)

    with pytest.raises(BlockingIOError):
        fill()


def test_after_the_own_end_nothing_can_be_sent(pair: SocketPair) -> None:
    pair.end.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        pair.end.send(b"x")


def test_only_watched_sockets_are_reported(pair: SocketPair) -> None:
    pair.epoll.unregister(pair.end.fileno())
    pair.say(b"x")
    assert not pair.speaks


def test_a_connection_in_the_epoll_wakes_its_waiter() -> None:
    async def scene() -> None:
        net, line = Net(UncutDraws(), lambda: None), SimulatedConnection(UncutDraws())
        pair = SocketPair(Socket(net, line, "127.0.0.1"), net.epoll(), line.to_engine.put, line.end)
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(net.wait_readable, pair.epoll.fileno())
                await trio.testing.wait_all_tasks_blocked()
                pair.say(b"x")

    trio.run(scene)
