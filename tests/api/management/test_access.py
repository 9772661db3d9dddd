"""Access: every route declares a scope, and a key opens the routes of its scopes only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.keys import SCOPES, Key, Keys, Scope, sha256_of
from api.management.access import READING, need_of, needs
from tests.api.api_engine import FLOW, Api, with_api

LOOPBACK = ("127.0.0.1", 40_000)
AWAY = ("192.168.1.9", 40_000)
NOTHING = {
    "/",
    "/docs",
    "/docs/<name>",
    "/docs/openapi.json",
    "/docs/start.js",
    "/healthz",
    "/openapi.json",
    "/readyz",
}
"""All that is served to whoever asks, once there are keys: that an engine is here, and how the API looks."""


def held(*scopes: Scope, name: str = "k") -> Keys:
    """One key, whose secret is its name."""
    return Keys([], [Key(name, scopes, sha256_of(name.encode()))])


def bearer(secret: str) -> dict[str, str]:
    return {"Host": "anything", "Authorization": f"Bearer {secret}"}


def routes(api: Api) -> Iterator[tuple[str, str, Any]]:
    """Every way to call the app: method, path, handler."""
    for rule in api.app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield method, rule.rule, api.app.view_functions[rule.endpoint]


def path_of(rule: str) -> str:
    """A path that the rule matches."""
    return re.sub(r"<int:[^<>]+>", "1", re.sub(r"<(?!int:)[^<>]+>", "x", rule))


def test_every_route_declares_what_it_needs(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        found = {(rule, need_of(handler)) for _, rule, handler in routes(api)}
        assert {rule for rule, need in found if need is None} == set(), "say in @operation(needs=…) or @needs"
        assert {need for _, need in found} == {"nothing", *SCOPES}
        assert {rule for rule, need in found if need == "nothing"} == NOTHING

    with_api(tmp_path, body)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_what_its_scope_says_on_every_route(tmp_path: Path, scope: Scope) -> None:
    """Walks all routes with a key of one scope, without one, and with a wrong one."""

    async def body(api: Api) -> None:
        walked = 0
        for method, rule, handler in routes(api):
            need = need_of(handler)
            if need == "events":
                continue  # judged by Segment's rules, below
            opens = need in ("nothing", scope) or (scope == "read" and method in READING)
            for peer in (LOOPBACK, AWAY):
                path = path_of(rule)
                let_in = await api.ask(method, path, peer=peer, headers=bearer("k"))
                assert (let_in.status not in (401, 403)) == opens, (method, rule)
                if not opens and method != "HEAD":
                    assert let_in.problem.code == "scope"
                    assert f"Key `k` lacks the scope `{need}`" in let_in.problem.detail
                    assert 'error="insufficient_scope"' in let_in.headers["WWW-Authenticate"]
                for headers, code in ((None, "no_key"), (bearer("K"), "invalid_key")):
                    refused = await api.ask(method, path, peer=peer, headers=headers)
                    assert (refused.status == 401) == (need != "nothing"), (method, rule)
                    if refused.status == 401 and method != "HEAD":
                        assert refused.problem.code == code
                        assert refused.headers["WWW-Authenticate"].startswith('Bearer realm="tidemill"')
                walked += 1
        assert walked > 80

    with_api(tmp_path, body, keys=held(scope))


def test_a_route_that_declares_nothing_is_closed_to_everybody(tmp_path: Path) -> None:
    async def forgotten() -> str:
        return "secret"

    async def open_() -> str:
        return "secret"

    async def body(api: Api) -> None:
        api.app.add_url_rule("/forgotten", "forgotten", forgotten)
        api.app.add_url_rule("/open", "open", needs("read")(open_))
        for peer in (None, LOOPBACK, AWAY):
            refused = await api.get("/forgotten", peer=peer, headers=bearer("k") | {"Host": "localhost"})
            assert (refused.status, refused.problem.code) == (403, "closed")
        assert (await api.get("/open")).body == b"secret"

    with_api(tmp_path, body, keys=held(*SCOPES))


def test_where_there_is_nothing_only_a_key_is_told_so(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        assert (await api.get("/v1/nothing", peer=AWAY)).status == 401
        assert (await api.get("/v1/nothing", peer=AWAY, headers=bearer("k"))).status == 404
        assert (await api.patch("/v1/flows", peer=AWAY)).status == 401

    with_api(tmp_path, body, keys=held("read"))


@pytest.mark.parametrize(
    "header",
    [
        "k",
        "Bearer",
        "Bearer ",
        "Bearer K",
        "Bearer k k",
        "Bearer k,k",
        'Bearer "k"',
        "Basic azo=",
        "Basic k",
        "Token k",
        "Bearer " + sha256_of(b"k"),
        "Bearer \xff",
        "Bearer " + "k" * 8_000,
    ],
)
def test_what_is_not_quite_a_key_is_none(tmp_path: Path, header: str) -> None:
    async def body(api: Api) -> None:
        refused = await api.get("/v1/flows", peer=AWAY, headers={"Authorization": header})
        assert refused.status == 401

    with_api(tmp_path, body, keys=held("read"))


def test_with_keys_loopback_needs_one_and_a_unix_socket_does_not(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        assert (await api.get("/v1/flows", peer=LOOPBACK)).problem.code == "no_key"
        assert (await api.get("/v1/flows", peer=None)).status == 200
        assert (
            await api.get("/v1/flows", peer=LOOPBACK, headers={"Authorization": "bearer  k"})
        ).status == 200

    with_api(tmp_path, body, keys=held("read"))


def test_a_key_that_is_revoked_opens_nothing_from_then_on(tmp_path: Path) -> None:
    keys = held("flows")

    async def body(api: Api) -> None:
        assert (await api.post("/v1/flows", FLOW, peer=AWAY, headers=bearer("k"))).status == 201
        keys.replace([])
        refused = await api.get("/v1/flows", peer=AWAY, headers=bearer("k"))
        assert (refused.status, refused.problem.code) == (403, "not_local")
        assert "tidemill keys create" in refused.problem.detail

    with_api(tmp_path, body, keys=keys)


def test_events_on_this_port_go_by_keys_for_events(tmp_path: Path) -> None:
    event = {"userId": "a", "event": "A"}
    keys = held("flows", "read")

    async def body(api: Api) -> None:
        assert (await api.post("/v1/track", event, peer=LOOPBACK)).status == 200
        assert (await api.post("/v1/track", event, peer=AWAY, headers=bearer("k"))).status == 403
        keys.replace([Key("e", ("events",), sha256_of(b"e"))])
        assert (await api.post("/v1/track", event, peer=LOOPBACK)).status == 401
        assert (await api.post("/v1/track", event, peer=AWAY, headers=bearer("e"))).status == 200
        assert (
            await api.post("/v1/track", event, peer=AWAY, headers={"Authorization": "Basic ZTo="})
        ).status == 200
        assert (await api.post("/v1/track", event, peer=AWAY, headers=bearer("k"))).status == 401
        refused = await api.get("/v1/flows", peer=AWAY, headers=bearer("e"))
        assert refused.problem.code == "scope"

    with_api(tmp_path, body, keys=keys)


def test_a_page_that_names_itself_oddly_is_refused(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        for origin in ("http://[", "http://[::1", "\xff", "null", ""):
            refused = await api.get(
                "/v1/flows", peer=LOOPBACK, headers={"Host": "localhost", "Origin": origin}
            )
            assert (refused.status, refused.problem.code) == (403, "foreign_origin")

    with_api(tmp_path, body)


def test_the_description_says_which_scope_each_operation_needs(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        whole = (await api.get("/openapi.json")).body
        assert set(whole["components"]["securitySchemes"]) == {"key", "write_key"}
        assert "`flows`" in whole["paths"]["/v1/flows"]["post"]["description"]
        assert "`flows` or `read`" in whole["paths"]["/v1/flows"]["get"]["description"]
        for path, methods in whole["paths"].items():
            for described in methods.values():
                open_to_all = described["security"] == [{}]
                assert open_to_all == (path in NOTHING), path

    with_api(tmp_path, body)
