"""Two hundred lives of the engine in a simulated world; twenty thousand in the nightly form.

A life that fails prints its story and the command that repeats it: `python -m tests.sim SEED`.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.sim.plan import FAULTS, KEYS, plan
from tests.sim.world import live

GROUPS, SEEDS_PER_GROUP = 10, 20
NIGHTLY_GROUPS, NIGHTLY_SEEDS_PER_GROUP = 100, 200
NIGHTLY_FIRST = 1_000


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_promise_is_kept(group: int) -> None:
    met: Counter[str] = Counter()
    for seed in range(group * SEEDS_PER_GROUP, (group + 1) * SEEDS_PER_GROUP):
        story = live(seed)
        met.update(story.ends)
        met["asked"] += story.compared
    assert min(met["lines"] / 200, met["effects"] / 20, met["records"] / 500) > 1, "lives are worth living"
    assert min(met["requests"], met["operations"], met["kept out"]) > 20, f"every way in is met: {met}"
    assert met["asked"] > SEEDS_PER_GROUP // 2, "the slow twin is asked about most of them"


@pytest.mark.nightly
@pytest.mark.parametrize("group", range(NIGHTLY_GROUPS))
def test_every_promise_is_kept_twenty_thousand_times(group: int, request: pytest.FixtureRequest) -> None:
    if "nightly" not in request.config.getoption("-m"):
        pytest.skip("the long form: -m nightly")
    first = NIGHTLY_FIRST + group * NIGHTLY_SEEDS_PER_GROUP
    for seed in range(first, first + NIGHTLY_SEEDS_PER_GROUP):
        live(seed)


FOUND = {
    209: "two scheduled launches missed by one outage: the second was entered in a later batch, with its later time",
    1754: "lines too long to be taken were counted as in flight",
    4885: "what could be read after a failed sync was counted as durable before the next start had synced it",
    2252: "flows that launch each other sent 29,000 messages: it could not come to rest in its time",
}
"""Lives that failed in the long form, and why."""


@pytest.mark.parametrize("seed", FOUND)
def test_failures_of_the_long_form_stay_fixed(seed: int) -> None:
    live(seed)


def story_of(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim", str(seed)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
    )
    return done.stdout


@pytest.mark.parametrize("seed", [3, 11])
def test_a_life_is_the_same_in_every_process(seed: int) -> None:
    assert story_of(seed, "1") == story_of(seed, "2")


def test_a_story_has_the_events_of_a_life() -> None:
    story = "\n".join(live(1).lines)
    assert story.startswith("seed 1: ")
    assert "engine       recovers: checkpoint at 0" in story
    assert "director     the disk is full" in story


def test_a_full_engine_says_over_http_when_to_retry() -> None:
    assert sum(live(seed).ends["asked to retry"] for seed in (9, 14, 30)) > 10


def test_seeds_meet_every_fault_and_differ() -> None:
    plans = [plan(seed) for seed in range(100)]
    assert {fault for one in plans for fault in one.faults} == set(FAULTS)
    assert {one.keys for one in plans} == set(KEYS)
    assert {(one.http_clients > 0, one.managed) for one in plans} == {(a, b) for a in (0, 1) for b in (0, 1)}
    assert plan(7) == plans[7] != plans[8]
