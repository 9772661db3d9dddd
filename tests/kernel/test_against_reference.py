"""The kernel against the slow reference: random flows and inputs, and the same trace, record by record.

`tests/kernel/comparison.py` plays a case in both; `python -m tests.kernel.comparison SEED…` shrinks one that differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.model import TRACE_WORDS
from engine.simulation import scenario
from engine.simulation.simulator import Simulator
from tests.kernel.comparison import by_reference, disagreement, report
from tests.reference.journeys import case

GROUPS = 20
CASES_PER_GROUP = 60


def seeds(group: int, count: int) -> Iterator[int]:
    return iter(range(group * count, (group + 1) * count))


@pytest.mark.parametrize("group", range(GROUPS))
def test_the_kernel_does_what_the_reference_does(group: int) -> None:
    for seed in seeds(group, CASES_PER_GROUP):
        of = case(seed)
        assert disagreement(of) is None, report(of)


@pytest.mark.nightly
@pytest.mark.parametrize("group", range(100))
def test_the_kernel_does_what_the_reference_does_ten_thousand_times(
    group: int, request: pytest.FixtureRequest
) -> None:
    if "nightly" not in request.config.getoption("-m"):
        pytest.skip("the long form: -m nightly")
    for seed in seeds(group + 1000, 100):
        of = case(seed)
        assert disagreement(of) is None, report(of)


def test_the_cases_meet_every_kind_of_record() -> None:
    """The first few hundred cases meet everything that can happen, so that the comparison means something."""
    met: set[str] = set()
    for seed in range(400):
        for record in by_reference(case(seed)) or ():
            met.add(record["detail"].get("reason", record["what"]))
    reasons = {"frequency", "schedule", "too_old", "run_key", "completed", "no_date", "exited"}
    reasons |= {"limit_reached", "stopped", "removed"}
    assert met == (set(TRACE_WORDS) - {"refused", "left"}) | reasons


def test_a_case_is_the_same_every_time() -> None:
    assert msgspec.json.encode(case(7)) == msgspec.json.encode(case(7))
    assert case(7) != case(8)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_it_does_not_matter_how_inputs_are_cut_into_batches(seed: int) -> None:
    of = case(seed)
    raw = {"start": of.start, "until": of.until, "flows": of.flows, "input": of.lines}
    read = scenario.parse(raw, place="cut", folder=Path())
    traces: tuple[list[Any], list[Any]] = ([], [])
    whole = scenario.run(read, traces[0].append)
    single = Simulator(read.start_ms, sink=traces[1].append)
    single.play([(read.start_ms, item) for item in scenario.opening(read)], read.start_ms)
    for at_ms, item in read.timed_inputs():
        single.play([(at_ms, item)], max(at_ms, single.now_ms))
    single.advance(read.until_ms)
    assert traces[0] == traces[1]
    assert whole.stats() == single.stats()
    assert single.batches >= whole.batches
