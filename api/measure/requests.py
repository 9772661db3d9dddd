"""Single events as `POST /v1/track` over many kept connections.

At the maximum every connection asks again as soon as it is answered. At a rate requests have instants at which they
are due, and a delay counts from there, so that a stall is charged to everybody who would have come meanwhile. Plain
sockets and one epoll cost some 10 µs a request; `busy` says which share of its core the sender used: above some 0.9
it measures itself.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque

import msgspec

from api.config import Address
from api.measure.engine import MeasureError
from api.measure.stream import connect, quantile

CONNECTIONS = 64
ANSWER_BYTES_MAX = 4_096
PATIENCE_S = 30.0

HEAD = (
    b"POST /v1/track HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nUser-Agent: bench/1\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Asked(msgspec.Struct):
    """What a load came to. Delays in milliseconds."""

    count: int
    per_second: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    busy: float


def ask(address: Address, body: bytes, *, connections: int = CONNECTIONS, rate: float = 0.0) -> Asked:
    """Send each line of `body` as a request of its own; `rate` a second, or as fast as answers come.

    Raises MeasureError for an answer that is no 200 and for a connection that ends.
    """
    prepared = [HEAD % len(line) + line for line in body.splitlines()]
    asker = _Asker(address, connections)
    try:
        began_s, cpu_s = time.perf_counter(), time.process_time()
        asker.run(prepared, rate)
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    finally:
        asker.close()
    delays_ms = [delay * 1e3 for delay in asker.delays_s]
    return Asked(
        count=len(prepared),
        per_second=len(prepared) / took_s,
        p50_ms=quantile(delays_ms, 0.5),
        p99_ms=quantile(delays_ms, 0.99),
        worst_ms=max(delays_ms),
        busy=cpu_s / took_s,
    )


class _Asker:
    def __init__(self, address: Address, connections: int) -> None:
        self.delays_s: list[float] = []
        self._poll = select.epoll()
        self._asked_s: dict[int, float] = {}
        self._partial: dict[int, bytes] = {}
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            sock = connect(address)
            self._sockets[sock.fileno()] = sock
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def run(self, prepared: list[bytes], rate: float) -> None:
        """Returns when every request is answered."""
        clock, free = time.perf_counter, deque(self._sockets)
        start_s, total, sent = clock(), len(prepared), 0
        while len(self.delays_s) < total:
            due = min(total, int((clock() - start_s) * rate) + 1) if rate else total
            while free and sent < due:
                number = free.popleft()
                self._asked_s[number] = start_s + sent / rate if rate else clock()
                self._sockets[number].sendall(prepared[sent])
                sent += 1
            idle = bool(rate and free and sent < total)
            wait_s = max(0.0, start_s + sent / rate - clock()) if idle else PATIENCE_S
            ready = self._poll.poll(wait_s)
            if not ready and not idle:
                raise MeasureError("no_answer", f"{total - len(self.delays_s)} requests were not answered.")
            for number, _ in ready:
                if self._is_answered(number):
                    self.delays_s.append(clock() - self._asked_s[number])
                    free.append(number)

    def _is_answered(self, number: int) -> bool:
        data = self._sockets[number].recv(ANSWER_BYTES_MAX)
        if not data:
            raise MeasureError("gone", "A connection was closed in the middle of it.")
        data = self._partial.pop(number, b"") + data
        head, end, content = data.partition(b"\r\n\r\n")
        if not end or len(content) < _length(head):
            self._partial[number] = data
            return False
        if not data.startswith(b"HTTP/1.1 200 "):
            raise MeasureError("refused", f"An event was answered with {data.splitlines()[0].decode()}.")
        return True

    def close(self) -> None:
        self._poll.close()
        for sock in self._sockets.values():
            sock.close()


def _length(head: bytes) -> int:
    """`Content-Length` of a response; 0 without one."""
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
