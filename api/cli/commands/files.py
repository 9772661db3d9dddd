"""`tidemill flows export` and `apply`: flows that live in files, under version control."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from api.cli.apply_plan import Change, Plan, compare, launch, save
from api.cli.commands.asking import engine_options
from api.cli.flow_files import Folder, read_folder, write_flows
from api.client.http import Client, EngineError
from api.terminal.terminal import print_json
from engine.errors import TidemillError
from engine.flow.schema import Schema, parse_schema

COLOURS = {"+": "green", "-": "red", "@": "cyan"}
DIRECTORY = click.Path(path_type=Path)


@click.command("export")
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@click.argument("flows", metavar="[FLOW…]", nargs=-1)
@click.option("--drafts", is_flag=True, help="Where there is a draft, write that instead of what runs.")
@engine_options
def export(client: Client, directory: Path, flows: tuple[str, ...], drafts: bool, as_json: bool) -> None:
    """Write flows to files below DIR: those named, or all.

    What runs is written, or the draft of a flow that was never launched. A flow goes to the file that holds it
    already, or to DIR/ID.yaml; a file that says the same is left as it is.
    """
    ids = flows or [row["id"] for row in client.rows("flows")]
    written = write_flows(directory, {flow: _document(client, flow, drafts=drafts) for flow in ids})
    if as_json:
        print_json([{"flow": flow, "file": str(path), "written": new} for flow, path, new in written])
        return
    for flow, path, new in written:
        click.echo(f"{flow}: {'written to' if new else 'unchanged in'} {path}")


def _document(client: Client, flow: str, *, drafts: bool) -> dict[str, Any]:
    found = client.get("flows", flow)
    if found["active"] is None or (drafts and found["draft"]):
        found = client.get("flows", flow, "draft")
        return dict(found["document"])
    return dict(found["active"])


@click.command("apply")
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@click.option("--launch/--draft-only", "launches", default=True, help="Launch what differs, or save drafts.")
@click.option("--replace", is_flag=True, help="Replace drafts that somebody has begun meanwhile.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@engine_options
def apply(
    client: Client,
    directory: Path,
    launches: bool,
    replace: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the engine's flows what the files below DIR say.

    Checks all of them first, shows what differs and what launching does to the runs that wait, asks, saves every
    changed flow as a draft and launches it. Flows that are only in the engine are listed and left alone. Exits 1,
    with nothing changed, if a file has a problem or somebody's draft would be lost.
    """
    if as_json and not (yes or dry_run):
        raise click.UsageError("With --json nobody is asked: say --yes, or --dry-run.")
    folder = read_folder(directory, _schema(client))
    if folder.problems or not folder.flows:
        _refuse(folder, directory, as_json)
    plan = compare(client, folder.flows, draft_only=not launches)
    lost = [change for change in plan.open if change.lost and not replace]
    if not as_json:
        _show(folder, plan, launches=launches)
    applied = bool(plan.open) and not lost and not dry_run and (yes or _agreed(plan, launches))
    try:
        if applied:
            _apply(client, folder, plan, launches=launches, told=not as_json)
    finally:
        if as_json:
            print_json(_account(folder, plan, applied=applied))
    if lost:
        raise _would_be_lost(lost)
    if not applied and not as_json:
        click.echo("Dry run: nothing was changed." if plan.open else "Nothing to do.")


def _schema(client: Client) -> Schema:
    """The engine's own, so that the files are checked as the engine will check them."""
    schema, problems = parse_schema(client.get("schema"))
    assert schema is not None, problems
    return schema


def _refuse(folder: Folder, directory: Path, as_json: bool) -> NoReturn:
    """Say what is wrong with the files, or that there are none, and end."""
    if as_json:
        print_json(_account(folder, Plan([], []), applied=False))
    else:
        for one in folder.problems:
            click.echo(str(one))
    if not folder.problems:
        remedy = "Flows are .yaml, .yml and .json files, tests (.test.yaml) apart."
        raise TidemillError("no_flows", f"There is no flow below {directory}.", remedy=remedy)
    files = len({one.file for one in folder.problems})
    detail = f"Nothing was changed: there are problems in {_count(files, 'file')} below {directory}."
    raise TidemillError("flows_have_problems", detail)


def _would_be_lost(lost: list[Change]) -> TidemillError:
    drafts = ", ".join(f"{change.flow} (saved {change.lost})" for change in lost)
    detail = (
        f"Nothing was changed: somebody is editing {drafts}, a draft that is neither what runs nor the file."
    )
    return TidemillError("draft_lost", detail, remedy="Launch or delete it, or say --replace.")


def _show(folder: Folder, plan: Plan, *, launches: bool) -> None:
    for one in folder.warnings:
        click.echo(
            f"{one.file}:{one.problem.line}: {one.problem.node or 'flow'}: warning: {one.problem.detail}"
        )
    for change in plan.open:
        state = "never launched" if change.state == "unlaunched" else change.state
        about = [f"{click.style(change.flow, bold=True)}: {state} ({change.file})."]
        if change.impact is not None and launches:
            about.append(_moved(change.impact))
        if change.lost:
            about.append(f"It has a draft, saved {change.lost}, that gives way.")
        click.echo(" ".join(filter(None, [*about, *change.notes])))
        for line in change.diff.splitlines():
            click.echo(click.style(line, fg=COLOURS.get(line[:1])))
    same = [change.flow for change in plan.changes if change.state == "unchanged"]
    if same:
        click.echo(f"Unchanged: {', '.join(same)}.")
    if plan.only_in_engine:
        click.echo(f"Only in the engine, left alone: {', '.join(plan.only_in_engine)}.")


def _moved(impact: dict[str, Any]) -> str:
    """`Waiting runs: 2 stay, 1 removed (1 at pause).`, or nothing where nobody waits."""
    stay, removed = impact["stay"]["total"], impact["removed"]["total"]
    if not stay + removed:
        return ""
    places = ", ".join(f"{count} at {node}" for node, count in impact["removed"]["nodes"].items() if count)
    return f"Waiting runs: {stay} stay, {removed} removed{places and f' ({places})'}."


def _agreed(plan: Plan, launches: bool) -> bool:
    """Ask. Raises TidemillError where the answer is no, or there is nobody to answer."""
    flows = _count(len(plan.open), "flow")
    try:
        agreed = click.confirm(f"{'Launch' if launches else 'Save'} {flows}?", err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        remedy = "--yes does it without asking, --dry-run only looks."
        raise TidemillError("not_agreed", "Nothing was changed.", remedy=remedy)
    return True


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _apply(client: Client, folder: Folder, plan: Plan, *, launches: bool, told: bool) -> None:
    """Save all, then launch all. Raises EngineError that says at which flow, and what was done."""
    files = {file.flow: file for file in folder.flows}
    revisions: dict[str, int] = {}
    for change in plan.open:
        with _at(change, "Nothing was launched; drafts before it are saved."):
            revisions[change.flow] = save(client, files[change.flow], change)
        if told and not launches:
            click.echo(f"{change.flow} is saved as a draft.")
    for change in plan.open if launches else ():
        with _at(change, "Flows before it are launched; apply again to go on."):
            answer = launch(client, change, revisions[change.flow])
        if told:
            about = f"{change.flow} is {answer['status']}, version {answer['version']}."
            click.echo(" ".join(filter(None, (about, _moved(answer)))))


@contextmanager
def _at(change: Change, done: str) -> Iterator[None]:
    """An error of the engine, told with its flow and what was done until then."""
    try:
        yield
    except EngineError as error:
        raise EngineError(error.code, f"{change.flow}: {error}", remedy=done) from error


def _account(folder: Folder, plan: Plan, *, applied: bool) -> dict[str, Any]:
    """All of it, for programs. `applied` and no `result`: it did not come to that."""
    return {
        "problems": [one.row() for one in folder.problems],
        "warnings": [one.row() for one in folder.warnings],
        "flows": [change.row() for change in plan.changes],
        "only_in_engine": plan.only_in_engine,
        "applied": applied,
    }
