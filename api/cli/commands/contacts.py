"""`tidemill contacts`: one contact of a running engine, and why it is, or is not, in a flow."""

from __future__ import annotations

from typing import Any

import click

from api.cli.commands.asking import engine_options
from api.client.http import Client
from api.terminal.terminal import console, print_json, table


@click.group("contacts")
def contacts_command() -> None:
    """Look at the contacts of a running engine."""


@contacts_command.command("show")
@click.argument("contact")
@engine_options
def show(client: Client, contact: str, as_json: bool) -> None:
    """What the engine knows of CONTACT: traits, segments, events, and its runs."""
    found = client.get("contacts", contact)
    runs = client.get("contacts", contact, "runs")
    runs = runs.get("runs", runs) if isinstance(runs, dict) else runs
    if as_json:
        print_json({**found, "runs": runs})
        return
    out = console()
    rows: list[tuple[str, object]] = [("contact", found["id"])]
    rows += [(f"trait {name}", value) for name, value in sorted(found.get("traits", {}).items())]
    rows += [("segments", ", ".join(found.get("segments", [])) or "none"), ("points", found.get("points", 0))]
    rows += [
        (f"event {name}", f"{seen['count']}, last {seen['last']}")
        for name, seen in sorted(found.get("events", {}).items())
    ]
    out.print(table("", ("", ""), rows, right=set()))
    out.print()
    out.print(runs_table("Runs, newest first", runs))


@contacts_command.command("why")
@click.argument("contact")
@click.argument("flow")
@engine_options
def why(client: Client, contact: str, flow: str, as_json: bool) -> None:
    """Why CONTACT is, or is not, in FLOW, and when it may enter."""
    answer = client.get("contacts", contact, "why", flow=flow)
    if as_json:
        print_json(answer)
        return
    out = console()
    out.print(answer["detail"], markup=False)
    if answer.get("runs"):
        out.print()
        out.print(runs_table("", answer["runs"]))


def runs_table(title: str, runs: list[dict[str, Any]]) -> Any:
    """Runs as the API gives them: where each waits and until when, or how it ended."""
    rows = [
        (
            run["run"],
            run.get("flow", ""),
            run.get("version", ""),
            run.get("node", ""),
            run.get("state", "waiting"),
            run.get("until") or run.get("left_at") or "",
            run.get("reason", ""),
        )
        for run in runs
    ]
    columns = ("run", "flow", "version", "node", "state", "until / left", "reason")
    return table(title, columns, rows, right={"run", "version"})
