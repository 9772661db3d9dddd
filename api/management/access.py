"""Access to the management API, decided before any handler runs.

Every route declares the scope that it needs (`needs`, or `operation` for routes in the OpenAPI document); a route
without a scope is closed. Then:

- A client on a Unix socket is served: the mode of the socket's file has decided already who can connect.
- Once there is a key, every other client needs one with the scope of the route. This includes clients on loopback,
  where a reverse proxy and every user of the machine connect from. The scope `read` opens all GET requests.
- Without keys, loopback is served and nothing else, after two checks. A web page can point its own host name at
  127.0.0.1 (DNS rebinding) and then read our answers as its own. So `Host` must be a loopback name, or an address on
  which this server is configured to listen. Any page may also send a simple POST to localhost, without reading the
  answer. Its browser names the page in `Origin`, which must then be this server. A page has no key, so with keys both
  checks are unnecessary.

Rejected: trusting `Forwarded` headers (a proxy is a client like any other, and needs a key), and CORS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from quart import Response, current_app, request

from api.keys import Keys, Scope
from api.listen import is_loopback
from api.management.problems import problem

LOCAL_NAMES = frozenset({"localhost", "localhost."})
READING = frozenset({"GET", "HEAD"})
CHALLENGE = 'Bearer realm="tidemill"'

Need = Scope | Literal["nothing"]
"""Scope of a route. `nothing`: its answer shows only that an engine is here, or the shape of the API."""

_NEEDS = "_tidemill_needs"

Handler = TypeVar("Handler", bound=Callable[..., Any])


def needs(need: Need) -> Callable[[Handler], Handler]:
    """Declare the scope that a handler needs."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _NEEDS, need)
        return handler

    return mark


def need_of(handler: Callable[..., Any]) -> Need | None:
    """Return the scope that a handler declares; None if it declares none, hence is closed."""
    need: Need | None = getattr(handler, _NEEDS, None)
    return need


def scopes_for(need: Need, method: str) -> tuple[str, ...]:
    """Return the scopes that open a route that needs `need`, each alone."""
    return (need, "read") if method in READING else (need,)


class Access:
    """Decision whether a request is served. `names` are further host names that `Host` may carry."""

    def __init__(self, keys: Keys, names: frozenset[str] = frozenset()) -> None:
        self._keys = keys
        self._names = names

    async def check(self) -> Response | None:
        """Return a refusal of the request being handled, or None to go on."""
        need: Need | None = "read"  # for the answer that a path does not exist
        if request.url_rule is not None:
            need = need_of(current_app.view_functions[request.url_rule.endpoint])
        if need is None:
            return _refused("closed", "This route declares no scope.")
        client = request.scope.get("client")
        if client is None:  # a Unix socket
            return None
        if need == "events" and self._keys.guard_events:
            return None  # `api.intake.segment_api` checks the key and refuses in Segment's shape
        if self._keys.guard_management and need != "events":
            return self._check_key(need)
        return self._check_origin(client[0])

    def _check_key(self, need: Need) -> Response | None:
        if need == "nothing":
            return None
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            detail = (
                "Send a key of this engine as `Authorization: Bearer …`; `tidemill keys create` makes one."
            )
            return _refused("no_key", detail, status=401, challenge=CHALLENGE)
        key = self._keys.find(secret.strip().encode("utf-8", "surrogatepass"))
        if key is None:
            detail = "This key is unknown or revoked; `tidemill keys list` lists the valid ones."
            return _refused(
                "invalid_key", detail, status=401, challenge=f'{CHALLENGE}, error="invalid_token"'
            )
        scopes = scopes_for(need, request.method)
        if not key.allows(scopes):
            detail = f"Key `{key.name}` lacks the scope {' or '.join(f'`{scope}`' for scope in scopes)}."
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{" ".join(scopes)}"'
            return _refused("scope", detail, challenge=challenge)
        return None

    def _check_origin(self, peer: str) -> Response | None:
        if not is_loopback(peer):
            detail = (
                "Without a key only this machine is served; run `tidemill keys create` there to make one."
            )
            return _refused("not_local", detail)
        host = request.headers.get("Host", "")
        if not self._knows(host):
            return _refused(
                "unknown_host", f"This server does not answer to the host name {host!r}; use localhost."
            )
        origin = request.headers.get("Origin")
        if origin is not None and not _is_page_of(origin, host):
            return _refused("foreign_origin", f"Requests from web pages of {origin!r} are refused.")
        return None

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in LOCAL_NAMES or name in self._names or is_loopback(name)


def _is_page_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _refused(code: str, detail: str, *, status: int = 403, challenge: str = "") -> Response:
    return problem(status, code, detail, headers={"WWW-Authenticate": challenge} if challenge else None)
