"""Fixtures of the benchmarks, which measure figures, and the table of figures at the end of a run.

A figure is the median time of a round, divided by the number of things that a round does. The work of a round is a
plain Python loop, so a call of a compiled part includes the call from Python; each file also measures that call
alone, and the reader may subtract it.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.build_check import refusal

UNITS = {"ns": 1e9, "µs": 1e6, "ms": 1e3}

FIGURES = pytest.StashKey[list[tuple[str, float, str]]]()

Measure = Callable[..., float]
Record = Callable[[str, float, str], None]
Resident = Callable[[str], float]


def pytest_configure(config: pytest.Config) -> None:
    """Stop before compiled parts that are out of date are measured; prepare the table."""
    if reason := refusal():
        pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)
    config.stash[FIGURES] = []


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Return `record(what, figure, unit)`, which adds a line to the table."""
    figures = request.config.stash[FIGURES]
    return lambda what, figure, unit: figures.append((what, figure, unit))


@pytest.fixture
def measure(benchmark: Any, record: Record) -> Measure:
    """Return `measure(what, work, each=n, …)`, which times `work(*setup())` in rounds.

    It records and returns the figure per thing.
    """

    def measured(
        what: str,
        work: Callable[..., object],
        *,
        each: int,
        setup: Callable[[], tuple[Any, ...]] | None = None,
        rounds: int = 15,
        warmup: int = 2,
        unit: str = "ns",
    ) -> float:
        prepared: Callable[[], Any] | None = (lambda: (setup(), {})) if setup else None
        benchmark.pedantic(work, setup=prepared, rounds=rounds, warmup_rounds=warmup)
        figure = float(benchmark.stats.stats.median) / each * UNITS[unit]
        benchmark.extra_info[what] = f"{figure:.1f} {unit}"
        record(what, figure, f"{unit} each")
        return figure

    return measured


@pytest.fixture
def resident(benchmark: Any) -> Resident:
    """Return `resident(program)`: the bytes by which a fresh Python grows while `program` runs (Linux)."""

    def grown(program: str) -> float:
        lines = [
            "import os",
            "def held():",
            "    with open('/proc/self/statm') as file:",
            "        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')",
            "before = held()",
            program,
            "print(held() - before)",
        ]
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            check=True,
            capture_output=True,
            text=True,
            timeout=1_800,
        )
        return float(done.stdout)

    return lambda program: float(benchmark.pedantic(grown, args=(program,), rounds=1))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    figures = config.stash[FIGURES]
    if not figures:
        return
    terminalreporter.section("figures")
    terminalreporter.write_line(f"Python {platform.python_version()}, {platform.machine()}, {_processor()}")
    width = max(len(what) for what, _, _ in figures)
    for what, figure, unit in figures:
        terminalreporter.write_line(f"{what:<{width}}  {figure:>12,.1f} {unit}")


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else "processor not known"
