"""`tidemill bench`: what this machine and its disk do, in about two minutes."""

from __future__ import annotations

import platform
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from api.terminal import console, print_json, progress, settings_of, table

if TYPE_CHECKING:
    from api.measure.suite import Figure


@click.command("bench")
@click.option("--quick", is_flag=True, help="A fifth of everything: rougher figures in half a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--data", metavar="DIR", help="Measure the disk this is on. Default: the data directory's.")
@click.pass_context
def bench_command(ctx: click.Context, quick: bool, as_json: bool, data: str | None) -> None:
    """Measure an engine on this machine, from outside, on a temporary directory beside the data directory.

    It takes two cores for two minutes and some gigabytes of disk, which are given back. Whatever else the
    machine does meanwhile is in the figures.
    """
    from api.measure.suite import FULL, QUICK

    figures = _measure(_folder_for(settings_of(ctx, data=data).data), QUICK if quick else FULL)
    if as_json:
        print_json({"machine": machine(), "quick": quick, "figures": figures})
    else:
        _print(figures)


def _measure(beside: Path, size: Any) -> list[Figure]:
    from api.measure.suite import Suite

    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="tidemill-bench-", dir=beside) as folder,
        closing(Suite(Path(folder), size)) as suite,
        progress() as bar,
    ):
        steps = suite.steps()
        task = bar.add_task("", total=len(steps))
        for name, work in steps:
            bar.update(task, description=name)
            figures += work()
            bar.advance(task)
        bar.update(task, description="Done")
    return figures


def _folder_for(data: str) -> Path:
    """The nearest folder there is, on the way up from the data directory's parent."""
    folder = Path(data).absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _print(figures: list[Figure]) -> None:
    rows = [(one.what, number(one.value), one.unit, one.target, one.meaning) for one in figures]
    out = console()
    out.print(f"{machine()}\n")
    out.print(table("", ("what", "figure", "", "aim", "meaning"), rows, right={"figure"}))
    out.print(
        "\nThe aims are the project's own, on a quiet machine with two cores. How each figure is made, and more of"
        "\nthem: bench/README.md in the source."
    )


def number(value: float) -> str:
    """As many digits as mean something: `213,000`, `8.8`, `0.42`."""
    if value >= 10_000:
        return f"{round(value, -2):,.0f}"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """`2 × AMD EPYC, Linux x86_64, Python 3.13.1`."""
    names = []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = f"{len(names)} × {names[0]}, " if names else ""
    return f"{processor}{platform.system()} {platform.machine()}, Python {platform.python_version()}"
