"""The command that runs every installed program on one input and prints one table, with a plot on request.

    python -m bench.peers                                  # programs of this environment: pip install '.[bench,peers]'
    python -m bench.peers --python flink/bin/python        # and of another one (PyFlink's pins fit few others)
    python -m bench.peers --plot peers.png --json peers.json

Fast programs take turns, round by round, and get medians; slow ones have one round. The row of a program that is
missing, or fails, says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

import msgspec

from api.cli.commands.machine import machine, number
from api.measure import floor
from api.terminal.terminal import console, table
from bench.peers.work import (
    HERE,
    NEEDS,
    Handmade,
    Input,
    PeerError,
    Rates,
    Tidemill,
    durable_workflows,
    interpreter,
    stream_processor,
)

NAMES = {
    "tidemill": "tidemill",
    "handmade": "FastAPI + SQLite + heapq, by hand",
    "stream_processor": "PyFlink",
    "durable_workflows": "DBOS on SQLite",
    "least": "the least: parse, append to LMDB",
}
HOW = {
    "tidemill": "one NDJSON stream; POST /v1/track",
    "handmade": f"NDJSON bodies of {8_192:,} lines on two connections; POST /v1/track",
    "stream_processor": "a file; the start of the cluster not counted",
    "durable_workflows": "in its own process; a workflow for each run",
    "least": "no contacts, no flow: what nothing can be faster than",
}
Round = Callable[[int], Rates]


class PeerRow(msgspec.Struct):
    """A program's line of the table; without rates, `note` says why."""

    program: str
    name: str
    how: str
    rates: Rates | None = None
    note: str = ""


def measure(given: Input, rounds: int, pythons: list[str], folder: Path) -> list[PeerRow]:
    """Measure all programs, in the order of the table."""
    lines = {name: PeerRow(name, NAMES[name], HOW[name]) for name in NAMES}
    found = {name: interpreter(name, pythons) for name in NEEDS}
    for name, python in found.items():
        if python is None:
            lines[name].note = f"not installed: {', '.join(NEEDS[name])}"
    with ExitStack() as stack:
        fast: dict[str, Round] = {
            "tidemill": stack.enter_context(closing(Tidemill(folder / "tidemill", given))).round,
            "least": lambda turn: _least(given, turn, folder),
        }
        if (python := found["handmade"]) is not None:
            peer = stack.enter_context(closing(Handmade(folder / "handmade.sqlite", given, python)))
            fast["handmade"] = peer.round
        all_rates: dict[str, list[Rates]] = {name: [] for name in fast}
        for turn in range(rounds):
            for name, work in fast.items():
                all_rates[name].append(work(turn))
    for name, rates in all_rates.items():
        lines[name].rates = _median(rates)
    slow = {"durable_workflows": durable_workflows, "stream_processor": stream_processor}
    for name, run in slow.items():
        if (python := found[name]) is not None:
            own = folder / name
            own.mkdir()
            try:
                lines[name].rates = run(own, given, python)
            except PeerError as error:
                lines[name].note = str(error)
    return list(lines.values())


def _least(given: Input, turn: int, folder: Path) -> Rates:
    return Rates(given.events / floor.append(given.lines(turn), folder / f"least-{turn}"), 0.0)


def _median(rates: list[Rates]) -> Rates:
    requests = [one.requests for one in rates if one.requests is not None]
    return Rates(
        events=median(one.events for one in rates),
        runs=median(one.runs for one in rates),
        requests=median(requests) if requests else None,
    )


def show(lines: list[PeerRow]) -> None:
    """Print one table; ratios are tidemill's figures over those of the row."""
    mine = next(line.rates for line in lines if line.program == "tidemill")
    assert mine is not None
    rows = []
    for line in lines:
        rates = line.rates
        if rates is None:
            rows.append((line.name, "", "", "", "", line.note))
            continue
        runs = number(rates.runs) if rates.runs else ""
        requests = number(rates.requests) if rates.requests is not None else ""
        times = f"{mine.events / rates.events:.2f}"
        rows.append((line.name, number(rates.events), times, runs, requests, line.how))
    columns = ("program", "events/s", "tidemill ÷ it", "runs started/s", "single requests/s", "how")
    console().print(
        table(f"The reference flow, durably ({machine()})", columns, rows, right=set(columns[1:5]))
    )


def plot(lines: list[PeerRow], path: Path, pythons: list[str]) -> None:
    """Draw a PNG with an interpreter that has matplotlib."""
    shown = msgspec.json.encode({"machine": machine(), "lines": lines})
    for python in pythons:
        command = [python, str(HERE / "plot.py"), str(path)]
        if not subprocess.run(command, input=shown, capture_output=True, check=False).returncode:
            return
    sys.exit("No plot: matplotlib is not installed (pip install '.[bench]').")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--python", action="append", default=[], help="another interpreter to look for programs in"
    )
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=200_000, help="of a round")
    parser.add_argument("--requests", type=int, default=20_000, help="single requests of a round")
    parser.add_argument("--seconds", type=float, default=20.0, help="for a program that is slow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to be measured")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    given = Input(options.contacts, options.events, options.requests, options.seconds)
    pythons = [sys.executable, *options.python]
    with tempfile.TemporaryDirectory(prefix="peers-", dir=options.folder) as folder:
        lines = measure(given, options.rounds, pythons, Path(folder).absolute())
    show(lines)
    if options.json:
        options.json.write_bytes(msgspec.json.encode({"machine": machine(), "lines": lines}))
    if options.plot:
        plot(lines, options.plot, pythons)


if __name__ == "__main__":
    main()
