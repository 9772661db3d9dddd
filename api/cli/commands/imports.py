"""`tidemill import`: input lines of a file, or of standard input, to the stream of a running engine.

`api.client.stream` sends: it continues where it was when the engine is restarted meanwhile, and a slow engine slows it
(back-pressure). Here are the file, its progress, and the account printed at the end.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
import msgspec
import trio

from api.cli.commands.asking import key_option
from api.client.http import key_of
from api.client.stream import PATIENCE_S, FeedError, send_live, send_stream
from api.config import Address
from api.process import first_error
from api.terminal.terminal import console, print_json, progress, settings_of, table, thousands
from engine.errors import TidemillError
from engine.wire import Rejection

REJECTIONS_SHOWN_MAX = 20
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 64 * 1024
"""Read from a pipe at a time."""


Bytes = IO[bytes] | gzip.GzipFile


class Account(msgspec.Struct):
    """Account of the lines of a file: each is `durable` or `rejected`, unless there is an `error`."""

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
    """Send FILE to a running engine and account for every line; `-` is standard input.

    FILE is NDJSON, plain or packed with gzip. When this exits with 0, every line is on the engine's disk. When it
    exits with 1, the lines that were refused are listed by number, or one sentence says why it stopped. Lines with
    a messageId may be sent again: they count once.
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
    """Send every line of a file, or of standard input if `path` is `-`.

    Raises TidemillError if the file cannot be read, or no engine answers at first.
    """
    account = Account()
    with _lines(path) as (raw, lines), progress("{task.fields[note]}") as bar:
        size = _size_of(raw)
        task = bar.add_task(f"Importing {_name_of(path)}", total=size, note="")

        def acknowledged(count: int) -> None:
            account.durable = count - account.rejected
            read = None if size is None else min(raw.tell(), size)
            bar.update(task, completed=read, note=f"{thousands(count)} lines")

        def rejected(line: Rejection) -> None:
            account.rejected += 1
            if len(account.rejections) < REJECTIONS_SHOWN_MAX:
                account.rejections.append(line)

        async def send() -> None:
            await _probe(address)
            if size is None:
                sent = await send_live(
                    address,
                    chunks(lines),
                    acknowledged,
                    on_rejection=rejected,
                    key=key,
                    patience_s=patience_s,
                )
            else:
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
            raise first_error(group) from None
        except (gzip.BadGzipFile, EOFError) as error:
            raise TidemillError(
                "file", f"{_name_of(path)}: {error}.", remedy="Check that the file is whole."
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
def _lines(path: Path) -> Iterator[tuple[IO[bytes], Bytes]]:
    """Open a file, or standard input. Yield it, whose position drives the progress bar, and its bytes unpacked."""
    if str(path) == "-":
        yield sys.stdin.buffer, _unpacked(sys.stdin.buffer)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        detail = f"{path} cannot be read: {error.strerror}."
        raise TidemillError("file", detail, remedy="Check the name.") from error
    with file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        yield file, gzip.GzipFile(fileobj=file) if packed else file


def _unpacked(pipe: IO[bytes]) -> Bytes:
    """Return a pipe as plain bytes: unpacked if it begins as gzip does. It can be read only once."""
    head = pipe.read(len(GZIP_MAGIC))
    whole = io.BufferedReader(Joined(head, pipe))
    return gzip.GzipFile(fileobj=whole) if head == GZIP_MAGIC else whole


class Joined(io.RawIOBase):
    """Bytes that were read already, and the rest of what they were read from."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, up to the size of the buffer; 0 at the end."""
        read1 = getattr(self._rest, "read1", self._rest.read)
        data = self._head[: len(buffer)] or read1(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def chunks(source: Bytes) -> Iterator[list[bytes]]:
    """Yield the lines of a source as they come, in a list what one read brought; the last needs no newline."""
    read1 = getattr(source, "read1", source.read)
    rest = b""
    while data := read1(CHUNK_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def _size_of(source: IO[bytes]) -> int | None:
    """Return the bytes of a regular file; None for a pipe or a terminal, which end when they end."""
    try:
        status = os.fstat(source.fileno())
    except OSError:  # standard input that is no file of the system's, as in a test
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _name_of(path: Path) -> str:
    return "standard input" if str(path) == "-" else path.name


def _report(account: Account) -> None:
    rows = [("durable", thousands(account.durable)), ("refused", thousands(account.rejected))]
    console().print(table("", ("lines", ""), rows, right={""}))
    for one in account.rejections:
        click.echo(f"line {one.line}: {one.code}: {one.detail}", err=True)
    if account.rejected > len(account.rejections):
        click.echo(f"… and {thousands(account.rejected - len(account.rejections))} more.", err=True)
