"""`tidemill import`: a file of input lines over the stream of a running engine, with an exact account.

`api.client.stream` sends: it goes on where it was when the engine is restarted meanwhile, and a slow engine slows it
(back-pressure). Here are the file, its progress, and what is told at the end.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
import msgspec
import trio

from api.cli.commands.asking import key_option
from api.client.http import key_of
from api.client.stream import PATIENCE_S, FeedError, send_stream
from api.config import Address
from api.serve import the_error
from api.terminal.terminal import console, print_json, progress, settings_of, table, thousands
from engine.errors import TidemillError
from engine.wire import Rejection

REJECTIONS_SHOWN_MAX = 20
GZIP_MAGIC = b"\x1f\x8b"


class Account(msgspec.Struct):
    """What became of the lines of a file: all are `durable` or `rejected`, unless there is an `error`."""

    durable: int = 0
    rejected: int = 0
    rejections: list[Rejection] = []
    """The first of them; lines are counted from 0."""
    connections: int = 0
    error: str = ""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stream", metavar="ADDRESS", help="The engine's stream: HOST:PORT or unix:PATH.")
@click.option(
    "--patience",
    type=float,
    default=PATIENCE_S,
    show_default=True,
    help="Seconds to wait for an engine that went away.",
)
@key_option
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
@click.pass_context
def import_command(
    ctx: click.Context, file: Path, stream: str | None, patience: float, key_file: Path | None, as_json: bool
) -> None:
    """Send FILE, NDJSON or NDJSON.gz, to a running engine and account for every line.

    Every line is on the engine's disk, or refused by number, when this ends with 0 or 1 and no further word.
    Lines with a messageId may be sent again: they count once.
    """
    settings = settings_of(ctx, stream=[stream] if stream else None)
    if not settings.stream:
        raise click.UsageError("No stream is configured: say with --stream where the engine takes it.")
    key = key_of(key_file, os.environ) or (settings.write_keys[0] if settings.write_keys else "")
    account = send_file(file, settings.addresses("stream")[0], key=key, patience_s=patience)
    if as_json:
        print_json(account)
    else:
        _report(account)
    if account.error:
        raise TidemillError("import", account.error)
    if account.rejected:
        ctx.exit(1)


def send_file(path: Path, address: Address, *, key: str, patience_s: float) -> Account:
    """Send every line of `path`. Raises TidemillError if the file cannot be read or no engine answers at first."""
    account = Account()
    with _lines(path) as (raw, lines), progress("{task.fields[note]}") as bar:
        size = path.stat().st_size
        task = bar.add_task(f"Importing {path.name}", total=size, note="")

        def acknowledged(count: int) -> None:
            account.durable = count - account.rejected
            bar.update(task, completed=min(raw.tell(), size), note=f"{thousands(count)} lines")

        def rejected(line: Rejection) -> None:
            account.rejected += 1
            if len(account.rejections) < REJECTIONS_SHOWN_MAX:
                account.rejections.append(line)

        async def send() -> None:
            await _probe(address)
            sent = await send_stream(
                address, lines, acknowledged, on_rejection=rejected, key=key, patience_s=patience_s
            )
            account.connections = sent.connections
            account.durable = sent.lines - sent.rejected

        try:
            trio.run(send)
        except FeedError as error:
            account.error = str(error)
        except BaseExceptionGroup as group:
            raise the_error(group) from None
        except (gzip.BadGzipFile, EOFError) as error:
            raise TidemillError(
                "file", f"{path}: {error}.", remedy="Check that the file is whole."
            ) from error
    return account


async def _probe(address: Address) -> None:
    """An engine that is not there at the beginning is not waited for: most likely the address is wrong."""
    try:
        if address.is_unix:
            stream = await trio.open_unix_socket(address.path)
        else:
            stream = await trio.open_tcp_stream(address.host, address.port)
    except OSError as error:
        detail = f"No engine takes streams at {address} ({(error.strerror or str(error)).lower()})."
        remedy = "Start one with `tidemill serve`, or say with --stream where it listens."
        raise TidemillError("unreachable", detail, remedy=remedy) from error
    await stream.aclose()


@contextmanager
def _lines(path: Path) -> Iterator[tuple[IO[bytes], Iterator[bytes]]]:
    """The raw file, whose position drives the progress bar, and its lines, unpacked if they are packed."""
    try:
        raw = path.open("rb")
    except OSError as error:
        detail = f"{path} cannot be read: {error.strerror}."
        raise TidemillError("file", detail, remedy="Check the name.") from error
    with raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        yield raw, iter(gzip.GzipFile(fileobj=raw) if packed else raw)


def _report(account: Account) -> None:
    rows = [("durable", thousands(account.durable)), ("refused", thousands(account.rejected))]
    console().print(table("", ("lines", ""), rows, right={""}))
    for one in account.rejections:
        click.echo(f"line {one.line}: {one.code}: {one.detail}", err=True)
    if account.rejected > len(account.rejections):
        click.echo(f"… and {thousands(account.rejected - len(account.rejections))} more.", err=True)
