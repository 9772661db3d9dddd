"""The kernel against the slow reference: random flows and inputs, and the same trace, record by record.

A case is found again by its seed: `python -m tests.kernel.test_against_reference SEED…` shows the smallest part of
it in which the two still differ. The texts of errors are the engine's own affair; that there is one is compared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import TidemillError
from engine.simulation import scenario
from engine.simulation.simulator import Simulator
from tests.reference import interpreter
from tests.reference.journeys import Case, case

EVENTS_MAX = 600  # flows that launch each other multiply for sixteen generations; such a case is left out
GROUPS = 20
CASES_PER_GROUP = 60


def plain(trace: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Errors without their text. In which order a launch removes runs is left open by the rules: by run here."""
    shown = []
    for record in trace:
        detail = _without_text(record["detail"])
        if "actions" in detail:
            detail["actions"] = [_without_text(action) for action in detail["actions"]]
        shown.append(record | {"detail": detail})
    ordered: list[dict[str, Any]] = []
    for removed, group in groupby(shown, key=lambda record: record["detail"].get("reason") == "removed"):
        records = list(group)
        ordered += sorted(records, key=lambda record: record["run"]) if removed else records
    return ordered


def _without_text(detail: dict[str, Any]) -> dict[str, Any]:
    return detail | {"error": "…"} if "error" in detail else dict(detail)


def by_kernel(of: Case) -> list[dict[str, Any]]:
    raw = {"start": of.start, "until": of.until, "flows": of.flows, "input": of.lines}
    trace: list[dict[str, Any]] = []
    scenario.run(scenario.parse(raw, place=f"case {of.seed}", folder=Path()), trace.append)
    return plain(trace)


def by_reference(of: Case) -> list[dict[str, Any]] | None:
    """None where the case is larger than is worth a slow twin's while."""
    try:
        return plain(interpreter.play(of.flows, of.lines, of.start, of.until, events_max=EVENTS_MAX))
    except interpreter.TooMuch:
        return None


def disagreement(of: Case) -> str | None:
    expected = by_reference(of)
    if expected is None:
        return None
    happened = by_kernel(of)
    if happened == expected:
        return None
    pairs = zip(expected, happened, strict=False)
    first = next(((one, other) for one, other in pairs if one != other), ("more", "or fewer"))
    return f"{scenario.difference(expected, happened)}\nfirst: {first[0]}\n  not: {first[1]}"


def smallest(of: Case) -> Case:
    """Lines and flows taken away for as long as the two still disagree."""
    for part in ("lines", "flows"):
        at = 0
        while at < len(items := getattr(of, part)):
            fewer = msgspec.structs.replace(of, **{part: items[:at] + items[at + 1 :]})
            if fails(fewer):
                of = fewer
            else:
                at += 1
    return of


def fails(of: Case) -> bool:
    """Whether it still goes wrong; a part that refers to a flow taken away does not count."""
    try:
        return disagreement(of) is not None
    except (KeyError, TidemillError):
        return False
    except Exception:
        return True


def report(of: Case) -> str:
    of = smallest(of)
    lines = [msgspec.json.encode(part).decode() for part in (*of.flows, *of.lines)]
    try:
        found = disagreement(of)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    return "\n".join([f"seed {of.seed}: {of.start} to {of.until}", *lines, str(found)])


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
    """What is compared is worth comparing: nothing that can happen is missing from the first few hundred."""
    met: set[str] = set()
    for seed in range(400):
        for record in by_reference(case(seed)) or ():
            met.add(record["detail"].get("reason", record["what"]))
    reasons = {"frequency", "schedule", "too_old", "run_key", "completed", "no_date", "exited"}
    reasons |= {"limit_reached", "stopped", "removed"}
    assert met == (set(scenario.WHAT) - {"refused", "left"}) | reasons


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


if __name__ == "__main__":
    for number in sys.argv[1:]:
        print(report(case(int(number))))
