"""`tidemill flows`: the flows of a running engine, from creation to figures per node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from api.cli.commands.asking import engine_options
from api.cli.commands.files import apply, export
from api.cli.commands.reports import report, restore
from api.client.http import Client, EngineError
from api.read_files import read_document
from api.terminal.flow_tables import flow_table
from api.terminal.terminal import console, print_json, table


@click.group("flows")
def flows_command() -> None:
    """Manage the flows of a running engine."""


for _command in (report, restore, export, apply):
    flows_command.add_command(_command)


@flows_command.command("list")
@click.option("--folder", help="Only flows of this folder.")
@click.option("--brand", help="Only flows of this brand.")
@click.option("--tag", help="Only flows that carry this tag.")
@click.option("--status", help="Only flows of this status.")
@click.option("-q", "--search", "q", metavar="TEXT", help="Only flows with TEXT in id, name or a tag.")
@engine_options
def list_flows(client: Client, as_json: bool, **wanted: str | None) -> None:
    """All flows: status, version, how many contacts wait and how many entered."""
    flows = client.rows("flows", **wanted)
    if as_json:
        print_json(flows)
        return
    if not flows and any(wanted.values()):
        click.echo("No such flows.")
        return
    if not flows:
        click.echo("No flows. Create one with: tidemill flows create FILE --launch")
        return
    columns = ("flow", "name", "folder", "status", "version", "waiting", "entered", "launched")
    rows = [
        (
            flow["id"],
            flow["name"],
            flow["folder"],
            _status(flow),
            flow.get("version") or "",
            flow.get("waiting", 0),
            flow.get("entered", 0),
            flow.get("launched_at") or "",
        )
        for flow in flows
    ]
    console().print(table("", columns, rows, right={"version", "waiting", "entered"}))


@flows_command.command("show")
@click.argument("flow")
@engine_options
def show(client: Client, flow: str, as_json: bool) -> None:
    """FLOW's status, versions and what is wrong with its draft."""
    found = client.get("flows", flow)
    if as_json:
        print_json(found)
        return
    _print_flow(found)


@flows_command.command("create")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--launch", is_flag=True, help="Launch it at once.")
@engine_options
def create(client: Client, file: Path, launch: bool, as_json: bool) -> None:
    """Create a flow from FILE (YAML or JSON) as a draft."""
    draft = client.post("flows", body=read_document(file))
    if draft.get("problems"):
        for problem in draft["problems"]:
            click.echo(f"{problem.get('node') or 'flow'}: {problem['detail']}", err=True)
        detail = f"{draft['flow']} is saved as a draft with {len(draft['problems'])} problems."
        raise EngineError("draft_has_problems", detail, remedy=f"Mend them with `tidemill check {file}`.")
    answer = _launch(client, draft["flow"]) if launch else draft
    if as_json:
        print_json(answer)
    elif launch:
        click.echo(f"{draft['flow']} is {answer['status']}, version {answer['version']}.")
    else:
        click.echo(
            f"{draft['flow']} is {draft['status']}. Launch it with: tidemill flows launch {draft['flow']}"
        )


@flows_command.command("launch")
@click.argument("flow")
@engine_options
def launch(client: Client, flow: str, as_json: bool) -> None:
    """Launch FLOW's draft; says how many waiting runs stay and how many are removed."""
    answer = _launch(client, flow)
    if as_json:
        print_json(answer)
        return
    stay, removed = answer.get("stay", {}).get("total", 0), answer.get("removed", {}).get("total", 0)
    moved = f" {stay} waiting runs stay, {removed} are removed." if stay or removed else ""
    click.echo(f"{flow} is {answer['status']}, version {answer['version']}.{moved}")


def _launch(client: Client, flow: str) -> Any:
    try:
        return client.post("flows", flow, "launch")
    except EngineError as error:
        for problem in error.problems:
            click.echo(f"{problem.node or 'flow'}: {problem.detail}", err=True)
        raise


@flows_command.command("pause")
@click.argument("flow")
@engine_options
def pause(client: Client, flow: str, as_json: bool) -> None:
    """Pause FLOW: nobody enters, and waits that end meanwhile end the run there."""
    _act(client, flow, "pause", as_json)


@flows_command.command("resume")
@click.argument("flow")
@engine_options
def resume(client: Client, flow: str, as_json: bool) -> None:
    """Resume a paused FLOW."""
    _act(client, flow, "resume", as_json)


def _act(client: Client, flow: str, action: str, as_json: bool) -> None:
    found = client.post("flows", flow, action)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{flow} is {_status(found)}.")


@flows_command.command("duplicate")
@click.argument("flow")
@click.option("--id", "new_id", help="Id of the copy.")
@click.option("--name", help="Name of the copy.")
@engine_options
def duplicate(client: Client, flow: str, new_id: str | None, name: str | None, as_json: bool) -> None:
    """Make a copy of FLOW as a new draft; its frequency, limits and draws start afresh."""
    body = {key: value for key, value in (("id", new_id), ("name", name)) if value}
    made = client.post("flows", flow, "duplicate", body=body)
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made.get('flow') or made.get('id')} is {made['status']}.")


@flows_command.command("versions")
@click.argument("flow")
@engine_options
def versions(client: Client, flow: str, as_json: bool) -> None:
    """FLOW's versions: when each was launched and stopped."""
    answer = client.get("flows", flow, "versions")
    listed = answer["versions"] if isinstance(answer, dict) else answer
    if as_json:
        print_json(listed)
        return
    rows = [(v["version"], v.get("launched_at") or "", v.get("stopped_at") or "") for v in listed]
    console().print(table("", ("version", "launched", "stopped"), rows, right={"version"}))


@flows_command.command("stats")
@click.argument("flow")
@engine_options
def stats(client: Client, flow: str, as_json: bool) -> None:
    """What happened at each node of FLOW: arrived, waiting, and every outcome."""
    answer = client.get("flows", flow, "stats")
    if as_json:
        print_json(answer)
        return
    document = client.get("flows", flow).get("active") or {}
    console().print(flow_table(answer, document))


def _status(flow: dict[str, Any]) -> str:
    return f"{flow['status']} ({flow['reason']})" if flow.get("reason") else str(flow["status"])


def _print_flow(found: dict[str, Any]) -> None:
    rows = [(key, found.get(key)) for key in ("id", "name", "folder", "brand", "timezone")]
    rows += [("status", _status(found)), ("version", found.get("version"))]
    rows += [(key, found.get(key)) for key in ("launched_at", "waiting", "entered")]
    rows += [("draft", "yes" if found.get("draft") else "no")]
    console().print(table("", ("", ""), [row for row in rows if row[1] not in (None, "")], right=set()))
    for problem in found.get("problems") or []:
        sys.stdout.write(f"draft: {problem.get('node') or 'flow'}: {problem['detail']}\n")
