"""Where a webhook may go: a URL is read strictly, and the address behind it is looked at before it is connected to.

A flow, or what a contact wrote into a trait, may choose the URL, and the engine sits inside somebody's network. So
what is reached from there and not from outside is refused: this machine, private and shared networks, link-local ones
with the metadata services of clouds, multicast, and addresses that carry another address in them (IPv4 in IPv6,
NAT64, 6to4, Teredo), which some gateway might unpack. Tables instead of `ipaddress.is_global`: that answer changes
with the version of Python.

URL parsers disagree, and every disagreement is a way around a check. So there is one reading only: plain ASCII, no
user, no escapes in the host, and a host that looks like a number is an address in its plain form or an error
(`0x7f.1`, `2130706433` and `127.1` are 127.0.0.1 to many resolvers). The address that was checked is the one that is
connected to (`engine.delivery.channels.network`), so a name that means something else a moment later gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec

from engine.limits import WEBHOOK_URL_BYTES_MAX

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED_4 = {
    "0.0.0.0/8": "this machine",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a shared network",
    "127.0.0.0/8": "this machine",
    "168.63.129.16/32": "a metadata service",
    "169.254.0.0/16": "a link-local network, where metadata services are",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "reserved",
    "192.88.99.0/24": "reserved",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "reserved",
    "198.51.100.0/24": "reserved",
    "203.0.113.0/24": "reserved",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_REFUSED_6 = {
    "::/128": "this machine",
    "::1/128": "this machine",
    "::ffff:0:0/96": "an IPv4 address within IPv6",
    "::/96": "an IPv4 address within IPv6",
    "64:ff9b::/96": "an IPv4 address behind NAT64",
    "64:ff9b:1::/48": "an IPv4 address behind NAT64",
    "fc00::/7": "a private network",
    "fe80::/10": "a link-local network",
    "fec0::/10": "a private network",
    "ff00::/8": "multicast",
    "2001::/32": "an IPv4 address behind Teredo",
    "2001::/23": "reserved",
    "2001:db8::/32": "reserved",
    "2002::/16": "an IPv4 address behind 6to4",
    "3fff::/20": "reserved",
}
"""The first that fits says why."""

_TABLES = {
    4: [(ipaddress.ip_network(net), why) for net, why in _REFUSED_4.items()],
    6: [(ipaddress.ip_network(net), why) for net, why in _REFUSED_6.items()],
}
_GLOBAL_6 = ipaddress.ip_network("2000::/3")
"""Of IPv6, what lies outside has not been given to anybody on the internet."""

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][!-\"$-\[\]-~]*)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)


class TargetError(Exception):
    """A webhook may not go there, whoever asks; the sentence says why."""


class Target(msgspec.Struct, frozen=True):
    """A URL in parts. `host` is in lower case, without brackets and without a dot at its end; `path` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}


def parse_target(url: str) -> Target:
    """Raises TargetError; the URL itself is not quoted, because there may be a token in it."""
    if len(url) > WEBHOOK_URL_BYTES_MAX:
        raise TargetError(f"A webhook's URL has at most {WEBHOOK_URL_BYTES_MAX} characters.")
    if not url.isascii():
        raise TargetError(
            "A webhook's URL is ASCII: write other letters as xn--… in the host, as %XX in the path."
        )
    match = _URL.fullmatch(url)
    if match is None:
        raise TargetError(
            "A webhook's URL is https://HOST[:PORT]/PATH, without user, fragment or escapes in the host."
        )
    scheme = match["scheme"].lower()
    host = (match["six"] or match["name"]).lower().removesuffix(".")
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65_536:
        raise TargetError("A port is a number from 1 to 65535.")
    if match["six"] is None and _NUMBER.fullmatch(host.rpartition(".")[2]) is not None:
        _plain_address(host)
    if ".." in host or len(host) > 253 or any(len(label) > 63 for label in host.split(".")):
        raise TargetError("The host of a webhook is not a name.")
    if match["six"] is not None:
        host = _plain_address(host)
    path = match["target"] or "/"
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def _plain_address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise TargetError(
            "The host of a webhook is a number, and not an address in its plain form."
        ) from None


class Guard:
    """Says which addresses may be connected to. `allowed` names hosts that may be anywhere, as `HOST`, `HOST:PORT`,
    `IPv6` or `[IPv6]:PORT`."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)

    def allows(self, host: str, port: int) -> bool:
        """Whether the host is named, so that its addresses are not looked at."""
        bracketed = f"[{host}]" if ":" in host else host
        return host in self._allowed or f"{bracketed}:{port}" in self._allowed

    def check(self, host: str, port: int, addresses: Iterable[str]) -> list[str]:
        """`addresses` of the host, all of which may be connected to. Raises TargetError if one may not: a name that
        is in two worlds at once is no mistake."""
        found = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
        if not found:
            raise TargetError(f"The host {host} has no address.")
        if not self.allows(host, port):
            for address in found:
                if (why := refused(address)) is not None:
                    detail = f"The host {host} is {address}: {why}. Name it under `allow` if it is meant."
                    raise TargetError(detail)
        return list(dict.fromkeys(map(str, found)))


def refused(address: IpAddress) -> str | None:
    """Why no webhook goes to an address, or None."""
    for network, why in _TABLES[address.version]:
        if address in network:
            return why
    if address.version == 6 and address not in _GLOBAL_6:
        return "reserved"
    return None
