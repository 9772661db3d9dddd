"""Targets of webhooks: every spelling of an address of this machine or its network is refused.

The connection goes to the very address that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.channels.network import CheckedNetwork, SystemResolver
from engine.delivery.channels.target import Guard, Target, TargetError, parse_target, refused
from tests.delivery.channels.hook import PUBLIC, Hook, channel, effect, hooked, resolver

INNER = [
    # plain
    *(
        "http://127.0.0.1/",
        "http://127.255.255.254/",
        "http://0.0.0.0/",
        "http://0.1.2.3/",
        "http://localhost/",
    ),
    *("http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1:8080/x?y"),
    *("http://100.64.0.1/", "http://198.18.0.1/", "http://192.0.0.192/", "http://240.0.0.1/"),
    *("http://224.0.0.1/", "http://255.255.255.255/"),
    # metadata services
    *(
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.170.2/v2/credentials",
        "http://100.100.100.200/",
    ),
    *("http://168.63.129.16/", "http://[fd00:ec2::254]/latest/", "http://[fe80::a9fe:a9fe]/"),
    # decimal, octal, hexadecimal, short and mixed forms
    *("http://2130706433/", "http://0x7f000001/", "http://0X7F000001/", "http://017700000001/", "http://0/"),
    *("http://127.1/", "http://127.0.1/", "http://0x7f.1/", "http://0x7f.0.0.1/", "http://0177.0.0.1/"),
    *(
        "http://0177.1/",
        "http://127.0.0.0x1/",
        "http://00000177.0.0.1/",
        "http://127.0.0.01/",
        "http://10.1/",
    ),
    *("http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://169.254.43518/"),
    *("http://4294967296/", "http://256.256.256.256/", "http://127.0.0.1.0x/", "http://0xffffffffffff/"),
    # dots at the end and in the middle
    *(
        "http://127.0.0.1./",
        "http://localhost./",
        "http://127.0.0.1../",
        "http://127..0.0.1/",
        "http://localhost../",
    ),
    # IPv6
    *(
        "http://[::1]/",
        "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[0000:0000::0001]:80/",
        "http://[::0001]/",
    ),
    *("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:127.0.0.1]/"),
    *("http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/"),
    *(
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::1]/",
    ),
    *("http://[2001:0:53aa:64c::]/", "http://[fc00::1]/", "http://[fd12:3456::1]/", "http://[fe80::1]/"),
    *("http://[ff02::1]/", "http://[fec0::1]/", "http://[2001:db8::1]/", "http://[fe80::1%25eth0]/"),
    *(
        "http://[::ffff:10.0.0.1]:8080/",
        "http://[::1%25]/",
        "http://::1/",
        "http://[::1/",
        "http://[127.0.0.1]/",
    ),
    # another reading: users, escapes, letters that become others, spaces
    *("http://example.com@127.0.0.1/", "http://127.0.0.1@example.com/", "http://127.0.0.1%40example.com/"),
    *("http://user:pass@localhost/", "http://127.0.0.1#@example.com/", "http://127.0.0.1\\@example.com/"),
    *(
        "http://example.com\\.internal/",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0%2e0%2e1/",
        "http://loc%61lhost/",
    ),
    *(
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://ｌｏｃａｌｈｏｓｔ/",
        "http://lo\u00adcalhost/",
    ),
    *(
        "http://localho\u017ft/",
        "http://\u2110ocalhost/",
        "http:///127.0.0.1/",
        "http:/127.0.0.1/",
        "http:127.0.0.1",
    ),
    *(
        "//127.0.0.1/",
        " http://127.0.0.1/",
        "http://127.0.0.1 /",
        "http://127.0.0.1\t/",
        "http://127.0.0.1\r\nX: y/",
    ),
    *(
        "http://127.0.0.1\0.example.com/",
        "http://-localhost/",
        "http://127.0.0.1:80:80/",
        "http://127.0.0.1:0/",
    ),
    *("http://127.0.0.1:65536/", "http://127.0.0.1:+80/", "http://localhost:http/", "http://127.0.0.1:８０/"),
    # not HTTP
    *(
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "ftp://127.0.0.1/",
        "unix:/run/docker.sock",
        "https:",
        "",
    ),
    *("http+unix://%2Frun%2Fdocker.sock/", "javascript:alert(1)", "http://", "http://?", "http:///"),
]
"""Where no webhook goes. A name that gets as far as the resolver is resolved to 127.0.0.1."""


def inner(host: str, port: int) -> list[str]:
    """Return a common kind of resolver: it accepts numbers in any form; other names are this machine."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        try:
            return [socket.inet_ntoa(socket.inet_aton(host))]
        except OSError:
            return ["127.0.0.1"]


async def inner_resolver(host: str, port: int) -> list[str]:
    await trio.lowlevel.checkpoint()
    return inner(host, port)


def test_there_are_enough_encodings() -> None:
    assert len(set(INNER)) == len(INNER) >= 110


@pytest.mark.parametrize("url", INNER)
def test_no_way_to_write_it_leads_inside(url: str) -> None:
    async def main() -> None:
        async with hooked(Hook()) as hook, channel(hook, url="", resolve=inner_resolver) as webhook:
            receipt = await webhook.deliver(effect(url=url, text="hello"))
            assert receipt.status == "failed"
            assert receipt.detail
            assert hook.dialled == []
            assert hook.posted == []

    trio.run(main)


OUTER = [
    ("https://example.com", Target("https", "example.com", 443, "/"), "example.com"),
    ("HTTPS://EXAMPLE.com:443/A?b=c%20d", Target("https", "example.com", 443, "/A?b=c%20d"), "example.com"),
    ("http://example.com.:8080?x", Target("http", "example.com", 8080, "/?x"), "example.com:8080"),
    (
        "http://xn--bcher-kva.example/",
        Target("http", "xn--bcher-kva.example", 80, "/"),
        "xn--bcher-kva.example",
    ),
    ("http://a_b.example/", Target("http", "a_b.example", 80, "/"), "a_b.example"),
    ("http://1.1.1.1/", Target("http", "1.1.1.1", 80, "/"), "1.1.1.1"),
    ("http://127.0.0.1.example/", Target("http", "127.0.0.1.example", 80, "/"), "127.0.0.1.example"),
    ("http://[2606:4700::1111]:81/", Target("http", "2606:4700::1111", 81, "/"), "[2606:4700::1111]:81"),
    ("http://[2606:4700:0:0::1]/", Target("http", "2606:4700::1", 80, "/"), "[2606:4700::1]"),
]


@pytest.mark.parametrize(("url", "target", "authority"), OUTER)
def test_what_may_be_reached(url: str, target: Target, authority: str) -> None:
    found = parse_target(url)
    assert found == target
    assert found.authority == authority


@given(st.text(max_size=40) | st.text(alphabet="htps:/.@[]0123456789abcdefx#?%\\ -_", max_size=60))
def test_any_text_is_a_target_or_an_error(text: str) -> None:
    try:
        found = parse_target(text)
    except TargetError:
        return
    assert found.path.startswith("/")
    assert found.host == found.host.strip().lower()
    assert not set(found.host + found.path) & set("@#\\ \r\n\t")


@given(st.ip_addresses())
def test_what_is_not_global_is_refused(address: Any) -> None:
    """Ours is the stricter table: what Python calls private, loopback, link-local or multicast is never let through."""
    if address.is_multicast or address.is_private or address.is_loopback or address.is_link_local:
        assert refused(address) is not None
    if address.version == 6 and (address.ipv4_mapped or address.sixtofour or address.teredo):
        assert refused(address) is not None


@pytest.mark.parametrize(
    "edge", ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255"]
)
def test_the_neighbours_of_private_networks_are_let_through(edge: str) -> None:
    assert refused(ipaddress.ip_address(edge)) is None


@pytest.mark.parametrize(
    ("allowed", "url", "reached"),
    [
        (["hooks.internal"], "http://hooks.internal:9000/", True),
        (["HOOKS.internal"], "http://hooks.INTERNAL./", True),
        (["hooks.internal:9000"], "http://hooks.internal:9000/", True),
        (["hooks.internal:9000"], "http://hooks.internal:9001/", False),
        (["hooks.internal"], "http://other.internal/", False),
        (["hooks.internal"], "http://a.hooks.internal/", False),
        (["internal"], "http://hooks.internal/", False),
        (["10.0.0.1"], "http://10.0.0.1/", True),
        (["10.0.0.1"], "http://hooks.internal/", False),
        (["127.0.0.1"], "http://127.1/", False),
        (["[::1]:80"], "http://[::1]/", True),
        (["::1"], "http://[0::1]:9/", True),
        (["::1"], "http://[::2]/", False),
    ],
)
def test_what_is_allowed_is_allowed_by_the_name_it_is_asked_for(
    allowed: list[str], url: str, reached: bool
) -> None:
    async def main() -> None:
        async with hooked(Hook()) as hook, channel(hook, url="", allowed=allowed, resolve=own) as webhook:
            receipt = await webhook.deliver(effect(url=url))
            assert (receipt.status == "delivered") == reached
            assert bool(hook.dialled) == reached
            if not reached and "127.1" not in url:
                assert "Name it under `allow`" in receipt.detail

    async def own(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["10.0.0.1"] if host.endswith("internal") else inner(host, port)

    trio.run(main)


def test_a_name_that_means_something_else_a_moment_later_gains_nothing() -> None:
    """A rebinding resolver: a public address when it is checked, 127.0.0.1 from then on."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    async def main() -> None:
        closing = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        async with hooked(Hook(closing)) as hook, channel(hook, resolve=rebinding) as webhook:
            assert (await webhook.deliver(effect())).status == "delivered"
            assert asked == ["example.com"], "asked once for one connection"
            assert hook.dialled == [(PUBLIC, 80)]
            receipt = await webhook.deliver(effect())
            assert receipt.status == "failed"
            assert "127.0.0.1: this machine" in receipt.detail
            assert hook.dialled == [(PUBLIC, 80)]
            assert hook.posted[0].headers["host"] == "example.com"

    trio.run(main)


@pytest.mark.parametrize(
    "addresses", [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::1"], ["fe80::1%eth0"]]
)
def test_a_name_in_two_worlds_is_refused(addresses: list[str]) -> None:
    async def main() -> None:
        async with hooked(Hook()) as hook, channel(hook, resolve=resolver(example_com=addresses)) as webhook:
            assert (await webhook.deliver(effect())).status == "failed"
            assert hook.dialled == []

    trio.run(main)


def test_addresses_are_tried_in_turn() -> None:
    async def main() -> None:
        hook = Hook()
        hook.refusing = {"1.1.1.1", "1.0.0.1"}
        known = resolver(example_com=["1.1.1.1", "1.0.0.1", "1.1.1.1", "8.8.8.8"])
        async with hooked(hook), channel(hook, resolve=known) as webhook:
            assert (await webhook.deliver(effect())).status == "delivered"
            assert hook.dialled == [("1.1.1.1", 80), ("1.0.0.1", 80), ("8.8.8.8", 80)]

    trio.run(main)


def test_the_system_resolves_and_a_host_without_an_address_is_refused() -> None:
    async def main() -> None:
        assert "127.0.0.1" in await SystemResolver()("127.0.0.1", 80)
        with pytest.raises(TargetError, match="this machine"):
            await CheckedNetwork(Guard()).connect_tcp("127.0.0.1", 80)
        with pytest.raises(TargetError, match="no address"):
            Guard().check("example.com", 80, [])

    trio.run(main)
