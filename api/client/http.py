"""A small client of the management API for the command line: JSON over HTTP, by TCP or a Unix socket.

The standard library's `http.client` does all of it; a client library would bring pools, retries and an event
loop of its own to a program that asks one question and ends.

A key comes from the environment (TIDEMILL_KEY) or from a file, never from the command line, which every user of the
machine can read in the list of processes.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from api.config import Address, Settings
from api.refusals import terminal_sentence
from engine.errors import Problem, TidemillError

TIMEOUT_S = 30.0
KEY_VARIABLE = "TIDEMILL_KEY"
KEY_BYTES_MAX = 4_096


class EngineError(TidemillError):
    """The engine refused, or could not be reached."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def key_of(file: Path | None, environ: Mapping[str, str]) -> str:
    """Return the key to send: the first line of `file` if there is one, else TIDEMILL_KEY; "" for none."""
    if file is None:
        return environ.get(KEY_VARIABLE, "").strip()
    try:
        with file.open("rb") as opened:
            return opened.readline(KEY_BYTES_MAX).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        detail = f"The key cannot be read from {file}: {_reason(error)}."
        raise EngineError("key", detail, remedy="Name a file that holds one, and nothing else.") from error


class Client:
    """Asks one running engine; `key` is shown where there is one."""

    def __init__(self, address: Address, key: str = "") -> None:
        self.address = address
        self._key = key
        self._timeout_s: float | None = TIMEOUT_S

    @classmethod
    def of(cls, settings: Settings, key: str = "") -> Client:
        """Return a client of the engine that these settings would serve, at its first `http` address.

        Raises EngineError without any.
        """
        addresses = settings.addresses("http")
        if not addresses:
            raise EngineError(
                "no_address", "No `http` address is configured.", remedy="Give one with --http."
            )
        return cls(addresses[0], key)

    def get(self, *path: str, **query: object) -> Any:
        return self._ask("GET", path, query)

    def rows(self, *path: str, **query: object) -> list[Any]:
        """Return a whole list, page by page; its last part names both the path and the rows in the answer."""
        page = self.get(*path, **query)
        rows: list[Any] = page[path[-1]]
        while cursor := page.get("cursor"):
            page = self.get(*path, **query, cursor=cursor)
            rows += page[path[-1]]
        return rows

    def post(
        self,
        *path: str,
        body: object = None,
        revision: int | None = None,
        patient: bool = False,
        **query: object,
    ) -> Any:
        """Send a POST. `patient`: without a time limit on the answer."""
        if patient:
            self._timeout_s = None
        return self._ask("POST", path, query, body, revision)

    def put(self, *path: str, body: object = None, revision: int | None = None, **query: object) -> Any:
        return self._ask("PUT", path, query, body, revision)

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        query: dict[str, object],
        body: object = None,
        revision: int | None = None,
    ) -> Any:
        """Return the decoded answer. Raises EngineError with the problem's sentence and, where known, a remedy.

        With a `revision`, what is asked is refused if the draft is no longer that one (`If-Match`).
        """
        given = {name: value for name, value in query.items() if value not in (None, "")}
        target = "/v1/" + "/".join(quote(part, safe="") for part in path)
        if given:
            target += "?" + urlencode(given)
        headers = {"Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        payload = None
        if body is not None:
            payload = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        status, answer = self._exchange(method, target, payload, headers)
        if status >= 400:
            raise _refusal(status, answer)
        return _decoded(answer) if answer else None

    def _exchange(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request(method, target, payload, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except ssl.SSLCertVerificationError as error:
            detail = f"The certificate of {self.address} is not trusted ({error.verify_message})."
            remedy = "Ask under the name it is made for, and say with SSL_CERT_FILE whom to trust."
            raise EngineError("untrusted", detail, remedy=remedy) from error
        except ValueError:  # http.client, of a header it cannot send; it would quote the key
            raise EngineError(
                "key", "The key is none of ours: it has characters that ours do not have."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            detail = f"No engine answers at {self.address} ({_reason(error)})."
            remedy = "Start one with `tidemill serve`, or say with --http where it listens."
            raise EngineError("unreachable", detail, remedy=remedy) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.address.is_unix:
            return _UnixConnection(self.address.path, self._timeout_s)
        host, port = self.address.host, self.address.port
        if self.address.tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error or type(error).__name__).lower()


def _decoded(answer: bytes) -> Any:
    try:
        return msgspec.json.decode(answer)
    except msgspec.DecodeError as error:
        detail = "What answers there does not speak JSON; it is not the management API of tidemill."
        raise EngineError("not_tidemill", detail, remedy="Check --http.") from error


def _refusal(status: int, answer: bytes) -> EngineError:
    """Return an RFC 9457 problem as an error; any other answer is shown by its status alone."""
    try:
        problem = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    detail = str(problem.get("detail") or problem.get("title") or f"The engine answered {status}.")
    raw = problem.get("errors") or []
    problems = tuple(msgspec.convert(entry, Problem) for entry in raw if isinstance(entry, dict))
    code = str(problem.get("code", "refused"))
    return EngineError(code, terminal_sentence(code, detail), problems=problems)
