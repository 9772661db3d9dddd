"""`tidemill verify`, `backup` and `compact`: whether the store is whole, a copy of it, and nothing left of who was
deleted."""

from __future__ import annotations

from pathlib import Path

import click

from api.cli.commands.asking import engine_options
from api.client.http import Client
from api.terminal.terminal import print_json, thousands


@click.command("verify")
@click.argument("data", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify_command(data: Path, as_json: bool) -> int:
    """Read everything in the data directory, or the backup, DIR, and say what is wrong with it.

    No engine may run on it. Nothing is written; exit code 1 where anything is wrong.
    """
    from engine.store.verify import verify

    found = verify(data)
    if as_json:
        print_json({"good": found.good, **{name: getattr(found, name) for name in found.__struct_fields__}})
    else:
        for finding in found.findings:
            click.echo(f"{finding.code}: {finding.detail}")
        read = (
            f"{thousands(found.frames)} journal frames and {thousands(found.pieces)} checkpoint pieces read"
        )
        if found.good:
            click.echo(
                f"good: {read}; batch {found.seq}, {thousands(found.contacts or 0)} contacts, {found.digest}"
            )
        else:
            click.echo(f"{len(found.findings)} wrong: {read}")
    return 0 if found.good else 1


@click.command("backup")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@engine_options
def backup_command(client: Client, folder: Path, as_json: bool) -> None:
    """Have a running engine copy its data directory into the new directory DIR, while it goes on.

    The engine writes it, on its machine and as its user.
    """
    answer = client.post("store", "backup", body={"folder": str(folder.absolute())}, patient=True)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['folder']} holds the state after batch {answer['seq']}.")


@click.command("compact")
@engine_options
def compact_command(client: Client, as_json: bool) -> None:
    """Have a running engine leave nothing in its files of contacts that were deleted.

    It does so by itself within a day.
    """
    answer = client.post("store", "compact", patient=True)
    if as_json:
        print_json(answer)
    else:
        click.echo("Nothing is left in the files of contacts that were deleted.")
