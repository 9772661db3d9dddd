"""`tidemill import`: a file of input lines over the stream of a running engine, with an exact account.

The stream answers `{"ack": n}`: n lines of this connection are durable. One thread reads these answers while
the other writes; when the engine is slow, the socket's buffers fill and the file is read no faster
(back-pressure). Should the engine go away, the account says how many lines are safely in: with `messageId`s in
the lines the whole file may simply be sent again, and nothing happens twice (rule 8).
"""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from api.config import Address
from api.terminal import console, print_json, progress, settings_of, table, thousands
from engine.errors import TidemillError

CHUNK_BYTES = 256 * 1024
REJECTIONS_SHOWN_MAX = 20
STALL_S = 60.0
"""An engine that neither takes nor acknowledges anything for so long is given up."""


class Account(msgspec.Struct):
    """What became of the lines: of the `sent`, the first `durable` are done with, that is in the engine's
    journal or among the `rejected`."""

    sent: int = 0
    durable: int = 0
    rejected: int = 0
    rejections: list[dict[str, Any]] = []
    """The first of them: `line` (counted from 0), `code`, `detail`."""
    complaint: str = ""
    """What the engine last said of the connection as a whole."""
    error: str = ""
    """Why not all lines are done with; empty: they are."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stream", metavar="ADDRESS", help="The engine's stream: HOST:PORT or unix:PATH.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
@click.pass_context
def import_command(ctx: click.Context, file: Path, stream: str | None, as_json: bool) -> None:
    """Send FILE, NDJSON or NDJSON.gz, to a running engine and account for every line.

    Exits 1 if a line was refused or the engine went away before all lines were durable.
    """
    settings = settings_of(ctx, stream=[stream] if stream else None)
    if not settings.stream:
        raise click.UsageError("No stream is configured: say with --stream where the engine takes it.")
    account = send_file(file, settings.addresses("stream")[0], settings.write_keys[:1])
    if as_json:
        print_json(account)
    else:
        _report(account)
    if account.error:
        remedy = "Send the file again once the engine is up: lines with a messageId count once."
        raise TidemillError("interrupted", account.error, remedy=remedy)
    if account.rejected:
        ctx.exit(1)


def send_file(path: Path, address: Address, keys: Sequence[str] = ()) -> Account:
    """Send every line of `path`, after the write key if there is one. TidemillError if the file or the engine
    cannot be opened."""
    account = Account()
    sock = _connect(address)
    for key in keys:
        sock.sendall(msgspec.json.encode({"writeKey": key}) + b"\n")
    try:
        with sock, _open(path) as (raw, lines), progress("{task.fields[note]}") as bar:
            size = path.stat().st_size
            task = bar.add_task(f"Importing {path.name}", total=size, note="")

            def show() -> None:
                note = f"{thousands(account.durable)} durable"
                bar.update(task, completed=min(raw.tell(), size), note=note)

            _exchange(sock, lines, account, show)
            bar.update(task, completed=size, note=f"{thousands(account.durable)} durable")
    except (gzip.BadGzipFile, EOFError) as error:
        raise TidemillError("file", f"{path}: {error}.", remedy="Check that the file is whole.") from error
    return account


def _connect(address: Address) -> socket.socket:
    family = socket.AF_UNIX if address.is_unix else None
    try:
        if family is None:
            sock = socket.create_connection((address.host, address.port), timeout=STALL_S)
        else:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(STALL_S)
            sock.connect(address.path)
    except OSError as error:
        detail = f"No engine takes streams at {address} ({(error.strerror or str(error)).lower()})."
        remedy = "Start one with `tidemill serve`, or say with --stream where it listens."
        raise TidemillError("unreachable", detail, remedy=remedy) from error
    return sock


class _open:
    """The raw file, whose position drives the progress bar, and chunks of whole lines read through it."""

    def __init__(self, path: Path) -> None:
        try:
            self._raw = path.open("rb")
        except OSError as error:
            detail = f"{path} cannot be read: {error.strerror}."
            raise TidemillError("file", detail, remedy="Check the name.") from error

    def __enter__(self) -> tuple[IO[bytes], Iterator[bytes]]:
        packed = self._raw.read(2) == b"\x1f\x8b"
        self._raw.seek(0)
        data: Any = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
        return self._raw, iter(lambda: data.read(CHUNK_BYTES), b"")

    def __exit__(self, *_: object) -> None:
        self._raw.close()


def _exchange(
    sock: socket.socket, chunks: Iterator[bytes], account: Account, show: Callable[[], None]
) -> None:
    """Write all chunks while a second thread books the answers; ends when the engine has answered for all."""
    reader = threading.Thread(target=_book, args=(sock, account, show), name="acknowledgements")
    reader.start()
    last = b"\n"
    try:
        for chunk in chunks:
            sock.sendall(chunk)
            account.sent += chunk.count(b"\n")
            last = chunk
        if not last.endswith(b"\n"):
            sock.sendall(b"\n")
            account.sent += 1
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        reason = account.complaint or f"The engine went away ({(error.strerror or str(error)).lower()})."
        account.error = f"{reason} {_safe(account)}"
    except BaseException:
        sock.shutdown(socket.SHUT_RDWR)
        raise
    finally:
        reader.join()
    if not account.error and account.durable < account.sent:
        account.error = f"{account.complaint or 'The engine closed the stream.'} {_safe(account)}"


def _book(sock: socket.socket, account: Account, show: Callable[[], None]) -> None:
    """Books answers until the engine closes its side. A broken connection is told by the account's gap."""
    try:
        with sock.makefile("rb") as answers:
            for line in answers:
                answer = msgspec.json.decode(line)
                if "ack" in answer:
                    account.durable = answer["ack"]
                    show()
                    continue
                error = answer["error"]
                if "line" not in error:
                    account.complaint = error["detail"]
                    continue
                account.rejected += 1
                if len(account.rejections) < REJECTIONS_SHOWN_MAX:
                    account.rejections.append(error)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        account.error = f"The engine stopped answering ({str(reason).lower()}). {_safe(account)}"


def _safe(account: Account) -> str:
    return f"The first {thousands(account.durable)} lines are done with, {thousands(account.sent)} were sent."


def _report(account: Account) -> None:
    taken = account.durable - account.rejected
    rows = [("sent", account.sent), ("durable", taken), ("refused", account.rejected)]
    shown = [(word, thousands(number)) for word, number in rows]
    console().print(table("", ("lines", ""), shown, right={""}))
    for answer in account.rejections:
        click.echo(f"line {answer.get('line')}: {answer.get('code')}: {answer.get('detail')}", err=True)
    if account.rejected > len(account.rejections):
        click.echo(f"… and {thousands(account.rejected - len(account.rejections))} more.", err=True)
