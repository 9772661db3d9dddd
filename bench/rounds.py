"""Rounds in turns: figures to be compared are measured in one run.

So other load on the machine, and the good and bad minutes of a disk, affect all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def in_turns(rounds: int, works: Mapping[str, Callable[[int], float]]) -> dict[str, float]:
    """Run every work `rounds` times, in turns. Return the median of the seconds that each work returned.

    Each turn begins with another work: an occasional event, such as a checkpoint, would otherwise always meet the same
    one.
    """
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
