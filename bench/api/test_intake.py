"""The cost of each way in per event, without the engine behind it: every event is durable immediately.

The parts without sockets are measured alone; the stream and the requests also over a loopback socket, sender and
listener in one process, so that their figures hold the sender's share as well.
"""

from __future__ import annotations

import gzip

import trio

from api.client.stream import send_stream
from api.intake.http1 import Http1, encode_response
from api.intake.http_listener import Intake
from api.intake.lines import LineCutter
from api.intake.segment_api import Head, Reception, Taking, unpack
from api.intake.stream_listener import Stream
from api.listen import Address, bound, open_listeners
from bench.conftest import Measure
from engine.tuning import STREAM_READ_BYTES
from engine.wire import Decoded, decode_lines

MESSAGE = (
    b'{"type":"track","messageId":"0123456789abcdef","userId":"user-12345","event":"Order Completed",'
    b'"timestamp":"2026-11-01T12:00:00Z","properties":{"order_id":"o-1","total":12.5,"currency":"GBP"}}'
)
REQUEST = (
    b"POST /v1/track HTTP/1.1\r\nHost: 127.0.0.1:7701\r\nContent-Type: application/json\r\n"
    b"User-Agent: bench/1\r\nContent-Length: %d\r\n\r\n%s" % (len(MESSAGE), MESSAGE)
)
LOOPBACK = Address(host="127.0.0.1", port=0)
EVENTS = 20_000
ROUND_TRIPS = 200
CONNECTIONS = 32


class Durable:
    """A ticket that has come true."""

    done = True

    async def wait(self) -> None:
        return


async def enqueue(_: Decoded) -> Durable:
    return Durable()


def test_one_request_without_sockets(measure: Measure) -> None:
    reception = Reception()
    http = Http1(lambda head: reception.judge(head, local=True))

    def requests() -> None:
        for _ in range(1_000):
            [exchange] = http.feed(REQUEST)
            taking = reception.receive(exchange.head, exchange.body)
            assert isinstance(taking, Taking)
            encode_response(taking.answer(), b"Sun, 01 Nov 2026 12:00:00 GMT", last=False)

    measure("a request of one event: parsed, decided, answered", requests, each=1_000, unit="µs")


def test_a_batch_of_a_hundred_packed_messages(measure: Measure) -> None:
    reception = Reception()
    head = Head("POST", "/v1/batch", encoding=b"gzip")
    packed = gzip.compress(b'{"batch":[' + b",".join([MESSAGE] * 100) + b"]}")

    def batches() -> None:
        for _ in range(20):
            body = unpack(head, packed)
            assert isinstance(body, bytes)
            assert isinstance(reception.receive(head, body), Taking)

    measure("an event in a packed batch of 100", batches, each=2_000, unit="µs")


def test_lines_cut_and_decoded(measure: Measure) -> None:
    data = (MESSAGE + b"\n") * EVENTS
    reads = [data[at : at + STREAM_READ_BYTES] for at in range(0, len(data), STREAM_READ_BYTES)]

    def lines() -> None:
        cutter = LineCutter()
        taken = sum(len(decode_lines(cutter.feed(read).data).inputs) for read in reads)
        assert taken == EVENTS

    measure("a line of a stream: cut and decoded", lines, each=EVENTS)


def test_a_stream_over_loopback(measure: Measure) -> None:
    lines = [MESSAGE] * EVENTS

    async def main() -> None:
        stream = Stream(enqueue)
        listeners = await open_listeners(LOOPBACK)
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: stream.serve(listeners, task_status=task_status))
            sent = await send_stream(bound(listeners[0]), lines)
            assert sent.lines == EVENTS
            stream.stop()

    measure("a line over loopback, sender included", lambda: trio.run(main), each=EVENTS, rounds=7)


def test_requests_over_loopback(measure: Measure) -> None:
    async def ask(where: Address) -> None:
        async with await trio.open_tcp_stream(where.host, where.port) as stream:
            for _ in range(ROUND_TRIPS):
                await stream.send_all(REQUEST)
                assert (await stream.receive_some(4_096)).startswith(b"HTTP/1.1 200 ")

    async def main() -> None:
        intake = Intake(enqueue)
        listeners = await open_listeners(LOOPBACK)
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: intake.serve(listeners, task_status=task_status))
            async with trio.open_nursery() as asking:
                for _ in range(CONNECTIONS):
                    asking.start_soon(ask, bound(listeners[0]))
            intake.stop()

    measure(
        f"a request over one of {CONNECTIONS} connections, sender included",
        lambda: trio.run(main),
        each=CONNECTIONS * ROUND_TRIPS,
        rounds=5,
        warmup=1,
        unit="µs",
    )
