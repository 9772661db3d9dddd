"""Requests and answers of handlers: bodies, queries, documents, JSON.

Bodies are decoded from their bytes straight into msgspec Structs, so a wrong type is refused with its place.

Rejected: the validation of quart-schema, which takes `"5"` for 5, and says "bad request" without the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import msgspec
import trio
from quart import Response, current_app, request

from api.management.problems import escaped, invalid, wrong
from engine.errors import Refused, TidemillError
from engine.flow.source.source import load
from engine.limits import CONTROL_BYTES_MAX, FLOW_DOCUMENT_BYTES_MAX, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX

if TYPE_CHECKING:
    from engine.service import Service

EXTENSION = "tidemill"
JSON = "application/json"
YAML = ("application/yaml", "application/x-yaml", "text/yaml")
ENVELOPE_BYTES = 64 * 1024
"""Bytes reserved for the envelope around a body in its journal line."""

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1

T = TypeVar("T")

Limit = Annotated[int, msgspec.Meta(ge=1, le=LIST_LIMIT_MAX, description="How many rows at most.")]
Cursor = Annotated[
    str, msgspec.Meta(description="The `cursor` of the answer before; absent: from the start.")
]


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Page of a list: its size and where it begins."""

    limit: Limit = LIST_LIMIT_DEFAULT
    cursor: Cursor | None = None


def service() -> Service:
    """Return the engine that this app serves."""
    return cast("Service", current_app.extensions[EXTENSION])


def answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer; `value` is anything that msgspec encodes."""
    return Response(msgspec.json.encode(value), status, headers, content_type=JSON)


def nothing() -> Response:
    """Return an answer without a body: 204."""
    return Response(b"", 204)


def query(shape: type[T]) -> T:
    """Return the query string as `shape`. Raise Refused `invalid` for unknown and repeated parameters."""
    parameters: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) > 1:
            raise wrong(f"/{name}", "A parameter is given once")
        parameters[name] = values[0]
    return _converted(parameters, shape, strict=False)


async def body(shape: type[T]) -> T:
    """Return the JSON body as `shape`.

    Raise TidemillError `not_json`, and Refused `unsupported_media_type`, `invalid` or `too_large`.
    """
    data = await _bytes(CONTROL_BYTES_MAX - ENVELOPE_BYTES)
    if request.mimetype not in ("", JSON):
        raise _unsupported(JSON)
    return _decoded(data, shape)


async def optional_body(shape: type[T]) -> T:
    """Return the JSON body as `body` does; an empty body means `{}`."""
    data = await _bytes(CONTROL_BYTES_MAX - ENVELOPE_BYTES)
    if data and request.mimetype not in ("", JSON):
        raise _unsupported(JSON)
    return _decoded(data or b"{}", shape)


async def document() -> dict[str, Any]:
    """Return a document from JSON or YAML. The engine checks its content.

    Raise Refused `not_yaml`, and whatever `body` raises.
    """
    data = await _bytes(FLOW_DOCUMENT_BYTES_MAX)
    if request.mimetype in YAML:
        raw = await trio.to_thread.run_sync(_from_yaml, data)
        _check_numbers(raw)
        return _converted(raw, dict[str, Any])
    if request.mimetype not in ("", JSON):
        raise _unsupported(f"{JSON} and {YAML[0]}")
    return _decoded(data, dict[str, Any])


async def body_bytes() -> bytes:
    """Return the bytes of the body, within the bound of the app."""
    data = await request.get_data(as_text=False)
    assert isinstance(data, bytes)
    return data


async def _bytes(bytes_max: int) -> bytes:
    data = await body_bytes()
    if len(data) > bytes_max:
        raise Refused("too_large", f"A body has at most {bytes_max} bytes on this route.")
    return data


def _from_yaml(data: bytes) -> Any:
    """Parse YAML. To be called in a worker thread: two megabytes take seconds."""
    loaded = load(data, yaml=True)
    if loaded.problems:
        first = loaded.problems[0]
        detail = f"The body is not YAML: line {first.line}: {first.detail}"
        raise Refused("not_yaml", detail, problems=loaded.problems)
    return loaded.raw


def _converted(raw: object, shape: type[T], *, strict: bool = True) -> T:
    try:
        return msgspec.convert(raw, shape, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def _decoded(data: bytes, shape: type[T]) -> T:
    try:
        value = msgspec.json.decode(data, type=shape)
        _check_numbers(msgspec.to_builtins(value))
        return value
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TidemillError("not_json", f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise TidemillError("not_json", "The body nests too deeply.") from None


def _check_numbers(raw: object) -> None:
    """Refuse a whole number of more than 64 bits: the engine stores values as MessagePack."""
    pending: list[tuple[str, object]] = [("", raw)]
    while pending:
        pointer, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{pointer}/{escaped(str(key))}", item) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [(f"{pointer}/{index}", item) for index, item in enumerate(value)]
        elif isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
            raise wrong(pointer, "A whole number has at most 64 bits")


def _unsupported(media: str) -> Refused:
    detail = f"The body says it is {request.mimetype}."
    return Refused("unsupported_media_type", detail, remedy=f"This route takes {media}.")
