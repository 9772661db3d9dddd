"""Who is served by the management API. Asked before any handler runs; what is not allowed is refused.

Every route says which scope it needs (`needs`, or `operation` for those that are described); one that says
nothing is closed to everybody. Then:

- A peer on a Unix socket is served: the mode of its file has decided already who that can be.
- Once there is a key, every other peer needs one with the scope of the route, from loopback too: a reverse proxy
  and every user of the machine speak from there. `read` opens whatever is only looked at.
- While there is none, loopback is served and nobody else, and two further questions are asked. Which name was
  asked for? A web page can point a name of its own at 127.0.0.1 (DNS rebinding) and then read our answers as its
  own, so `Host` must be a loopback name, or an address this server was told to listen on. Whose page asks? Any
  page may send a simple POST to localhost without being able to read the answer; its browser names the page in
  `Origin`, which must then be us. A page has no key, so with keys neither question arises.

Rejected: trusting `Forwarded` headers (a proxy in front is a peer like any other, and needs a key), and CORS.
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
LOOKING = frozenset({"GET", "HEAD"})
CHALLENGE = 'Bearer realm="tidemill"'

Need = Scope | Literal["nothing"]
"""What a route needs. `nothing`: it tells no more than that an engine is here, or how the API looks."""

_NEEDS = "_tidemill_needs"

Handler = TypeVar("Handler", bound=Callable[..., Any])


def needs(need: Need) -> Callable[[Handler], Handler]:
    """Declare what a handler needs."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _NEEDS, need)
        return handler

    return mark


def need_of(handler: Callable[..., Any]) -> Need | None:
    """What a handler declares; None: nothing, so it is closed."""
    found: Need | None = getattr(handler, _NEEDS, None)
    return found


def scopes_for(need: Need, method: str) -> tuple[str, ...]:
    """The scopes one of which opens a route that needs `need`."""
    return (need, "read") if method in LOOKING else (need,)


class Access:
    """Decides whether a request is served. `names` are further host names that `Host` may carry."""

    def __init__(self, keys: Keys, names: frozenset[str] = frozenset()) -> None:
        self._keys = keys
        self._names = names

    async def check(self) -> Response | None:
        """A refusal for the request being handled, or None: go on."""
        need: Need | None = "read"  # to be told that there is nothing at a path
        if request.url_rule is not None:
            need = need_of(current_app.view_functions[request.url_rule.endpoint])
        if need is None:
            return _refused("closed", "Nobody has said who may use this path, so nobody may.")
        client = request.scope.get("client")
        if client is None:  # a Unix socket
            return None
        if need == "events" and self._keys.guard_events:
            return None  # judged where Segment's clients read the answer (`api.intake.segment_api`)
        if self._keys.guard_management and need != "events":
            return self._check_key(need)
        return self._check_place(client[0])

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
            detail = "This key is not, or no longer, one of ours; `tidemill keys list` names those there are."
            return _refused(
                "invalid_key", detail, status=401, challenge=f'{CHALLENGE}, error="invalid_token"'
            )
        scopes = scopes_for(need, request.method)
        if not key.allows(scopes):
            detail = f"The key {key.name} has not the scope {' or '.join(scopes)}; create one that has."
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{" ".join(scopes)}"'
            return _refused("scope", detail, challenge=challenge)
        return None

    def _check_place(self, peer: str) -> Response | None:
        if not is_loopback(peer):
            detail = (
                "Without a key only this machine is served; `tidemill keys create`, run there, makes one."
            )
            return _refused("not_local", detail)
        host = request.headers.get("Host", "")
        if not self._knows(host):
            return _refused("unknown_host", f"This server is not called {host!r}; ask for it as localhost.")
        origin = request.headers.get("Origin")
        if origin is not None and not _is_page_of(origin, host):
            return _refused("foreign_origin", f"Pages of {origin!r} are not served.")
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
