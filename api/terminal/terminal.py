"""The terminal of the commands: consoles, tables, progress, settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from api.config import Settings, load_settings


def settings_of(ctx: click.Context, **flags: Any) -> Settings:
    """Load the settings in force for this call: its flags, the environment, the file of `--config`."""
    root = ctx.find_root()
    return load_settings(flags, file=root.obj, environ=os.environ)


def console(*, stderr: bool = False) -> Console:
    """Make a console that never re-colours numbers by itself and never wraps what a pipe would read."""
    wide = None if (sys.stderr if stderr else sys.stdout).isatty() else 200
    return Console(stderr=stderr, highlight=False, width=wide, soft_wrap=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: set[str]) -> Table:
    """Make a plain table. `right` names the columns of numbers; text is shown as it is, never read as markup."""
    made = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", header_style="dim")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def progress(*columns: str) -> Progress:
    """Make a progress bar on stderr; on a pipe it stays silent, so that logs are not filled with it."""
    shown = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        *(TextColumn(column) for column in columns),
        TimeElapsedColumn(),
        console=shown,
        disable=not shown.is_terminal,
    )


def print_json(value: object) -> None:
    """Print one line of JSON on stdout."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def thousands(number: object) -> str:
    """Return `69,659`; anything but a number as it is."""
    return f"{number:,}" if isinstance(number, int | float) else str(number)
