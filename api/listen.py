"""Listeners: an address from the configuration becomes open sockets, and back.

A Unix socket is made readable and writable for its owner alone between `bind` and `listen`, when nobody can
connect yet; changing the umask instead would be seen by every other thread. A socket file left behind by a
killed process is told from a living one by connecting to it: refused means stale and is removed.
Rejected: removing whatever lies at the path (it may be somebody's file, or a second engine's socket).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from api.config import Address, parse_address
from engine.errors import TidemillError

UNIX_BACKLOG = 1_024
UNIX_MODE = 0o600


class ListenError(TidemillError):
    """An address cannot be listened on: taken, not ours, or not there."""


@asynccontextmanager
async def listening(address: Address) -> AsyncIterator[list[trio.SocketListener]]:
    """Open listeners for `address` while the block runs; a Unix socket's file is removed at its end.

    A host name may stand for several sockets (`localhost`: IPv4 and IPv6). Raises ListenError.
    """
    listeners = await open_listeners(address)
    mark = _mark(address.path) if address.is_unix else None
    try:
        yield listeners
    finally:
        with trio.CancelScope(shield=True):
            for listener in listeners:
                await listener.aclose()
        if mark is not None and _mark(address.path) == mark:
            os.unlink(address.path)


async def open_listeners(address: Address) -> list[trio.SocketListener]:
    """Open the listening sockets of `address`; the caller closes them. Raises ListenError."""
    try:
        if address.is_unix:
            return [await _open_unix(address.path)]
        return await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        raise ListenError(
            "cannot_listen", f"Cannot listen on {address}: {_reason(error)}.", remedy=_remedy(error)
        ) from None


async def _open_unix(path: str) -> trio.SocketListener:
    await _remove_stale(path)
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await sock.bind(path)
        os.chmod(path, UNIX_MODE)
        sock.listen(UNIX_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


async def _remove_stale(path: str) -> None:
    """Remove a socket nobody listens on any more. Anything else at `path` is an OSError."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file of that name which is no socket")
    probe = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    finally:
        probe.close()


def bound(listener: trio.SocketListener) -> Address:
    """Return where a listener really listens: with port 0 in the configuration, the port it was given."""
    name = listener.socket.getsockname()
    if listener.socket.family == socket.AF_UNIX:
        return Address(path=os.fsdecode(name))
    return Address(host=name[0], port=name[1])


def is_local(stream: trio.SocketStream) -> bool:
    """Whether the peer is on this machine: a Unix socket, or a loopback address."""
    if stream.socket.family == socket.AF_UNIX:
        return True
    try:
        host = stream.socket.getpeername()[0]
    except OSError:  # gone already; whoever it was gets nothing
        return False
    return is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether an address is `127.0.0.0/8`, `::1`, or IPv4 loopback written as IPv6.

    False for text that is no address.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _mark(path: str) -> tuple[int, int] | None:
    """Return what distinguishes our socket file from one made later under the same name."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).rstrip(".")


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Stop the process that listens there, or choose another address."
    if error.errno in (errno.EACCES, errno.EPERM):
        return "Choose a port above 1023, or a directory this user may write to."
    return "Choose another address."


__all__ = [
    "Address",
    "ListenError",
    "bound",
    "is_local",
    "is_loopback",
    "listening",
    "open_listeners",
    "parse_address",
]
