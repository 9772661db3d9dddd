"""A flow over recorded events: the kernel on a virtual clock, each event received at its own `timestamp`.

    simulator = backtest(document, events(Path("orders.ndjson.gz")))
    simulator.kernel.stats(document["id"])

The flow is launched at the instant of the first event, before it; contacts that are given are known by then and enter
nothing by becoming known. A stream cannot be sorted: an event that is earlier than one before it is received at the
instant reached and keeps its timestamp, as a late event does in life (rule 1). Time ends with the last event, or runs
on to `until_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from engine.errors import Refused
from engine.model import Control
from engine.simulation.recorded_events import Timed
from engine.simulation.scenario import channels_of
from engine.simulation.simulator import Look, Simulator
from ext.wire.event import Event


def backtest(
    document: dict[str, Any],
    events: Iterable[Timed],
    *,
    contacts: Iterable[Event] = (),
    schema: dict[str, Any] | None = None,
    until_ms: int | None = None,
    look: Look | None = None,
) -> Simulator:
    """Run the flow of `document` over `events`; what has become of everybody is in the simulator.

    `schema`: what the flow is checked against, the default schema if None. `look`: see Simulator. Raises Refused for a
    flow with problems, and with `no_events` or `too_early` where there is nothing to run it over.
    """
    coming = iter(events)
    first = next(coming, None)
    if first is None:
        raise Refused("no_events", "There is no event to run the flow over.")
    start_ms = first[0]
    if start_ms < 0:
        detail = "The first event is from before 1970, when the engine's time begins."
        raise Refused("too_early", detail)
    if until_ms is not None and until_ms < start_ms:
        raise Refused("too_early", "The end is before the first event.")
    simulator = Simulator(start_ms, look=look)
    simulator.play(((start_ms, item) for item in contacts), start_ms)
    simulator.play(((start_ms, item) for item in _opening(document, schema)), start_ms)
    simulator.play(chain((first,), coming), until_ms)
    return simulator


def _opening(document: dict[str, Any], schema: dict[str, Any] | None) -> Iterator[Control]:
    if schema is not None:
        yield Control("schema", {"schema": schema})
    yield Control("channels", {"channels": channels_of([document])})
    yield Control("launch", {"flow": document})
