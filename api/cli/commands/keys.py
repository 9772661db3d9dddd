"""`tidemill keys`: who may ask the engine from where it cannot see who asks. Works on the data directory, whether
or not an engine runs on it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from api.keyfile import FILE, add_key, read_keys, remove_key
from api.keys import SCOPE_WORDS, SCOPES, Key, Scope, new_secret, sha256_of
from api.terminal.terminal import console, print_json, settings_of, table
from engine.errors import TidemillError
from engine.flow.values import is_id
from ext.wire import instant

HASH_SHOWN = 12
"""Hex digits of a key's hash that `list` shows: enough to tell which secret it is."""


@click.group("keys", no_args_is_help=True)
def keys_command() -> None:
    """Create, list and revoke the keys of the management API and of event senders.

    A running engine notices within a second.
    """


@keys_command.command(
    "create", epilog="Scopes: " + "; ".join(f"{scope}: {words}" for scope, words in SCOPE_WORDS.items()) + "."
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What the key allows; give it several times for several.",
)
@click.option("--data", metavar="DIR", help="The data directory. Default ./tidemill-data.")
@click.option("--json", "as_json", is_flag=True, help="Print name, scopes and secret as JSON.")
@click.pass_context
def create_command(
    ctx: click.Context, name: str, scopes: tuple[Scope, ...], data: str | None, as_json: bool
) -> None:
    """Create the key NAME and print its secret, this once."""
    if not is_id(name):
        raise click.UsageError(
            f"{name!r} is no name: use 1 to 64 of a-z, 0-9 and -, a letter or digit first."
        )
    folder = _folder(ctx, data)
    before = read_keys(folder)
    secret = new_secret()
    kept = tuple(scope for scope in SCOPES if scope in scopes)
    created = instant.format(time.time_ns() // 1_000_000_000 * 1_000)
    add_key(folder, Key(name, kept, sha256_of(secret.encode()), created))
    if as_json:
        print_json({"name": name, "scopes": kept, "secret": secret})
    else:
        click.echo(secret)
    click.echo("Keep it: it is not shown again.", err=True)
    if not before:
        click.echo("From now on the management API asks every TCP peer for a key.", err=True)
    if "events" in kept and not any(key.allows(("events",)) for key in before):
        click.echo("From now on intake and stream ask for a key.", err=True)


@keys_command.command("list")
@click.option("--data", metavar="DIR", help="The data directory. Default ./tidemill-data.")
@click.option("--json", "as_json", is_flag=True, help="Print the keys as JSON.")
@click.pass_context
def list_command(ctx: click.Context, data: str | None, as_json: bool) -> None:
    """List the keys, without their secrets, which nobody has but their holders."""
    keys = read_keys(_folder(ctx, data))
    if as_json:
        rows = [{"name": key.name, "scopes": key.scopes, "created": key.created} for key in keys]
        print_json({"keys": rows})
        return
    cells = [(key.name, ", ".join(key.scopes), key.created, key.sha256[:HASH_SHOWN]) for key in keys]
    console().print(table("", ("name", "scopes", "created", "sha-256 of the secret"), cells, right=set()))


@keys_command.command("revoke")
@click.argument("name")
@click.option("--data", metavar="DIR", help="The data directory. Default ./tidemill-data.")
@click.pass_context
def revoke_command(ctx: click.Context, name: str, data: str | None) -> None:
    """Revoke the key NAME: within a second it opens nothing any more."""
    left = remove_key(_folder(ctx, data), name)
    click.echo(f"{name} is revoked.")
    if not left:
        click.echo("It was the last key: from now on this machine is served without one.", err=True)


def _folder(ctx: click.Context, data: str | None) -> Path:
    folder = Path(settings_of(ctx, data=data).data)
    if folder.exists() and not folder.is_dir():
        raise TidemillError(
            "data", f"{folder} is no directory.", remedy=f"Say with --data where {FILE} belongs."
        )
    return folder
