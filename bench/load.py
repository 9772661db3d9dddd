"""Single-event requests on many kept connections, from a process of its own: what an intake carries, and how late.

    python -m bench.load 127.0.0.1:7701                       # as fast as answers come: the maximum
    python -m bench.load unix:intake.sock --rate 10000        # so many a second: the latencies at that rate

At the maximum every connection asks again as soon as it is answered. At a rate requests have instants at which they
are due, and a latency counts from there: a server that stalls is charged for all who would have come meanwhile, not
only for the one it kept waiting. Plain sockets and one epoll, some 10 µs of CPU a request, most of it the kernel's;
`busy` says which share of its core the sender used, for above some 0.9 it measures itself.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from api.config import Address, parse_address

CONNECTIONS = 64
ANSWER_BYTES_MAX = 4_096
PATIENCE_S = 10.0
CONTACTS = 100_000

MESSAGE = (
    b'{"type":"track","messageId":"%s-%010d","userId":"c%06d","event":"%s","timestamp":"2026-11-01T12:00:00Z",'
    b'"properties":{"order_id":"o-%d","total":%d.5,"currency":"GBP"}}'
)
REQUEST = (
    b"POST /v1/track HTTP/1.1\r\nHost: 127.0.0.1:7701\r\nContent-Type: application/json\r\n"
    b"User-Agent: bench/1\r\nContent-Length: %d\r\n\r\n%s"
)


class Load(msgspec.Struct):
    """What one load came to. Latencies in ms."""

    requests: int
    failed: int
    """Answers that were no 200."""
    per_second: float
    p50: float
    p99: float
    worst: float
    busy: float
    """The sender's share of a core."""


def requests(event: str = "Order Completed", *, typed: bool = True) -> Iterator[bytes]:
    """Ever new requests of about 350 bytes; `typed` messages have their `type`, as Segment's servers send it."""
    run = b"%x" % time.time_ns()
    pattern = MESSAGE if typed else MESSAGE.replace(b'"type":"track",', b"")
    n = 0
    while True:
        body = pattern % (run, n, n * 7919 % CONTACTS, event.encode(), n, n % 100)
        yield REQUEST % (len(body), body)
        n += 1


def carry(
    address: Address, asked: Iterable[bytes], count: int, *, connections: int = CONNECTIONS, rate: float = 0
) -> Load:
    """Send `count` of the requests; `rate` a second, or with 0 each as soon as there is a free connection."""
    prepared = list(islice(asked, count))
    client = _Client(address, connections)
    started, cpu = time.perf_counter(), time.process_time()
    client.run(prepared, rate)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    client.close()
    late = sorted(client.latencies)
    return Load(
        requests=len(late),
        failed=client.failed,
        per_second=len(late) / took,
        p50=late[len(late) // 2] * 1e3,
        p99=late[len(late) * 99 // 100] * 1e3,
        worst=late[-1] * 1e3,
        busy=cpu / took,
    )


class _Client:
    def __init__(self, address: Address, connections: int) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._asked_s: dict[int, float] = {}
        self._parts: dict[int, bytes] = {}
        for _ in range(connections):
            sock = connect(address)
            self._sockets[sock.fileno()] = sock
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def run(self, prepared: list[bytes], rate: float) -> None:
        """Every request is sent, and answered, when this returns."""
        clock = time.perf_counter
        free = deque(self._sockets)
        start, total, sent = clock(), len(prepared), 0
        while len(self.latencies) < total:
            due = min(total, int((clock() - start) * rate)) if rate else total
            while free and sent < due:
                fd = free.popleft()
                self._asked_s[fd] = start + sent / rate if rate else clock()
                self._sockets[fd].send(prepared[sent])
                sent += 1
            patience = max(0.0, start + (sent + 1) / rate - clock()) if rate and sent < total else PATIENCE_S
            ready = self._poll.poll(patience if free and sent < total else PATIENCE_S)
            if not ready and not (free and sent < total):
                raise TimeoutError(f"{total - len(self.latencies)} requests are not answered.")
            for fd, _ in ready:
                if self._answered(fd, self._sockets[fd].recv(ANSWER_BYTES_MAX)):
                    self.latencies.append(clock() - self._asked_s[fd])
                    free.append(fd)

    def _answered(self, fd: int, data: bytes) -> bool:
        if not data:
            raise ConnectionError("The server closed a connection.")
        if fd in self._parts:
            data = self._parts.pop(fd) + data
        if not data.endswith(b"}"):
            self._parts[fd] = data
            return False
        self.failed += not data.startswith(b"HTTP/1.1 200 ")
        return True

    def close(self) -> None:
        self._poll.close()
        for sock in self._sockets.values():
            sock.close()


def connect(address: Address) -> socket.socket:
    """A socket connected to `address`."""
    if address.is_unix:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.path)
        return sock
    sock = socket.create_connection((address.host, address.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("address", help="HOST:PORT or unix:PATH of the intake")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="requests a second; 0: as fast as answers come"
    )
    parser.add_argument("--event", default="Order Completed")
    given = parser.parse_args()
    load = carry(
        parse_address(given.address),
        requests(given.event),
        given.count,
        connections=given.connections,
        rate=given.rate,
    )
    print(json.dumps({name: round(value, 3) for name, value in msgspec.structs.asdict(load).items()}))


if __name__ == "__main__":
    main()
