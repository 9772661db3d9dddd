"""What every command that asks a running engine takes: where it listens, and `--json`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from api.client import Client
from api.terminal import settings_of


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--http` and `--json`; calls the command with `client` and `as_json`."""

    @click.option("--http", metavar="ADDRESS", help="Where the engine's API listens: HOST:PORT or unix:PATH.")
    @click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
    @click.pass_context
    @functools.wraps(command)
    def wrapped(ctx: click.Context, /, http: str | None, **arguments: Any) -> None:
        settings = settings_of(ctx, http=[http] if http else None)
        ctx.invoke(command, client=Client.of(settings), **arguments)

    return wrapped
