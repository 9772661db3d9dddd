"""`tidemill bench`: what this machine and its disk do, in about two minutes."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from api.cli.commands.machine import machine, number
from api.terminal.terminal import console, print_json, progress, settings_of, table

if TYPE_CHECKING:
    from api.measure.suite import Figure


HUNDRED = 100
"""Contacts come in hundreds: then what a number of events must give is counted fast."""


def _hundreds(_: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    if value is not None and value % HUNDRED:
        raise click.BadParameter(f"{value} is no multiple of {HUNDRED}.")
    return value


@click.command("bench")
@click.option("--quick", is_flag=True, help="A fifth of everything: rougher figures in half a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--data", metavar="DIR", help="Measure the disk this is on. Default: the data directory's.")
@click.option(
    "--soak",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Instead: half load for so long, to see whether memory, files, descriptors and delays stay flat. "
    "Exit code 1 if not.",
)
@click.option(
    "--contacts",
    type=click.IntRange(HUNDRED),
    callback=_hundreds,
    help="Of the soak, in hundreds. Default: 100,000.",
)
@click.option(
    "--rate",
    type=click.FloatRange(1),
    metavar="EVENTS",
    help="Of the soak, a second. Default: half of the maximum, which is measured first.",
)
@click.option(
    "--table",
    "markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the soak as Markdown tables, a row for two minutes.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the soak's curves as a PNG (needs matplotlib).",
)
@click.pass_context
def bench_command(
    ctx: click.Context,
    /,
    quick: bool,
    as_json: bool,
    data: str | None,
    soak: float | None,
    **of_soak: Any,
) -> None:
    """Measure an engine on this machine, from outside, on a temporary directory beside the data directory.

    It takes two cores for two minutes (a soak: for as long as you say, and up to as long again to fill its
    histories) and some gigabytes of disk, which are given back. Whatever else the machine does meanwhile is in the
    figures.
    """
    folder = _folder_for(settings_of(ctx, data=data).data)
    if soak is not None:
        if quick:
            raise click.UsageError("--quick is not for a soak: give it less minutes.")
        ctx.exit(_soak(folder, soak, as_json, **of_soak))
    if any(value is not None for value in of_soak.values()):
        raise click.UsageError("--contacts, --rate, --table and --plot belong to --soak MINUTES.")
    from api.measure.suite import FULL, QUICK

    figures = _measure(folder, QUICK if quick else FULL)
    if as_json:
        print_json({"machine": machine(), "quick": quick, "figures": figures})
    else:
        _print(figures)


def _soak(
    folder: Path,
    minutes: float,
    as_json: bool,
    *,
    contacts: int | None,
    rate: float | None,
    markdown: Path | None,
    plot: Path | None,
) -> int:
    from api.cli.commands.soak import soak
    from api.measure.record import CONTACTS, Plan

    plan = Plan(minutes, contacts=contacts or CONTACTS, rate=rate or 0.0)
    return soak(folder, plan, as_json=as_json, markdown=markdown, plot=plot)


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
