"""Management API: one Quart app, one blueprint per noun.

The app holds no state of its own. It reads the kernel and hands operations to the service; both live in tasks
of the engine's nursery, of which the web server is one child (`api.management.server`), never the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from quart_trio import QuartTrio
from werkzeug.routing import UnicodeConverter

from api.intake.segment_api import Reception
from api.keys import Keys
from api.management import openapi, problems
from api.management.access import Access
from api.management.contacts import contacts
from api.management.events import RECEPTION, events
from api.management.flows import flows
from api.management.health import operations
from api.management.outbox import outbox
from api.management.problems import OnBug
from api.management.request import EXTENSION
from api.management.segments import segments
from api.management.store import store
from engine.limits import API_ANSWER_S, API_BODY_S, EVENTS_BODY_BYTES_MAX

if TYPE_CHECKING:
    from engine.service import Service


class NameConverter(UnicodeConverter):
    """Converter for a part of a path that may hold any text: a slash arrives as `%2F`, a per cent sign as `%25`."""

    def to_python(self, value: str) -> str:
        return value.replace("%2F", "/").replace("%25", "%")


class App(QuartTrio):
    """Quart app that splits a path before it decodes the parts: `/contacts/a%2Fb` has two of them."""

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        raw = scope.get("raw_path")
        decoded: Any = scope if raw is None else {**scope, "path": decoded_path(raw)}
        await super().asgi_app(decoded, receive, send)


def decoded_path(raw: bytes) -> str:
    """Decode a path except for `%2F` and `%25`, which `NameConverter` decodes."""
    protected = raw.replace(b"%25", b"%2525").replace(b"%2F", b"%252F").replace(b"%2f", b"%252F")
    return unquote(protected.decode("ascii"))


def create_app(
    service: Service,
    *,
    on_bug: OnBug,
    keys: Keys | None = None,
    names: frozenset[str] = frozenset(),
) -> App:
    """Return the app that serves `service`.

    `on_bug` is called with faults of ours and must stop the process. `names` are the host names of this server besides
    localhost. `keys` grant the scopes; without any, only this machine is served.
    """
    app = App("tidemill", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = EVENTS_BODY_BYTES_MAX
    app.config["BODY_TIMEOUT"] = API_BODY_S
    app.config["RESPONSE_TIMEOUT"] = API_ANSWER_S
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    app.url_map.converters["name"] = NameConverter
    app.extensions[EXTENSION] = service
    keys = keys or Keys()
    app.extensions[RECEPTION] = Reception(keys)
    access = Access(keys, names)

    app.before_request(access.check)
    problems.install(app, on_bug)
    for blueprint in (flows, contacts, segments, outbox, events, operations, store):
        app.register_blueprint(blueprint)
    openapi.install(app)
    return app
