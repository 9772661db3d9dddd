"""Rounds that take turns: figures to be compared are made in one run, so that what else the machine does, and a disk
that has good and bad minutes, falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def in_turns(rounds: int, works: Mapping[str, Callable[[int], float]]) -> dict[str, float]:
    """Let every work do its round, which says how many seconds it took, `rounds` times. Gives the medians.

    Each turn begins with another work: what falls due now and then, a checkpoint for instance, would otherwise fall on
    the same one every time."""
    took: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            took[name].append(works[name](turn))
    return {name: median(seconds) for name, seconds in took.items()}


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s
