"""`tidemill test` and `tidemill simulate`: scenarios, the tests kept beside flows, in virtual time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from api.refusals import command_sentence
from api.terminal.terminal import print_json
from engine.errors import Refused, TidemillError
from engine.simulation.scenario import Scenario, load, run, test

SCENARIO = click.Path(path_type=Path)


@click.command("test")
@click.argument("scenarios", metavar="SCENARIO…", nargs=-1, required=True, type=SCENARIO)
@click.option("--json", "as_json", is_flag=True, help="One JSON line per scenario.")
def test_command(scenarios: tuple[Path, ...], as_json: bool) -> None:
    """Run scenarios; for each that fails, show expected and happened side by side. Exits 1 if any fails."""
    failed = 0
    for path in scenarios:
        verdict = _verdict(path)
        failed += not verdict["passed"]
        if as_json:
            print_json(verdict)
        else:
            _print_verdict(verdict)
    if not as_json and len(scenarios) > 1:
        click.echo(f"{len(scenarios) - failed} passed, {failed} failed.")
    if failed:
        sys.exit(1)


def read_scenario(path: Path) -> Scenario:
    """Read a scenario from a file. Raises TidemillError; for a flow it names the command that checks one."""
    try:
        return load(path)
    except Refused as error:
        raise TidemillError(error.code, command_sentence(error)) from error


def _verdict(path: Path) -> dict[str, Any]:
    """A scenario that cannot be run has failed; the others are run all the same."""
    try:
        result = test(read_scenario(path))
    except TidemillError as error:
        places = [f"{one.node or 'flow'}: {one.detail}" for one in error.problems]
        text = "\n".join([str(error), *places])
        return {"file": str(path), "name": path.name, "passed": False, "difference": text}
    return {
        "file": str(path),
        "name": result.name,
        "passed": result.passed,
        "difference": result.difference,
    }


def _print_verdict(verdict: dict[str, Any]) -> None:
    word = click.style("pass", fg="green") if verdict["passed"] else click.style("FAIL", fg="red", bold=True)
    click.echo(f"{word}  {verdict['file']}: {verdict['name']}")
    for line in verdict["difference"].splitlines():
        colour = {"-": "red", "+": "green"}.get(line[:1])
        click.echo("      " + click.style(line, fg=colour))


@click.command("simulate")
@click.argument("scenario", type=SCENARIO)
@click.option("--stats", is_flag=True, help="Print the counts per node, a line a flow, instead of the trace.")
def simulate_command(scenario: Path, stats: bool) -> None:
    """Run SCENARIO in virtual time and print its trace as NDJSON, or with --stats its counts per node."""
    loaded = read_scenario(scenario)
    if stats:
        for counts in run(loaded).stats().values():
            print_json(counts)
        return
    encode = msgspec.json.Encoder().encode
    out = sys.stdout.buffer

    def write(record: dict[str, Any]) -> None:
        out.write(encode(record) + b"\n")

    run(loaded, write)
    out.flush()
