"""Input lines that were recorded: files of NDJSON, packed with gzip or not, read as a stream.

A file is read by the megabyte and whole blocks of lines are decoded at once, as they are live, so that a year of
orders needs no more memory than the contacts it makes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from engine.errors import TidemillError
from engine.limits import CONTROL_BYTES_MAX
from engine.model import Input
from engine.wire import decode_lines
from ext.wire.event import Event, Kind
from ext.wire.timed_events import with_timestamps

CHUNK_BYTES = 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"

Timed = tuple[int, Input]
"""When it is received (ms UTC), and what."""
Told = Callable[[int], None]
"""Is told how many bytes of a file are read, for a progress bar."""


class RecordingError(TidemillError):
    """A file of input lines that cannot be used: which, at which line, and what to do about it."""

    def __init__(self, place: str, detail: str, remedy: str = "") -> None:
        super().__init__("recording", f"{place} {detail}", remedy=remedy)


def blocks(path: Path, told: Told | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, about a megabyte at a time, each block with the number of its first line (from 1).

    Raises RecordingError where the file cannot be read, or is packed and not whole.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            for first, data in _lines(gzip.GzipFile(fileobj=raw) if packed else raw, path):
                if told is not None:
                    told(raw.tell())
                yield first, data
    except OSError as error:
        raise RecordingError(str(path), f"cannot be read: {error.strerror or error}.") from error
    except (EOFError, zlib.error) as error:
        raise RecordingError(
            str(path), "is not whole.", "It is packed, and ends or breaks midway."
        ) from error


def _lines(stream: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[tuple[int, bytes]]:
    rest = b""
    first = 1
    while chunk := stream.read(CHUNK_BYTES):
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield first, whole + newline
            first += whole.count(b"\n") + 1
        if len(rest) > CONTROL_BYTES_MAX:
            raise RecordingError(f"{path}:{first}", "is too long for a line.", "Lines end with a newline.")
    if rest:
        yield first, rest


def events(path: Path, told: Told | None = None) -> Iterator[Timed]:
    """Yield every message of a file with its own `timestamp`.

    Raises RecordingError for another line, or one without.
    """
    for first, data in blocks(path, told):
        inputs = _decoded(path, first, data)
        timed, missing = with_timestamps(inputs)
        if missing >= 0:
            place = f"{path}:{_line_of(data, first, missing)}"
            raise RecordingError(place, "has no `timestamp`.", "It says when the message was received.")
        yield from timed


def contacts(path: Path, told: Told | None = None) -> Iterator[Event]:
    """Yield every identify line of a file. Raises RecordingError for any other."""
    for first, data in blocks(path, told):
        for number, item in enumerate(_decoded(path, first, data)):
            if not isinstance(item, Event) or item.kind != Kind.IDENTIFY:
                place = f"{path}:{_line_of(data, first, number)}"
                raise RecordingError(place, "is no identify line.", "Contacts come as `type: identify`.")
            yield item


def _decoded(path: Path, first: int, data: bytes) -> list[Input]:
    decoded = decode_lines(data)
    if decoded.rejected:
        wrong = decoded.rejected[0]
        raise RecordingError(f"{path}:{first + wrong.line}", f"cannot be taken: {wrong.detail}")
    return decoded.inputs


def _line_of(data: bytes, first: int, place: int) -> int:
    """Return the number of the line of an input, by its place among those of a block.

    Blank lines are not among them.
    """
    filled = [number for number, line in enumerate(data.split(b"\n"), start=first) if line.strip()]
    return filled[place]
