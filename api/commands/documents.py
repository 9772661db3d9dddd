"""`tidemill check` and `tidemill schema`: flow documents, before any engine sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from api.documents import is_yaml, read_bytes, read_schema
from api.terminal import print_json
from engine.errors import Problem
from engine.flow.jsonschema import flow_schema
from engine.flow.schema import DEFAULT, Schema
from engine.flow.source import load, locate
from engine.flow.validate import check


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
        problems, warnings = _checked(path, known)
        faulty += bool(problems)
        if as_json:
            print_json({"file": str(path), "problems": problems, "warnings": warnings})
            continue
        for problem in problems:
            click.echo(_line(path, problem))
        for problem in warnings:
            click.echo(_line(path, problem, "warning: "))
        if not problems:
            click.echo(f"{path}: ready to launch.")
    if faulty:
        sys.exit(1)


def _checked(path: Path, known: Schema) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings, each in order of lines."""
    loaded = load(read_bytes(path), yaml=is_yaml(path))
    if loaded.problems:
        return list(loaded.problems), []
    checked = check(loaded.raw, known)
    problems, warnings = locate(checked.problems, loaded), locate(checked.warnings, loaded)
    return sorted(problems, key=_line_number), sorted(warnings, key=_line_number)


def _line_number(problem: Problem) -> int:
    return problem.line


def _line(path: Path, problem: Problem, kind: str = "") -> str:
    place = f"{path}:{problem.line}" if problem.line else str(path)
    return f"{place}: {problem.node or 'flow'}: {kind}{problem.detail}"


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of flow documents.

    Editors complete and check flows with it; see the flow language's page for the one line that asks for it.
    """
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(flow_schema()), indent=2).decode() + "\n")
