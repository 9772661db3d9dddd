"""`tidemill bench --soak`: what it judges flat, what it counts, and a short one with an engine of its own."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.cli.commands import soak
from api.measure import journey, work
from api.measure.flatness import Quantity, judge, slope
from api.measure.load import Load, Order
from api.measure.record import Check, Plan, Report, Sample, verdicts
from engine.model import Control
from engine.simulation.simulator import Simulator
from engine.wire import decode_lines
from tests.api.command_line import ROOT, TIDEMILL, tidemill

MEMORY = Quantity("resident_bytes", "memory", "MB", share=0.03, least=16)
DESCRIPTORS = Quantity("descriptors", "descriptors", "", share=0, least=8)
MINUTES_27 = [5.0 * number for number in range(324)]


def noise(seed: int, most: float) -> list[float]:
    drawn = random.Random(seed)
    return [drawn.uniform(-most, most) for _ in MINUTES_27]


def curve(*, base: float = 1_000.0, rise: float = 0.0, seed: int = 1, most: float = 40.0) -> list[float]:
    """Return a curve that begins at `base` and rises evenly by `rise`, with noise."""
    last = len(MINUTES_27) - 1
    return [base + rise * at / last + by for at, by in enumerate(noise(seed, most))]


SAWTOOTH = [1_000 + 300 * (at % 13) / 13 for at in range(324)]
OUTLIERS = [9_000.0 if at % 50 == 7 else value for at, value in enumerate(curve())]
STEP = [value + (100 if at > 255 else 0) for at, value in enumerate(curve(most=4))]
LATE_LEAK = [value + max(0, at - 200) * 0.8 for at, value in enumerate(curve())]


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        pytest.param(curve(), True, id="flat, with noise"),
        pytest.param(curve(seed=2, most=200), True, id="flat, with much noise"),
        pytest.param(SAWTOOTH, True, id="a sawtooth"),
        pytest.param(OUTLIERS, True, id="outliers"),
        pytest.param(curve(rise=-300), True, id="falling"),
        pytest.param(curve(rise=25), True, id="less than it may rise by"),
        pytest.param(curve(rise=45), False, id="a slow leak, under the noise"),
        pytest.param([tooth + 0.2 * at for at, tooth in enumerate(SAWTOOTH)], False, id="a leaking sawtooth"),
        pytest.param(STEP, False, id="a step"),
        pytest.param(LATE_LEAK, False, id="a leak that begins late"),
    ],
)
def test_memory_is_judged(values: list[float], flat: bool) -> None:
    verdict = judge(MEMORY, zip(MINUTES_27, values, strict=True))
    assert verdict is not None
    assert verdict.flat is flat
    assert verdict.words.startswith("flat" if flat else "NOT FLAT")


@pytest.mark.parametrize(("every", "flat"), [(10_000, True), (60, True), (30, False), (1, False)])
def test_descriptors_may_come_and_go_but_not_stay(every: int, flat: bool) -> None:
    values = [20.0 + 8 * (at % 2) + at // every for at in range(324)]
    verdict = judge(DESCRIPTORS, zip(MINUTES_27, values, strict=True))
    assert verdict is not None
    assert verdict.flat is flat


def test_a_step_moves_the_fifths_only_and_says_so() -> None:
    verdict = judge(MEMORY, zip(MINUTES_27, STEP, strict=True))
    assert verdict is not None
    assert verdict.words == "NOT FLAT: ends higher than it began"
    assert (verdict.drift < verdict.allowed, round(verdict.last - verdict.first, -1)) == (True, 100)


def test_little_is_not_judged_and_gaps_are_left_out() -> None:
    few = judge(MEMORY, zip(MINUTES_27[:10], curve(rise=900), strict=False))
    short = judge(MEMORY, [(at / 100, 10.0 * at) for at in range(300)])
    assert (few and few.flat, short and short.flat) == (None, None)
    assert few is not None
    assert few.words == "too short to judge"
    assert judge(MEMORY, [(at_s, None) for at_s in MINUTES_27]) is None
    gaps = judge(MEMORY, [(at, None if at % 2 else 7.0) for at in range(200)])
    assert gaps is not None
    assert (gaps.flat, gaps.first, gaps.drift, gaps.allowed) == (True, 7.0, 0.0, 16)


def test_the_slope_is_the_median_of_all_slopes() -> None:
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0), (4, 700.0)]) == 2.0
    assert slope([(0, 5.0), (0, 9.0)]) == 0.0


# What the events must give


def test_what_events_must_give_is_what_the_flow_does_with_them() -> None:
    contacts, first, end = 300, 1_000, 9_000
    simulator = Simulator(0)
    known = decode_lines(work.contacts(contacts)).inputs
    sent = decode_lines(work.events(end - first, contacts=contacts, first=first)).inputs
    launch = Control("launch", {"flow": journey.flow(5)})
    simulator.play([(0, launch), *((0, one) for one in known), *((1, one) for one in sent)], 60_000)
    nodes: dict[str, Any] = simulator.stats()[journey.FLOW]["nodes"]
    due = journey.expected(first, end, contacts=contacts)
    assert due.entered == nodes["start"]["entered"] == nodes["again"]["arrived"] > 500
    assert due.second == nodes["second"]["executed"] > 200
    assert (due.mailed, due.logged) == (nodes["mail"]["executed"], nodes["call"]["executed"])
    assert min(due.mailed, due.logged) > 0


@pytest.mark.parametrize(("first", "end"), [(0, 700), (350, 2_450), (2_099, 2_101), (123, 98_765)])
def test_counting_by_periods_is_counting_one_by_one(first: int, end: int) -> None:
    contacts = 300
    slow = journey._minus(journey._counted(end, contacts), journey._counted(first, contacts))
    assert journey.expected(first, end, contacts=contacts) == slow


# A report


def sample(at_s: float, **changed: Any) -> Sample:
    values: dict[str, Any] = {
        **dict.fromkeys(("sent", "acknowledged"), 100_000.0),
        "p50_ms": 4.0,
        "p99_ms": 9.0,
        "worst_ms": 30.0,
        "request_p99_ms": 8.0,
        "late_p99_ms": 5.0,
        "cpu_us": 2.5,
        "engine_busy": 0.6,
        "sender_busy": 0.3,
        "others_busy": 0.1,
        "resident_bytes": 1_500_000_000,
        "own_bytes": 1_300_000_000,
        "descriptors": 20,
        "files": 3,
        "disk_bytes": 900_000_000,
        "waiting": 250_000,
        "pending": 100,
        "checkpoints": int(at_s // 15),
        "deltas": 3,
    }
    return Sample(at_s=at_s, **values | changed)


def report(
    minutes: float = 30, *, is_full: bool = True, found: int = 5, leak: int = 0, broken: str = ""
) -> Report:
    """`leak`: bytes a second."""
    plan = Plan(minutes, rate=100_000.0)
    every_s = plan.sample_s
    ends_s = [every_s * number for number in range(1, int(plan.seconds / every_s) + 1)]
    samples = [sample(at_s, resident_bytes=1_500_000_000 + int(at_s * leak)) for at_s in ends_s]
    judged, unfit = verdicts(plan, samples, is_full=is_full)
    checks = [Check("runs that began", 5, found)]
    return Report(plan, None, 100_000.0, plan.warm_s, broken, unfit, samples, judged, checks)


@pytest.mark.parametrize(
    ("given", "failed", "said"),
    [
        pytest.param(report(), False, "Everything is flat.", id="flat"),
        pytest.param(report(leak=40_000), True, "Not flat: memory, resident.", id="a leak"),
        pytest.param(report(found=6), True, "Wrong: runs that began: 6, not 5.", id="doubled"),
        pytest.param(report(broken="Gone."), True, "after 1,800 s: Gone.", id="broken off"),
        pytest.param(report(0.2), False, "Too short to judge", id="short"),
        pytest.param(report(0.2, found=4), True, "Wrong: runs that began: 4, not 5.", id="short, and lost"),
        pytest.param(report(is_full=False, leak=40_000), False, "Too short to judge", id="not full"),
    ],
)
def test_what_is_concluded(given: Report, failed: bool, said: str) -> None:
    assert given.failed is failed
    assert said in " ".join(soak.conclusion(given))


def test_what_comes_while_it_warms_up_is_not_judged() -> None:
    plan = Plan(30)
    samples = [sample(at_s, descriptors=900 if at_s < 360 else 20) for at_s in range(5, 1_801, 5)]
    judged, unfit = verdicts(plan, samples, is_full=True)
    (descriptors,) = [one for one in judged if one.name == "descriptors"]
    assert (plan.warm_s, unfit, descriptors.first, descriptors.flat) == (360.0, [], 20.0, True)


@pytest.mark.parametrize(
    ("minutes", "wait_s", "sample_s", "warm_s"),
    [(0.05, 1, 0.25, 1.5), (3, 20, 4.5, 60), (30, 20, 5, 360), (2_880, 20, 86.4, 34_560)],
)
def test_a_plan_follows_from_its_length(minutes: float, wait_s: int, sample_s: float, warm_s: float) -> None:
    plan = Plan(minutes)
    assert (plan.wait_s, plan.warm_s) == (wait_s, warm_s)
    assert plan.sample_s == pytest.approx(sample_s)


def test_the_table_has_a_row_for_two_minutes() -> None:
    lines = soak.in_markdown(report()).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [row.split(" | ")[0] for row in rows[2:17]] == [f"| {minutes}" for minutes in range(2, 31, 2)]
    assert rows[17].startswith("|  | first fifth")
    assert rows[2].split(" | ")[1:5] == ["100,000", "4", "9", "30"]
    assert lines[-1].startswith("Nothing was lost")


def test_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from api.measure.curve import draw

    draw(report(), tmp_path / "soak.png", "a machine")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


# The real thing, in small


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--contacts", 150), "no multiple of 100"),
        (("--quick",), "not for a soak"),
        (("--rate", 0), "0"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: tuple[object, ...], said: str) -> None:
    result = tidemill("bench", "--soak", 1, *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_options_of_a_soak_want_a_soak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert tidemill("bench", "--rate", 5).exit_code == 2
    monkeypatch.setattr(soak, "find_spec", lambda _: None)
    result = tidemill("bench", "--soak", 1, "--plot", tmp_path / "x.png")
    assert result.exit_code == 1
    assert "matplotlib" in result.stderr


def test_a_short_soak_has_samples_and_exact_counts(tmp_path: Path) -> None:
    arguments = ["--soak", "0.05", "--contacts", "400", "--rate", "6000", "--json"]
    command = [*TIDEMILL, "bench", *arguments, "--table", "soak.md", "--data", str(tmp_path / "data")]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    told = msgspec.json.decode(done.stdout)
    samples = msgspec.convert(told["samples"], list[Sample])
    assert len(samples) >= 5
    assert all(one.resident_bytes > one.own_bytes > 50_000_000 for one in samples)
    assert all(one.descriptors > 5 and one.files >= 3 and one.disk_bytes > 0 for one in samples)
    assert any(one.waiting > 0 for one in samples)
    assert samples[-1].acknowledged > 0
    counts = {one["what"]: (one["expected"], one["found"]) for one in told["checks"]}
    assert all(expected == found for expected, found in counts.values()), counts
    assert min(counts["runs that began"][0], counts["messages pulled"][0]) > 0
    assert {one["flat"] for one in told["verdicts"]} == {None}
    assert told["unfit"]
    assert (tmp_path / "soak.md").read_text().count("\n| ") > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["soak.md"]


def test_a_load_sends_what_it_is_told(tmp_path: Path) -> None:
    from api.measure.engine import Engine, MeasureError

    with Engine(tmp_path / "data") as engine, Load(engine.stream) as load:
        load.start(Order(first=0, contacts=100, count=4_000))
        first = list(load.intervals())
        load.start(Order(first=4_000, contacts=100, rate=5_000, seconds=0.5, every_s=0.1))
        paced = list(load.intervals())
        sent = sum(one.sent for one in (*first, *paced))
        assert [one.last for one in paced] == [False] * (len(paced) - 1) + [True]
        assert sum(one.sent for one in first) == 4_000
        assert 2_000 <= sum(one.sent for one in paced) <= 2_600
        assert sum(one.acknowledged for one in (*first, *paced)) == sent
        assert all(0 < one.p50_ms <= one.p99_ms <= one.worst_ms for one in paced if one.p50_ms)  # type: ignore[operator]
        assert engine.metrics()["tidemill_events_total"] == sent
        assert engine.metrics()["tidemill_duplicates_total"] == 0
        engine.kill()
        load.start(Order(first=0, contacts=100, count=4_000))
        with pytest.raises(MeasureError, match=r"broke|ended"):
            list(load.intervals())


def test_an_interval_in_short() -> None:
    assert "100,000 events/s, 99 of 100 in 9 ms, 1,500 MB, 20 descriptors" in soak.in_short(sample(5.0))


def test_what_was_seen_before_the_engine_was_gone_is_kept(tmp_path: Path) -> None:
    from api.measure.soak import Soak

    def kill(_: str, share: float, seen: Sample | None) -> None:
        if seen is not None and share > 0.2:
            run._engine.kill()

    run = Soak(tmp_path, Plan(0.05, contacts=100, rate=500.0), kill)
    told = run.run()
    assert told.samples
    assert (told.failed, told.checks) == (True, [])
    assert "It broke off" in soak.conclusion(told)[0]
