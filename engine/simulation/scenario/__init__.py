"""Scenarios: tests kept with a flow. Load one, run it in virtual time, compare its trace with `expect`.

    scenario = load(Path("abandoned-cart.test.yaml"))
    result = test(scenario)
    if not result.passed:
        print(result.difference)

`run` returns the simulator, for callers that need counts rather than the trace. Begin with `document.py`, the format;
`compare.py` compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.errors import Refused
from engine.model import CHANNELS, Control, Input
from engine.simulation.scenario.compare import difference, matches
from engine.simulation.scenario.document import Scenario, ScenarioError, is_flow, is_scenario, load, parse
from engine.simulation.simulator import Simulator, Sink


class Result(msgspec.Struct, frozen=True):
    """`difference` is empty where the scenario passed; `records` is how many trace records were compared."""

    name: str
    difference: str
    records: int

    @property
    def passed(self) -> bool:
        return not self.difference


def run(scenario: Scenario, sink: Sink | None = None) -> Simulator:
    """Play a scenario to its `until`. `sink` is given each trace record, rendered, as it happens.

    Raises ScenarioError for an input that is wrong, Refused for an operation the kernel refuses (a flow with
    problems: they are in `.problems`).
    """
    simulator = Simulator(scenario.start_ms, sink=sink)
    simulator.play(((scenario.start_ms, item) for item in opening(scenario)), scenario.start_ms)
    simulator.play(scenario.timed_inputs(), scenario.until_ms)
    return simulator


def test(scenario: Scenario) -> Result:
    """Run a scenario and compare its trace, after `only`, with `expect`; without it, to run is to pass."""
    happened: list[dict[str, Any]] = []
    kinds = frozenset(scenario.only)

    def keep(record: dict[str, Any]) -> None:
        if record["what"] in kinds:
            happened.append(record)

    run(scenario, keep)
    expected = scenario.expect
    found = "" if expected is None else difference(expected, happened)
    return Result(scenario.name, found, len(happened))


test.__test__ = False  # type: ignore[attr-defined]  # pytest: this is not one of its tests


def opening(scenario: Scenario) -> list[Input]:
    """Yield what happens at `start`, before any input: channels are configured, flows launched, in order."""
    launches = [Control("launch", {"flow": document}) for document in scenario.flows]
    return [Control("channels", {"channels": channels_of(documents_of(scenario))}), *launches]


def documents_of(scenario: Scenario) -> list[Any]:
    """Return the flows of a scenario, with those that its inputs launch."""
    return [*scenario.flows, *(raw.get("flow") for raw in scenario.inputs)]


def channels_of(documents: Iterable[Any]) -> list[str]:
    """Return the channels of a scenario.

    In virtual time every channel is configured: the usual ones and those that flows name.
    """
    return sorted({*CHANNELS, *(name for document in documents for name in _sends(document))})


def _sends(raw: Any) -> list[str]:
    if isinstance(raw, list):
        return [name for item in raw for name in _sends(item)]
    if not isinstance(raw, dict):
        return []
    own = [raw["send"]] if isinstance(raw.get("send"), str) else []
    return own + [name for item in raw.values() for name in _sends(item)]


__all__ = [
    "Refused",
    "Result",
    "Scenario",
    "ScenarioError",
    "channels_of",
    "difference",
    "documents_of",
    "is_flow",
    "is_scenario",
    "load",
    "matches",
    "opening",
    "parse",
    "run",
    "test",
]
