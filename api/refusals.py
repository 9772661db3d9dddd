"""HTTP statuses of the engine's errors, and remedies in the words of HTTP or of a terminal.

The engine knows neither statuses nor paths nor commands (`engine.errors`). It raises a class with a code; here the
class decides the status, and a code overrides it where the class alone is not enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from engine.errors import Conflict, NotFound, Refused, StoreError, TidemillError, Unavailable

STATUS_OF_CODE: Mapping[str, HTTPStatus] = {
    "invalid_cursor": HTTPStatus.BAD_REQUEST,
    "not_yaml": HTTPStatus.BAD_REQUEST,
    "stale_revision": HTTPStatus.PRECONDITION_FAILED,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "slow_down": HTTPStatus.TOO_MANY_REQUESTS,
}
"""Code -> status, where it differs from the default of the error's class."""

STATUS_OF_CLASS: tuple[tuple[type[TidemillError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (TidemillError, HTTPStatus.BAD_REQUEST),
)
"""The default status of each class; the first class that fits counts."""


class Remedy(msgspec.Struct, frozen=True):
    """Sentence about the way out of an error, over HTTP and in a terminal. `{named}` is the id in question."""

    http: str
    terminal: str


REMEDIES: Mapping[str, Remedy] = {
    "no_such_flow": Remedy("List them with GET /v1/flows.", "List them with `tidemill flows list`."),
    "no_draft": Remedy(
        "Start one with POST /v1/flows/{named}/draft.",
        "Start one with `tidemill flows restore {named} VERSION`.",
    ),
    "flow_not_scenario": Remedy(
        "Send it as one of the scenario's `flows`.",
        "Check it with `tidemill check {named}`.",
    ),
    "draft_exists": Remedy(
        "Repeat with replace=true to start over.",
        "Say --replace to throw its draft away.",
    ),
}
"""Code -> remedy, for errors that bring none themselves."""


def status_of(error: TidemillError) -> int:
    """Return the HTTP status of the answer to this error."""
    default = next(status for kind, status in STATUS_OF_CLASS if isinstance(error, kind))
    return int(STATUS_OF_CODE.get(error.code, default))


def http_sentence(error: TidemillError) -> str:
    """Return the failure and its remedy in the words of the HTTP API."""
    if not error.remedy and error.code in REMEDIES:
        return f"{error.detail} {REMEDIES[error.code].http.format(named=error.named)}"
    return str(error)


def command_sentence(error: TidemillError) -> str:
    """Return the failure and its remedy in the words of a terminal."""
    if not error.remedy and error.code in REMEDIES:
        return f"{error.detail} {REMEDIES[error.code].terminal.format(named=error.named)}"
    return str(error)


def terminal_sentence(code: str, detail: str) -> str:
    """Return a sentence of the HTTP API with its remedy, if it is in the table, in the words of a terminal."""
    if code not in REMEDIES:
        return detail
    remedy = REMEDIES[code]
    pattern = re.escape(remedy.http).replace(re.escape("{named}"), r"(?P<named>[^/\s]+)") + r"\Z"
    match = re.search(pattern, detail)
    if match is None:
        return detail
    return detail[: match.start()] + remedy.terminal.format(**match.groupdict())
