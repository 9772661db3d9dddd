"""Description of the API: OpenAPI 3.1 at `/openapi.json`, readable at `/docs` without any outside host.

quart-schema walks the routes; this module completes its document, which omits schemas that it refers to, misplaces
headers, and loses the middle of `/<a>/b/<int:c>`. `@operation` declares the inputs and answers of a handler, and the
handler's docstring is the text. A test checks the document against the rules of the standard.

The page is Swagger UI from the files of `swagger-ui-bundle`. That release supports OpenAPI up to 3.0, so the page reads
the same document in the older dialect; `/openapi.json` stays 3.1. A Content-Security-Policy forbids it every host but
this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar

import msgspec
from quart import Blueprint, Quart, Response, current_app, redirect, send_from_directory
from quart_schema import Info, OpenAPIProvider, QuartSchema, Tag, hide
from quart_schema.documentation import document_querystring, document_request, document_response
from swagger_ui_bundle import swagger_ui_path
from werkzeug.exceptions import NotFound
from werkzeug.routing import Rule

from api.management.access import Need, need_of, scopes_for
from api.management.access import needs as _needs
from api.management.problems import MEDIA_TYPE, ProblemAnswer
from api.management.request import JSON, YAML, answer

TITLE = "tidemill"
TAGS = {
    "flows": "Journeys: drafts, launches, versions, statistics.",
    "contacts": "Customers: their traits, their runs, and why they are in a flow or not.",
    "segments": "Named sets of contacts, and pools of promo codes.",
    "outbox": "For an application that delivers messages by itself.",
    "intake": "Intake of events; the intake listener serves the same paths, faster.",
    "operations": "Health, metrics, monitoring, the schema of events.",
}
SCHEMES: dict[str, Any] = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key; `tidemill keys create` makes one."},
    "write_key": {"type": "http", "scheme": "basic", "description": "A key for events, as user name."},
}
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-16x16.png", "favicon-32x32.png"})

PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{TITLE}: the API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" sizes="32x32" href="docs/favicon-32x32.png">
</head>
<body>
<div id="ui"></div>
<noscript>This page needs JavaScript; the same is at <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "docs/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null,
  docExpansion: "list", defaultModelsExpandDepth: 0, tryItOutEnabled: true
});
"""

Handler = TypeVar("Handler", bound=Callable[..., Any])
Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_EXTRA = "_tidemill_operation"
_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


class Extra(msgspec.Struct, frozen=True):
    """Facts about an operation beyond quart-schema's own marks."""

    refusals: tuple[int, ...]
    media: tuple[str, ...] = (JSON,)
    request_headers: Mapping[str, str] = {}
    answer_headers: Mapping[str, str] = {}
    optional: bool = False


def operation(
    *,
    needs: Need,
    answers: Mapping[int, Any],
    query: type | None = None,
    body: Any = None,
    optional: bool = False,
    media: tuple[str, ...] = (JSON,),
    refusals: Iterable[int] = (),
    request_headers: Mapping[str, str] | None = None,
    answer_headers: Mapping[str, str] | None = None,
) -> Callable[[Handler], Handler]:
    """Describe a handler, and declare the scope that it `needs` (`api.management.access`).

    `answers` maps a status to the answer's type; None: no body, a text: its media type. `query` and `body` are the
    types that the handler reads, `media` the media types of the body; `optional`: the body may be empty. `refusals` are
    the statuses of its refusals; those that come with any body are added. The first line of the handler's docstring
    is the summary, the rest the description.
    """
    extra = Extra(tuple(refusals), media, request_headers or {}, answer_headers or {}, optional)

    def mark(handler: Handler) -> Handler:
        for status, shape in answers.items():
            document_response(shape, status)(handler)
        if query is not None:
            document_querystring(query)(handler)
        if body is not None:
            document_request(body)(handler)
        setattr(handler, _EXTRA, extra)
        return _needs(needs)(handler)

    return mark


def with_yaml(**described: Any) -> Callable[[Handler], Handler]:
    """Describe a handler as `operation` does, with a body that may also be YAML."""
    return operation(media=(JSON, YAML[0]), **described)


class Provider(OpenAPIProvider):
    """Document of quart-schema with complete schemas, problem answers, headers and stable operation ids."""

    def schema(self) -> Schema:
        """Return the whole document, with paths in alphabetical order."""
        document: Schema = super().schema()
        document["paths"] = dict(sorted(document["paths"].items()))
        document["components"]["schemas"].update(_components(ProblemAnswer)[1])
        document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
        document["components"]["securitySchemes"] = SCHEMES
        return document

    def build_paths(self, rule: Rule) -> tuple[Schema, Schema]:
        paths, components = super().build_paths(rule)
        extra: Extra = getattr(self._app.view_functions[rule.endpoint], _EXTRA)
        need = need_of(self._app.view_functions[rule.endpoint])
        assert need is not None, f"{rule.rule} declares no scope"
        (operations,) = paths.values()
        for method, described in operations.items():
            _complete(described, extra)
            _secure(described, need, method.upper())
        return {_VARIABLE.sub(r"{\1}", rule.rule): operations}, components

    def build_querystring_parameters(self, model: Any) -> tuple[list[Schema], Schema]:
        _, components = _components(model)
        schema = components.pop(model.__name__)
        required = schema.get("required", ())
        parameters = []
        for name, described in schema["properties"].items():
            text = described.pop("description", "")
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in required,
                    "description": text,
                    "schema": described,
                }
            )
        return parameters, components

    def build_request_body(self, model: Any, source: Any) -> tuple[Schema, Schema]:
        schema, components = _components(model)
        return {"required": True, "content": {JSON: {"schema": schema}}}, components

    def build_response_object(self, model: Any, headers_model: Any) -> tuple[Schema, Schema]:
        if model is None:
            return {"description": "Done."}, {}
        if isinstance(model, str):
            return {"description": "Done.", "content": {model: {"schema": {"type": "string"}}}}, {}
        schema, components = _components(model)
        text = components.get(getattr(model, "__name__", ""), {}).get("description", "Done.")
        return {"description": text, "content": {JSON: {"schema": schema}}}, components

    def operation_id(self, method: str, path: str, func: Callable[..., Any]) -> str:
        return func.__name__


def _components(model: Any) -> tuple[Schema, Schema]:
    """Return the schema of a type, and every schema that it refers to."""
    (schema,), components = msgspec.json.schema_components([model], ref_template=_REF)
    return schema, dict(components)


def _complete(described: Schema, extra: Extra) -> None:
    responses = {str(status): one for status, one in described["responses"].items()}
    for one in responses.values():
        if extra.answer_headers:
            one["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in extra.answer_headers.items()
            }
    refusal = {"schema": {"$ref": _REF.format(name=ProblemAnswer.__name__)}}
    refusals = {*extra.refusals, 401, 403} | ({400, 413, 415, 422} if "requestBody" in described else set())
    for status in sorted(refusals - {int(status) for status in responses}):
        responses[str(status)] = {"description": REFUSALS[status], "content": {MEDIA_TYPE: refusal}}
    described["responses"] = responses
    for name, text in extra.request_headers.items():
        described["parameters"].append(
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        )
    if "requestBody" in described:
        content = described["requestBody"]["content"]
        described["requestBody"] = {
            "required": not extra.optional,
            "content": dict.fromkeys(extra.media, content[JSON]),
        }


def _secure(described: Schema, need: Need, method: str) -> None:
    if need == "nothing":
        described["security"] = [{}]
        return
    scopes = scopes_for(need, method)
    schemes = ("key", "write_key") if need == "events" else ("key",)
    described["security"] = [{}, *({scheme: []} for scheme in schemes)]
    sentence = f"Where keys are required: one with the scope {' or '.join(f'`{scope}`' for scope in scopes)}."
    described["description"] = f"{described.get('description', '')}\n\n{sentence}".strip()


REFUSALS = {
    400: "The request cannot be parsed.",
    401: "A valid key is required.",
    403: "This address, this host name or this key is not allowed.",
    404: "The thing named does not exist.",
    409: "The present state does not allow it.",
    412: "It has changed since; read it again.",
    413: "The body is too large.",
    415: "The media type of the body is not supported.",
    422: "The content is invalid; `errors` lists the places.",
    429: "Too many requests; try again after `Retry-After`.",
    503: "The engine takes no input at present; try again after `Retry-After`.",
}


def as_openapi_3_0(document: Schema) -> Schema:
    """Convert a document from OpenAPI 3.1 to 3.0: `nullable`, `enum` for `const`, one `example`."""
    return {**_older(document), "openapi": "3.0.3"}


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(item) for item in value]
    if not isinstance(value, dict):
        return value
    older = {key: _older(item) for key, item in value.items()}
    if isinstance(options := older.get("anyOf"), list):
        rest = [option for option in options if option != {"type": "null"}]
        if len(rest) < len(options):
            del older["anyOf"]
            older |= {"nullable": True} | (rest[0] if len(rest) == 1 else {"anyOf": rest})
    if older.get("required") == []:
        del older["required"]
    if isinstance(examples := older.get("examples"), list):
        older["example"] = examples[0]
        del older["examples"]
    if "const" in older:
        older["enum"] = [older.pop("const")]
    return older


pages = Blueprint("docs", __name__)


@pages.get("/openapi.json")
@hide
@_needs("nothing")
async def description() -> Response:
    return answer(current_app.extensions["QUART_SCHEMA"].openapi_provider.schema())


@pages.get("/")
@hide
@_needs("nothing")
async def front_page() -> Any:
    return redirect("docs")


@pages.get("/docs")
@hide
@_needs("nothing")
async def docs_page() -> Response:
    return Response(
        PAGE, headers={"Content-Security-Policy": POLICY}, content_type="text/html; charset=utf-8"
    )


@pages.get("/docs/start.js")
@hide
@_needs("nothing")
async def docs_start() -> Response:
    return Response(START, content_type="text/javascript; charset=utf-8")


@pages.get("/docs/openapi.json")
@hide
@_needs("nothing")
async def docs_document() -> Response:
    provider = current_app.extensions["QUART_SCHEMA"].openapi_provider
    return answer(as_openapi_3_0(provider.schema()))


@pages.get("/docs/<name>")
@hide
@_needs("nothing")
async def docs_file(name: str) -> Response:
    if name not in FILES:
        raise NotFound
    return await send_from_directory(swagger_ui_path, name)


def install(app: Quart) -> None:
    """Serve `/openapi.json` and `/docs`; to be called after every other route is registered."""
    description = "Customer journeys: flows, the contacts that travel them, and what became of them."
    QuartSchema(
        app,
        openapi_path=None,
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        info=Info(title=TITLE, version=version("tidemill"), description=description),
        tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        conversion_preference="msgspec",
        openapi_provider_class=Provider,
    )

    app.register_blueprint(pages)
