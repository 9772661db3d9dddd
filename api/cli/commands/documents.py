"""`tidemill check` and `tidemill schema`: flow documents, before any engine sees them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from api.read_files import is_yaml, read_bytes, read_schema
from api.terminal.terminal import print_json
from engine.errors import Problem
from engine.flow.jsonschema import flow_schema
from engine.flow.schema import DEFAULT, Schema
from engine.flow.source.source import load, locate
from engine.flow.validate import check
from engine.simulation.scenario import is_scenario


@click.command("check")
@click.argument("flows", metavar="FLOW…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--schema", type=click.Path(path_type=Path), help="The data directory's schema.yaml, if there is one."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line per document.")
def check_command(flows: tuple[Path, ...], schema: Path | None, as_json: bool) -> None:
    """Check flow documents (YAML or JSON) and print every problem with its place.

    FILE:LINE: NODE: what is wrong. Exits 1 if any document has a problem; a warning is no problem.
    """
    known = DEFAULT if schema is None else read_schema(schema)
    faulty = 0
    for path in flows:
        checked = check_file(path, known)
        faulty += bool(checked.problems)
        tell(checked, as_json=as_json)
        if not as_json and not checked.problems:
            click.echo(f"{path}: ready to launch.")
    if faulty:
        sys.exit(1)


class Checked(msgspec.Struct, frozen=True):
    """A file with a flow, and what is wrong or probably not meant in it, each in order of lines."""

    path: Path
    document: Any
    problems: list[Problem]
    warnings: list[Problem] = []


def check_file(path: Path, known: Schema) -> Checked:
    """Check the flow in a file. Raises TidemillError where it cannot be read."""
    loaded = load(read_bytes(path), yaml=is_yaml(path))
    if loaded.problems:
        return Checked(path, None, list(loaded.problems))
    if is_scenario(loaded.raw):
        detail = f"This is a scenario, not a flow. Run it with `tidemill test {path}`."
        return Checked(path, loaded.raw, [Problem("", "", "scenario", detail, line=1)])
    checked = check(loaded.raw, known)
    problems, warnings = locate(checked.problems, loaded), locate(checked.warnings, loaded)
    return Checked(path, loaded.raw, sorted(problems, key=_line_number), sorted(warnings, key=_line_number))


def tell(checked: Checked, *, as_json: bool) -> None:
    """Print what is wrong: FILE:LINE: NODE: what it is, or all of it as one line of JSON."""
    if as_json:
        found = {"file": str(checked.path), "problems": checked.problems, "warnings": checked.warnings}
        print_json(found)
        return
    for problem in checked.problems:
        click.echo(_line(checked.path, problem))
    for problem in checked.warnings:
        click.echo(_line(checked.path, problem, "warning: "))


def _line(path: Path, problem: Problem, kind: str = "") -> str:
    place = f"{path}:{problem.line}" if problem.line else str(path)
    node = "" if problem.code == "scenario" else f"{problem.node or 'flow'}: "
    return f"{place}: {node}{kind}{problem.detail}"


def _line_number(problem: Problem) -> int:
    return problem.line


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of flow documents.

    Editors complete and check flows with it; see the flow language's page for the one line that asks for it.
    """
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(flow_schema()), indent=2).decode() + "\n")
