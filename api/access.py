"""Who is served while no key is configured: this machine, and nobody who speaks through a browser's back.

Three questions, all asked before any handler runs:

- Where does the connection come from? A Unix socket (its file's mode decides) or a loopback address.
- Which name was asked for? A web page can point a name of its own at 127.0.0.1 (DNS rebinding) and then read
  our answers as its own, so `Host` must be a loopback name, or an address this server was told to listen on.
- Whose page asks? Any page may send a simple POST to localhost without being able to read the answer; its
  browser names the page in `Origin`, which must then be us.

Rejected: trusting `Forwarded` headers (a proxy in front is a peer like any other, and needs a key), and CORS.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Response, request

from api.listen import is_loopback
from api.problems import problem

LOCAL_NAMES = frozenset({"localhost", "localhost."})


class Access:
    """Decides whether a request is served. `names` are further host names that `Host` may carry."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self._names = names

    async def check(self) -> Response | None:
        """A refusal for the request being handled, or None: go on."""
        client = request.scope.get("client")
        if client is None:  # a Unix socket
            return None
        if not is_loopback(client[0]):
            return _refused("not_local", "Without a key only this machine is served.")
        host = request.headers.get("Host", "")
        if not self._knows(host):
            return _refused("unknown_host", f"This server is not called {host!r}; ask for it as localhost.")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refused("foreign_origin", f"Pages of {origin!r} are not served.")
        return None

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in LOCAL_NAMES or name in self._names or is_loopback(name)


def _refused(code: str, detail: str) -> Response:
    return problem(403, code, detail)
