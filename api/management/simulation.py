"""A flow on a virtual clock over inputs sent with the request: what `POST /v1/flows/{id}/simulate` does.

It runs in a worker thread, one at a time, on a kernel of its own: the running engine lends its schema and its
document and notices nothing else. The inputs are written as in a scenario, but may not name files: they would
be files of this machine.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import trio

from api.management.answers import Instant, Simulated, Stats
from api.management.problems import wrong
from engine.errors import Conflict, Refused
from engine.kernel import Kernel
from engine.limits import API_SIMULATE_INPUTS_MAX, API_SIMULATE_S, API_SIMULATE_TRACE_MAX
from engine.model import Control
from engine.simulation.scenario import Scenario, ScenarioError, channels_of, documents_of, parse
from engine.simulation.simulator import Simulator
from ext.wire import instant

PLACE = "simulate"
FILE = "$file"

one_at_a_time = trio.CapacityLimiter(1)


class SimulateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when, and what happens meanwhile."""

    start: Instant
    until: Instant
    input: Annotated[
        list[dict[str, Any]],
        msgspec.Meta(
            max_length=API_SIMULATE_INPUTS_MAX,
            description="As in a scenario, in order of `at`: `{at, type: track, userId, event, properties}`…",
        ),
    ] = []
    version: Annotated[
        Literal["draft", "active"] | None,
        msgspec.Meta(description="Which document; left out: the draft if there is one."),
    ] = None


class Deadline:
    """What looks at a simulation now and then, and ends one that takes too long."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + API_SIMULATE_S

    def look(self, now_ms: int) -> None:
        """Raise Refused when the time is used up."""
        if time.monotonic() > self._ends:
            detail = (
                f"It took longer than {API_SIMULATE_S} s, and had come to {instant.format(now_ms)} by then."
            )
            raise Refused("too_long", detail, remedy="Simulate less at once.")


class Trace:
    """The sink of a simulation: keeps the first records."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.truncated = False

    def add(self, record: dict[str, Any]) -> None:
        if len(self.records) < API_SIMULATE_TRACE_MAX:
            self.records.append(record)
        else:
            self.truncated = True


async def simulate(kernel: Kernel, flow: str, wanted: SimulateRequest) -> Simulated:
    """Simulate `flow` as asked. Raises Refused if it cannot be launched, 422 for wrong inputs."""
    document = document_meant(kernel, flow, wanted.version)
    for number, item in enumerate(wanted.input):
        _without_files(item, f"/input/{number}")
    if _is_before_time(wanted.start):
        raise wrong("/start", "The engine's time begins in 1970")
    raw = {
        "name": flow,
        "start": wanted.start,
        "until": wanted.until,
        "flows": [document],
        "input": wanted.input,
    }
    schema = kernel.schema()
    try:
        scenario = parse(raw, place=PLACE, folder=Path())
        return await trio.to_thread.run_sync(_run, scenario, flow, schema, limiter=one_at_a_time)
    except ScenarioError as error:
        raise Refused("invalid", error.detail, remedy=error.remedy) from None


def _is_before_time(text: str) -> bool:
    """Whether this is an instant, and before 1970; what is none is the scenario's to refuse."""
    try:
        return instant.parse(text) < 0
    except ValueError:
        return False


def document_meant(kernel: Kernel, flow: str, version: str | None) -> dict[str, Any]:
    """The document that is meant, without anything that could name a file."""
    found = kernel.flow(flow)
    if version == "active" or (version is None and not found["draft"]):
        document = found["active"]
        if document is None:
            raise Conflict("not_launched", f"The flow {flow!r} was never launched.", named=flow)
    else:
        document = kernel.draft(flow)["document"]
    _without_files({"flow": document}, "/flow")
    return dict(document)


def _without_files(item: dict[str, Any], pointer: str) -> None:
    flow = item.get("flow")
    if FILE in item or (isinstance(flow, dict) and FILE in flow):
        raise wrong(pointer, f"`{FILE}` is for scenarios on disk")


def _run(scenario: Scenario, flow: str, schema: dict[str, Any]) -> Simulated:
    trace = Trace()
    simulator = Simulator(scenario.start_ms, sink=trace.add, look=Deadline().look)
    first = [
        Control("schema", {"schema": schema}),
        Control("channels", {"channels": channels_of(documents_of(scenario))}),
        *(Control("launch", {"flow": document}) for document in scenario.flows),
    ]
    simulator.play(((scenario.start_ms, item) for item in first), scenario.start_ms)
    simulator.play(scenario.timed_inputs(), scenario.until_ms)
    stats = msgspec.convert(simulator.kernel.stats(flow), Stats)
    return Simulated(trace.records, stats, trace.truncated)
