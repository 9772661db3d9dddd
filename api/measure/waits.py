"""Waits: how late they end beside a load, and very many that end at one instant while events go on coming in."""

from __future__ import annotations

import re
import time
from typing import IO, Any

import msgspec

from api.measure import work
from api.measure.engine import Engine, MeasureError
from api.measure.stream import Beside, quantile, send, send_at
from ext.wire import instant

TIMED = "Timed"
LEAD_S = 1.0
"""From the moment the waits are in until the first of them ends."""
BLOCK = 50
"""Lines sent at one go where a load has a rate: small enough to see a stall, large enough to cost little."""
POLL_S = 0.02
PATIENCE_S = 120.0
DUE = re.compile(r'^(\S+) webhook.*"due":"([^"]+)"')


class Lateness(msgspec.Struct):
    """Milliseconds after the end of a wait: until its step ran, and until the message of that step, durable by then,
    was in somebody's hands. `earliest_ms` is never below 0: that would be an error."""

    count: int
    earliest_ms: float
    ran_p50_ms: float
    ran_p99_ms: float
    ran_worst_ms: float
    handed_over_p50_ms: float
    handed_over_p99_ms: float
    handed_over_worst_ms: float


class Burst(msgspec.Struct):
    """Waits that were due at one instant: `seconds` from then until all had run their step; acknowledgements of
    events that came in meanwhile, in milliseconds."""

    waits: int
    seconds: float
    acknowledged: int
    acks_p50_ms: float
    acks_p99_ms: float
    acks_worst_ms: float


def timed_flow() -> dict[str, Any]:
    """Waits until the instant its event names, then sends a message that names it again."""
    return {
        "id": "timed",
        "name": "Timed",
        "nodes": {
            "start": {"kind": "launch", "trigger": {"event": TIMED}, "next": "wait"},
            "wait": {"kind": "wait", "until": {"date": "event.properties.due"}, "next": "say"},
            "say": {
                "kind": "step",
                "actions": [{"send": "webhook", "message": {"due": "{{ event.properties.due }}"}}],
            },
        },
    }


def burst_flow(due: str) -> dict[str, Any]:
    """Waits until `due`, then a step."""
    return {
        "id": "burst",
        "name": "Burst",
        "nodes": {
            "start": {"kind": "launch", "trigger": {"event": TIMED}, "next": "wait"},
            "wait": {"kind": "wait", "until": {"date": f'timestamp("{due}")'}, "next": "step"},
            "step": {"kind": "step", "actions": [{"points": {"add": 1}}]},
        },
    }


def lateness(engine: Engine, load: bytes, *, rate: float, waits: int) -> Lateness:
    """Let `waits` waits end evenly over the time it takes to send `load` at `rate` events a second.

    `engine` was made with `messages=True` and has `timed_flow` running. Raises MeasureError.
    """
    seconds = load.count(b"\n") / rate
    with Beside() as beside:
        first_ms = int((time.time() + LEAD_S) * 1e3)
        step_ms = (seconds - LEAD_S) * 1e3 / waits
        dues = [instant.format(first_ms + int(step_ms * number)) for number in range(waits)]
        send(engine.stream, b"".join(_timed(number, due) for number, due in enumerate(dues)))
        sending = beside.start(send_at, engine.stream, load, rate=rate, each=BLOCK)
        assert engine.process.stderr is not None
        ran_ms, handed_over_ms = _messages(engine.process.stderr, waits)
        sending.result()
    if min(ran_ms) < 0:
        raise MeasureError("early", f"A wait ended {-min(ran_ms):.0f} ms before its time.")
    return Lateness(
        count=waits,
        earliest_ms=min(ran_ms),
        ran_p50_ms=quantile(ran_ms, 0.5),
        ran_p99_ms=quantile(ran_ms, 0.99),
        ran_worst_ms=max(ran_ms),
        handed_over_p50_ms=quantile(handed_over_ms, 0.5),
        handed_over_p99_ms=quantile(handed_over_ms, 0.99),
        handed_over_worst_ms=max(handed_over_ms),
    )


def burst(engine: Engine, *, waits: int, fill_rate: float, rate: float) -> Burst:
    """Let `waits` contacts wait for one instant while events nobody asks for come in at `rate` a second.

    `fill_rate`: about how many runs a second the engine starts; the instant is chosen by it. Raises MeasureError.
    """
    due_s = float(int(time.time() + waits / fill_rate + 4 * LEAD_S))
    engine.launch(burst_flow(instant.format(int(due_s * 1e3))))
    send(engine.stream, b"".join(_timed(number, "", contact="w") for number in range(waits)))
    waiting = engine.client.get("flows", "burst")["waiting"]
    if waiting != waits or time.time() > due_s:
        raise MeasureError("too_slow", f"Only {waiting} of {waits} runs waited in time.")
    lasting_s = 2 * LEAD_S + waits / 50_000
    load = work.events(int(rate * lasting_s), contacts=1_000, name=work.VIEW, run="burst")
    with Beside() as beside:
        time.sleep(max(0.0, due_s - LEAD_S - time.time()))
        sending = beside.start(send_at, engine.stream, load, rate=rate, each=BLOCK)
        time.sleep(max(0.0, due_s - time.time()))
        done_s = _wait_until_none_waits(engine, due_s + PATIENCE_S)
        sent = sending.result()
    during = [
        delay * 1e3 for at_s, delay in zip(sent.due_s, sent.delays_s, strict=True) if due_s <= at_s <= done_s
    ]
    return Burst(
        waits=waits,
        seconds=done_s - due_s,
        acknowledged=len(during) * BLOCK,
        acks_p50_ms=quantile(during, 0.5),
        acks_p99_ms=quantile(during, 0.99),
        acks_worst_ms=max(during),
    )


def _timed(number: int, due: str, *, contact: str = "t") -> bytes:
    return (
        b'{"type":"track","userId":"%s%d","event":"%s","messageId":"%s%d-%s","properties":{"due":"%s"}}\n'
        % (contact.encode(), number, TIMED.encode(), contact.encode(), number, due.encode(), due.encode())
    )


def _messages(stream: IO[str], count: int) -> tuple[list[float], list[float]]:
    """Of each message: how long after its wait the step ran, and how long after it the message arrived here, ms."""
    ran_ms: list[float] = []
    handed_over_ms: list[float] = []
    for line in stream:
        now_ms = time.time() * 1e3
        if (found := DUE.match(line)) is None:
            continue
        due_ms = instant.parse(found[2])
        ran_ms.append(float(instant.parse(found[1]) - due_ms))
        handed_over_ms.append(now_ms - due_ms)
        if len(ran_ms) == count:
            return ran_ms, handed_over_ms
    raise MeasureError("engine_failed", f"The engine ended after {len(ran_ms)} of {count} messages.")


def _wait_until_none_waits(engine: Engine, deadline_s: float) -> float:
    """When no run waited any more, as seen by asking every POLL_S."""
    while engine.client.get("flows", "burst")["waiting"]:
        if time.time() > deadline_s:
            raise MeasureError("too_slow", "The waits did not end.")
        time.sleep(POLL_S)
    return time.time()
