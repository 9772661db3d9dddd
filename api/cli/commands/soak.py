"""`tidemill bench --soak`: runs it, shows how it goes, and says what is flat and what is not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from api.cli.commands.machine import machine, number
from api.terminal.terminal import console, print_json, progress, table
from engine.errors import TidemillError

if TYPE_CHECKING:
    from api.measure.flatness import Verdict
    from api.measure.record import Plan, Report, Sample

ROW_S, ROWS_MIN = 120.0, 10
"""A row of the table for so many seconds; in short soaks for less, to get so many rows."""
COLUMNS: tuple[tuple[str, str, float, Callable[[Iterable[float]], float]], ...] = (
    ("events/s", "acknowledged", 1, median),
    ("ack p50, ms", "p50_ms", 1, median),
    ("p99", "p99_ms", 1, median),
    ("worst", "worst_ms", 1, max),
    ("step late p99, ms", "late_p99_ms", 1, median),
    ("request p99, ms", "request_p99_ms", 1, median),
    ("CPU of an event, µs", "cpu_us", 1, median),
    ("cores: engine", "engine_busy", 1, median),
    ("sender", "sender_busy", 1, median),
    ("all else", "others_busy", 1, median),
    ("resident, MB", "resident_bytes", 1e-6, median),
    ("own, MB", "own_bytes", 1e-6, median),
    ("disk, MB", "disk_bytes", 1e-6, median),
    ("files", "files", 1, median),
    ("descriptors", "descriptors", 1, median),
    ("waiting", "waiting", 1, median),
    ("checkpoints", "checkpoints", 1, max),
)
"""Heading, field of a sample, factor, and what is made of the samples of a row."""


def soak(beside: Path, plan: Plan, *, as_json: bool, markdown: Path | None, plot: Path | None) -> int:
    """Run it in a temporary folder in `beside`, print and write what is wanted. Gives the exit code."""
    if plot is not None and find_spec("matplotlib") is None:
        detail = "A plot needs matplotlib, which is not installed."
        raise TidemillError("no_matplotlib", detail, remedy="Install it with `pip install matplotlib`.")
    report = run(beside, plan)
    if markdown is not None:
        markdown.write_text(in_markdown(report), encoding="utf-8")
    if plot is not None:
        from api.measure.curve import draw

        draw(report, plot, machine())
    if as_json:
        print_json({"machine": machine(), "failed": report.failed, **msgspec.to_builtins(report)})
    else:
        _print(report)
    return int(report.failed)


def run(beside: Path, plan: Plan) -> Report:
    """With a progress bar that says how it goes."""
    from api.measure.soak import Soak

    with tempfile.TemporaryDirectory(prefix="tidemill-soak-", dir=beside) as folder, progress() as bar:
        task = bar.add_task("Contacts", total=1.0)

        def show(what: str, share: float, sample: Sample | None) -> None:
            bar.update(task, completed=share, description=what if sample is None else in_short(sample))

        return Soak(Path(folder), plan, show).run()


def in_short(sample: Sample) -> str:
    """What is worth seeing while it runs."""
    p99 = "…" if sample.p99_ms is None else f"{number(sample.p99_ms)} ms"
    return (
        f"{number(sample.acknowledged)} events/s, 99 of 100 in {p99}, {number(sample.resident_bytes / 1e6)} MB, "
        f"{sample.descriptors} descriptors, {number(sample.disk_bytes / 1e6)} MB on the disk"
    )


def heading(report: Report) -> str:
    """What was done, in a sentence."""
    plan = report.plan
    half = "" if report.maximum is None else f", half of a maximum of {number(report.maximum)}"
    return (
        f"{number(plan.minutes)} minutes at {number(report.rate)} events a second{half}; "
        f"{plan.contacts:,} contacts; a sample every {number(plan.sample_s)} s, "
        f"judged from {number(report.warm_s)} s on"
    )


def conclusion(report: Report) -> list[str]:
    """Sentences: what it came to."""
    wrong = [one for one in report.checks if one.expected != one.found]
    rising = [one for one in report.verdicts if one.flat is False]
    said = []
    if report.broken:
        after_s = report.samples[-1].at_s if report.samples else 0.0
        said.append(f"It broke off some time after {number(after_s)} s: {report.broken}")
    if report.unfit:
        said.append(f"Too short to judge: {' '.join(report.unfit)}")
    elif not rising:
        said.append("Everything is flat.")
    if rising:
        said.append(f"Not flat: {', '.join(one.what.removeprefix('— ') for one in rising)}.")
    said += [f"Wrong: {one.what}: {one.found:,}, not {one.expected:,}." for one in wrong]
    if not (wrong or report.broken):
        said.append("Nothing was lost and nothing doubled: every count is what the events sent must give.")
    return said


def _print(report: Report) -> None:
    out = console()
    out.print(f"{machine()}\n{heading(report)}\n")
    columns = ("", "first fifth", "last fifth", "drift", "may rise by", "", "")
    rows = [_verdict_cells(one) for one in report.verdicts]
    out.print(table("", columns, rows, right=set(columns[1:5])))
    out.print()
    checks = [(one.what, f"{one.expected:,}", f"{one.found:,}") for one in report.checks]
    out.print(table("", ("count", "must be", "is"), checks, right={"must be", "is"}))
    out.print("\n" + "\n".join(conclusion(report)))
    out.print("How it is made and what counts as flat: bench/README.md in the source.")


def _verdict_cells(one: Verdict) -> tuple[str, ...]:
    figures = (number(one.first), number(one.last), _signed(one.drift), number(one.allowed))
    return (one.what, *figures, one.unit, one.words)


def _signed(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + number(abs(value))


def in_markdown(report: Report) -> str:
    """The curve as a table, a row for every two minutes, then the verdicts, the counts and what it came to."""
    row_s = min(ROW_S, report.plan.seconds / ROWS_MIN)
    headings = ["minutes", *(title for title, *_ in COLUMNS)]
    lines = [f"{machine()}. {heading(report)}.", "", *_head(headings)]
    rows: dict[int, list[Sample]] = {}
    for sample in report.samples:  # the very last may end a little after its time
        place = min(int(sample.at_s / row_s), round(report.plan.seconds / row_s) - 1)
        rows.setdefault(place, []).append(sample)
    for place, samples in sorted(rows.items()):
        cells = [number((place + 1) * row_s / 60)]
        for _, field, factor, middle in COLUMNS:
            values = [value * factor for one in samples if (value := getattr(one, field)) is not None]
            cells.append(number(middle(values)) if values else "")
        lines.append(_line(cells))
    lines += ["", *_head(["", "first fifth", "last fifth", "drift", "may rise by", "unit", "verdict"])]
    lines += [_line(_verdict_cells(one)) for one in report.verdicts]
    lines += ["", *_head(["count", "must be", "is"])]
    lines += [_line([one.what, f"{one.expected:,}", f"{one.found:,}"]) for one in report.checks]
    return "\n".join([*lines, "", *conclusion(report), ""])


def _head(cells: list[str]) -> list[str]:
    return [_line(cells), "|" + "---|" * len(cells)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
