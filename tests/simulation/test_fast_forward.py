"""The forward of a virtual clock against its slow twin: the same batches, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import limits, tuning
from engine.model import Control
from engine.simulation import scenario
from engine.simulation.scenario import Scenario
from engine.simulation.simulator import Simulator, render
from engine.wire import decode_lines
from ext.kernel.fast_forward import INPUTS, OVER, FastForward
from ext.wire.event import Event
from tests.reference.clock import ReferenceClock, TraceTooLong
from tests.reference.journeys import case

START_MS = 1_786_320_000_000
GROUPS = 20
CASES_PER_GROUP = 30
Numbers = dict[str, Any]


def read(seed: int) -> Scenario:
    of = case(seed)
    raw = {"start": of.start, "until": of.until, "flows": of.flows, "input": of.lines}
    return scenario.parse(raw, place=f"case {seed}", folder=Path())


def by_clock(of: Scenario, every: int) -> tuple[Numbers, list[Any]]:
    clock = ReferenceClock(of.start_ms, receipts_every=every)
    clock.play(((of.start_ms, item) for item in scenario.opening(of)), of.start_ms)
    clock.play(of.timed_inputs(), of.until_ms)
    return numbers(clock), [render(record) for record in clock.trace]


def numbers(of: ReferenceClock | Simulator) -> Numbers:
    """All that two engines which did the same have in common."""
    kernel = of.kernel
    found = {"now": of.now_ms, "batches": of.batches, "seq": kernel.seq, "counts": kernel.counts()}
    found |= {"outcomes": kernel.outcome_digest, "state": kernel.digest()}
    return found | {flow["id"]: kernel.stats(flow["id"]) for flow in kernel.flows()}


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_simulation_is_batch_for_batch_what_the_kernel_does(
    group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(group * CASES_PER_GROUP, (group + 1) * CASES_PER_GROUP):
        every = (1, 3, 10_000)[seed % 3]
        monkeypatch.setattr("engine.simulation.simulator.RECEIPTS_EVERY", every)
        of = read(seed)
        try:
            expected, trace = by_clock(of, every)
        except TraceTooLong:
            continue
        traced: list[Any] = []
        assert numbers(scenario.run(of, traced.append)) == expected, seed
        assert traced == trace, seed
        assert numbers(scenario.run(of)) == expected, seed


WAITS = {
    "id": "waits",
    "name": "Waits",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": ["A", "B"]}, "next": "pause"},
        "pause": {"kind": "wait", "for": "1s", "next": "say"},
        "say": {
            "kind": "step",
            "actions": [{"send": "webhook", "message": {"text": "Hello"}}],
            "next": "more",
        },
        "more": {"kind": "wait", "for": "3s"},
    },
}
DAILY = {
    "id": "daily",
    "name": "Daily",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"schedule": {"every": "day", "at": "00:00"}}, "next": "say"},
        "say": {"kind": "step", "actions": [{"points": {"add": 1}}]},
    },
}


def event(name: str, contact: int, at_ms: int) -> Event:
    line = f'{{"type":"track","userId":"c{contact}","event":"{name}"}}'
    (made,) = decode_lines(line.encode()).inputs
    assert isinstance(made, Event)
    return made


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 400, 600, 1_000, 3_000, 90_000_000]),
        st.sampled_from(["A", "B", "C", "pause", "resume", "restart"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


def timed(of: list[tuple[int, str, int]]) -> Iterator[tuple[int, Any]]:
    at_ms = START_MS
    for passed_ms, what, contact in of:
        at_ms += passed_ms
        if what == "restart":
            yield at_ms, Control("restart", {"until": "2026-08-10T00:00:05Z"})
        elif what in ("pause", "resume"):
            yield at_ms, Control(what, {"flow": "waits"})
        else:
            yield at_ms, event(what, contact, at_ms)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([1, 2, 10_000]), st.sampled_from([0, 5_000, 200_000_000]))
def test_waits_schedules_pauses_and_restarts_between_inputs(
    of: list[tuple[int, str, int]], every: int, beyond_ms: int
) -> None:
    flows = [Control("launch", {"flow": flow}) for flow in (WAITS | {"when_paused": "hold"}, DAILY)]
    inputs = [(START_MS, item) for item in flows] + list(timed(of))
    until_ms = inputs[len(inputs) // 2][0] + beyond_ms
    clock, simulator = ReferenceClock(START_MS, receipts_every=every), Simulator(START_MS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.simulation.simulator.RECEIPTS_EVERY", every)
        clock.play(iter(inputs), until_ms)
        simulator.play(iter(inputs), until_ms)
    assert numbers(simulator) == numbers(clock)


def test_inputs_of_one_instant_share_a_batch_as_long_as_one_may_be() -> None:
    count = 2 * limits.BATCH_INPUTS_MAX + 1
    simulator = Simulator(START_MS)
    simulator.play((START_MS, event("C", n, START_MS)) for n in range(count))
    assert (simulator.batches, simulator.kernel.counts()["events"]) == (3, count)


def test_without_an_end_time_stops_at_the_last_input() -> None:
    simulator = Simulator(START_MS)
    simulator.play([(START_MS, Control("launch", {"flow": WAITS}))])
    simulator.play([(START_MS + 500, event("A", 1, 0)), (START_MS + 1_500, event("C", 1, 0))])
    assert simulator.now_ms == START_MS + 1_500
    assert simulator.kernel.stats("waits")["nodes"]["more"]["waiting"] == 1


def test_an_input_that_comes_too_late_is_received_at_the_instant_reached() -> None:
    simulator = Simulator(START_MS)
    simulator.play([(START_MS + 9, event("C", 1, 0)), (START_MS + 3, event("C", 2, 0))])
    assert simulator.now_ms == START_MS + 9
    assert simulator.batches == 2


def test_a_long_play_is_looked_at_and_may_be_ended() -> None:
    looks: list[int] = []

    def look(now_ms: int) -> None:
        assert now_ms == simulator.now_ms
        looks.append(simulator.batches)
        if len(looks) == 3:
            raise TimeoutError

    simulator = Simulator(START_MS, look=look)
    with pytest.raises(TimeoutError):
        simulator.play((START_MS + n, event("C", 1, 0)) for n in range(10 * tuning.SIMULATED_BATCHES_MAX))
    assert looks == [tuning.SIMULATED_BATCHES_MAX * n for n in (1, 2, 3)]


def test_a_lane_stops_before_operations_and_leaves_what_comes_later_alone() -> None:
    launch = Control("launch", {"flow": WAITS})
    simulator = Simulator(START_MS)
    forward = FastForward(
        [(START_MS + 1, event("C", 1, 0)), (START_MS + 2, launch), (START_MS + 9, launch)], START_MS
    )
    turns = []
    for until_ms in (START_MS + 1, START_MS + 5, START_MS + 5):
        turn, _, _ = simulator.kernel.drive(forward, until_ms, 10)
        turns.append(turn)
        if turn == INPUTS:
            assert forward.take() == [launch]
    assert turns == [OVER, INPUTS, OVER]
    assert (forward.now_ms, forward.batches) == (START_MS + 5, 1)
