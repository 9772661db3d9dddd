"""What every command that asks a running engine takes: where it listens, a key, and `--json`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from api.client.http import Client, key_of
from api.terminal.terminal import settings_of

key_option = click.option(
    "--key-from",
    "key_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file that holds the key to show. Default: the variable TIDEMILL_KEY.",
)


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--http`, `--key-from` and `--json`; calls the command with `client` and `as_json`."""

    @click.option(
        "--http",
        metavar="ADDRESS",
        help="Where the engine's API listens: HOST:PORT, https://HOST:PORT or unix:PATH.",
    )
    @key_option
    @click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
    @click.pass_context
    @functools.wraps(command)
    def wrapped(ctx: click.Context, /, http: str | None, key_file: Path | None, **arguments: Any) -> None:
        settings = settings_of(ctx, http=[http] if http else None)
        client = Client.of(settings, key_of(key_file, os.environ))
        ctx.invoke(command, client=client, **arguments)

    return wrapped
