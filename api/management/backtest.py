"""A flow over recorded events sent with the request: what `POST /v1/flows/{id}/backtest` does.

As with a simulation (`api.management.simulation`) it runs in a worker thread on a kernel of its own. What the engine
itself was sent in the past cannot be asked for: it keeps no archive of that yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import trio

from api.management.answers import Instant, Stats
from api.management.problems import wrong
from api.management.simulation import Deadline, document_meant, one_at_a_time
from engine.kernel import Kernel
from engine.limits import API_SIMULATE_INPUTS_MAX
from engine.model import Input
from engine.simulation import backtest as virtual
from engine.wire import Rejection, decode_line
from ext.wire import instant
from ext.wire.event import Event, Kind
from ext.wire.timed_events import with_timestamps

Messages = Annotated[list[dict[str, Any]], msgspec.Meta(max_length=API_SIMULATE_INPUTS_MAX)]


class BacktestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was recorded, and who was known before."""

    events: Annotated[
        Messages,
        msgspec.Meta(
            min_length=1,
            description=(
                "Messages as the intake takes them, `{type, userId, event, timestamp, …}`, in order of `timestamp`. "
                "One that is earlier than one before it is received at the instant reached."
            ),
        ),
    ]
    contacts: Annotated[
        Messages, msgspec.Meta(description="Messages of type `identify`: the contacts known beforehand.")
    ] = []
    until: Annotated[
        Instant | None, msgspec.Meta(description="When time ends; left out: with the last event.")
    ] = None
    version: Annotated[
        Literal["draft", "active"] | None,
        msgspec.Meta(description="Which document; left out: the draft if there is one."),
    ] = None


async def backtest(kernel: Kernel, flow: str, wanted: BacktestRequest) -> Stats:
    """Run `flow` over the events as asked. Raises Refused if it cannot be launched, 422 for wrong inputs."""
    document = document_meant(kernel, flow, wanted.version)
    schema = kernel.schema()
    until_ms = _instant(wanted.until)

    def run() -> Stats:
        timed, missing = with_timestamps(_taken(wanted.events, "/events"))
        if missing >= 0:
            raise wrong(f"/events/{missing}", "It has no `timestamp`")
        simulator = virtual.backtest(
            document,
            timed,
            contacts=_identified(wanted.contacts),
            schema=schema,
            until_ms=until_ms,
            look=Deadline().look,
        )
        return msgspec.convert(simulator.kernel.stats(flow), Stats)

    return await trio.to_thread.run_sync(run, limiter=one_at_a_time)


def _instant(text: str | None) -> int | None:
    try:
        return None if text is None else instant.parse(text)
    except ValueError as error:
        raise wrong("/until", str(error)) from None


def _taken(messages: Sequence[dict[str, Any]], pointer: str) -> list[Input]:
    inputs: list[Input] = []
    for number, message in enumerate(messages):
        taken = decode_line(msgspec.json.encode(message))
        if isinstance(taken, Rejection):
            raise wrong(f"{pointer}/{number}", taken.detail.removesuffix("."))
        inputs.append(taken)
    return inputs


def _identified(messages: Sequence[dict[str, Any]]) -> list[Event]:
    found: list[Event] = []
    for number, item in enumerate(_taken(messages, "/contacts")):
        if not isinstance(item, Event) or item.kind != Kind.IDENTIFY:
            raise wrong(f"/contacts/{number}", "It is no message of type `identify`")
        found.append(item)
    return found
