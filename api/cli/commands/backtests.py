"""`tidemill backtest`: what a flow would have done with what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.cli.commands.documents import check_file, tell
from api.read_files import read_document, read_schema
from api.terminal.flow_tables import flow_table
from api.terminal.terminal import console, print_json, progress, thousands
from engine.errors import TidemillError
from engine.flow.schema import DEFAULT
from engine.simulation import recorded_events
from engine.simulation.backtest import backtest
from engine.simulation.simulator import Simulator
from ext.wire import instant

FILE = click.Path(path_type=Path)


def as_instant(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """An option that is an instant of RFC 3339, as milliseconds UTC."""
    try:
        return None if value is None else instant.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("backtest")
@click.argument("flow", metavar="FLOW", type=FILE)
@click.option(
    "--events", required=True, type=FILE, help="NDJSON or NDJSON.gz; received at their `timestamp`."
)
@click.option("--contacts", type=FILE, help="Identify lines, known before the first event.")
@click.option(
    "--until", metavar="INSTANT", callback=as_instant, help="When time ends; left out: with the last event."
)
@click.option("--schema", type=FILE, help="The data directory's schema.yaml, if there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as the API's `…/stats` gives them.")
def backtest_command(
    flow: Path, events: Path, contacts: Path | None, until: int | None, schema: Path | None, as_json: bool
) -> None:
    """Run FLOW, a flow document, over recorded events on a virtual clock, and print what happened at each node.

    An event that is earlier than one before it is received at the instant reached, as late events are in life. No
    engine is asked, no message leaves. Exits 1 if FLOW has problems or a line cannot be taken.
    """
    document = _ready(flow, schema, as_json=as_json)
    with progress("{task.fields[reached]}") as bar:

        def told(path: Path) -> recorded_events.Told:
            task = bar.add_task(f"Reading {path.name}", total=_size(path), reached="")
            return lambda read: bar.update(task, completed=read)

        def look(now_ms: int) -> None:
            bar.update(bar.task_ids[0], reached=instant.format(now_ms)[:10])

        simulator = backtest(
            document,
            recorded_events.events(events, told(events)),
            contacts=() if contacts is None else recorded_events.contacts(contacts, told(contacts)),
            schema=None if schema is None else read_document(schema),
            until_ms=until,
            look=look,
        )
    stats = simulator.kernel.stats(document["id"])
    if as_json:
        print_json(stats)
        return
    console().print(flow_table(stats, document))
    click.echo(_account(simulator))


def _ready(path: Path, schema: Path | None, *, as_json: bool) -> dict[str, Any]:
    """The document of a flow that may be launched; for any other its problems are told as `check` tells them."""
    checked = check_file(path, DEFAULT if schema is None else read_schema(schema))
    if not checked.problems:
        return dict(checked.document)
    tell(checked, as_json=as_json)
    count = len(checked.problems)
    detail = f"{path} has {count} problem{'' if count == 1 else 's'}: nothing was run."
    raise TidemillError("flow_has_problems", detail)


def _size(path: Path) -> int:
    """Bytes of a file; of one that is not there, none: reading it says so."""
    return path.stat().st_size if path.is_file() else 0


def _account(simulator: Simulator) -> str:
    """`Events: 69,659. Contacts: 23,570. Time ends at 1998-06-30T09:32:09Z.`"""
    counts = simulator.kernel.counts()
    told = {"Events": counts["events"], "Contacts": counts["contacts"]}
    if counts["duplicates"]:
        told["Messages seen before"] = counts["duplicates"]
    figures = " ".join(f"{name}: {thousands(count)}." for name, count in told.items())
    return f"{figures} Time ends at {instant.format(simulator.now_ms)}."
