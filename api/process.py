"""The process around an engine: running trio, its errors, its log, its limits, and systemd.

Commands and the composition root share these; none of them knows an engine.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
from collections.abc import Callable

import trio

from engine.errors import TidemillError
from engine.tuning import OPEN_FILES_WANTED

PLAIN_ERRORS = (TidemillError, KeyboardInterrupt, BrokenPipeError, SystemExit)
"""Errors that need no traceback: a person can correct them, caused them, or went away (rich exits with its reader)."""


def run(main: Callable[[], object]) -> None:
    """Run an async function with trio. A plain error is raised without the groups that nurseries wrap it in."""
    try:
        trio.run(main)  # type: ignore[arg-type]
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group if all of them are plain, else the group with its traceback."""
    plain, rest = group.split(PLAIN_ERRORS)
    if plain is None or rest is not None:
        return group
    error: BaseException = plain
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def log_to_stderr() -> None:
    """Log a line per record to stderr, where the channel `log` writes its messages too."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def raise_open_files_limit() -> None:
    """Raise the limit on open files as far as allowed: connections are files, and many systems begin at 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def notify_systemd(state: str) -> None:
    """Send a state to systemd (`Type=notify`), if it started this process: one datagram to NOTIFY_SOCKET."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    name = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(name)
        sock.send(state.encode())
