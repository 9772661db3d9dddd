"""Settings and their sources: flags, then `TIDEMILL_…` variables, then `tidemill.toml`.

One struct, `Settings`, holds it all; every source is checked against it, so a misspelt key or a wrong type is
one sentence with its place and its remedy. Variables that we do not know are left alone: container platforms
set `TIDEMILL_PORT` and the like of their own accord for a service called tidemill.

Rejected: a configuration library (a handful of keys does not need one), and layers that merge lists (a later
source replaces the list of an earlier one whole, so that what is written in one place is what happens).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from engine.errors import TidemillError
from engine.limits import WEBHOOK_S, WEBHOOK_S_MAX, WEBHOOK_WORKERS, WEBHOOK_WORKERS_MAX

FILE_NAME = "tidemill.toml"
HTTPS = "https://"
PORT_MAX = 65_535
SOCKET_PATH_BYTES_MAX = 107
"""What Linux takes as the path of a Unix socket (`sun_path`, without its closing zero byte)."""


class ConfigError(TidemillError):
    """The configuration cannot be used; `detail` names the source and the key."""


class Address(msgspec.Struct, frozen=True):
    """The address of a listener: `host` and `port` (0: any free one), or the `path` of a Unix socket. `tls`: what is
    said there is encrypted."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        """Return the address as flags have it: `127.0.0.1:7700`, `[::1]:7700`, `https://example.com:7700`,
        `unix:/run/tidemill/http.sock`."""
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{HTTPS if self.tls else ''}{host}:{self.port}"


class _Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """The way in which messages of one channel leave the engine, chosen by `kind`."""


class LogSettings(_Channel, frozen=True, tag="log"):
    """A readable line on stderr."""


class OutboxSettings(_Channel, frozen=True, tag="outbox"):
    """The application pulls them (`GET /v1/outbox`)."""


class WebhookSettings(_Channel, frozen=True, tag="webhook"):
    """POSTed to a URL, signed."""

    url: str = ""
    """Where to; a message may have a `url` of its own."""
    secret_file: str = ""
    """A file with the secret that signs, or with several, one a line, the newest first."""
    secret_env: str = ""
    """The name of a variable that holds the same."""
    allow: tuple[str, ...] = ()
    """Hosts, as HOST or HOST:PORT, that may be on this machine or in a private network."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=WEBHOOK_S_MAX)] = WEBHOOK_S
    """For one attempt, all in all."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=WEBHOOK_WORKERS_MAX)] = WEBHOOK_WORKERS
    """Messages on their way at once."""


ChannelSettings = LogSettings | OutboxSettings | WebhookSettings


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All there is to configure. Lists replace, they do not add up."""

    data: str = "./tidemill-data"
    """The data directory: journal, checkpoints, `schema.yaml`. Made if missing, with mode 0700."""
    http: tuple[str, ...] = ("127.0.0.1:7700",)
    """The management API."""
    intake: tuple[str, ...] = ("127.0.0.1:7701",)
    """Segment's paths and `/v1/events`."""
    stream: tuple[str, ...] = ("127.0.0.1:7702",)
    """NDJSON lines in, acknowledgements out."""
    channels: dict[str, ChannelSettings] = {}
    """`[channels.NAME]`: how messages of that name leave; what is not named is logged."""
    write_keys: tuple[str, ...] = ()
    """Segment's write keys: whoever has one may send events from anywhere. Without any, and without a key for
    events (`tidemill keys`): this machine only."""
    certfile: str = ""
    """The certificate (PEM, with its chain) of the management API, which then speaks TLS on TCP, and nothing else."""
    keyfile: str = ""
    """The private key of `certfile` (PEM)."""

    def addresses(self, listener: str) -> list[Address]:
        """Return the parsed addresses of `http`, `intake` or `stream`."""
        parsed = [parse_address(text, listener) for text in getattr(self, listener)]
        if listener != "http" or not self.certfile:
            return parsed
        return [one if one.is_unix else msgspec.structs.replace(one, tls=True) for one in parsed]


LISTENERS = ("http", "intake", "stream")
TEXTS = ("data", "certfile", "keyfile")
VARIABLES = {f"TIDEMILL_{name.upper()}": name for name in (*TEXTS, *LISTENERS, "write_keys")}
"""Lists are separated by commas. Channels are tables: they stand in the file only."""


def parse_address(text: str, name: str = "address") -> Address:
    """Parse `HOST:PORT` (`[HOST]:PORT` for IPv6), `https://HOST:PORT` or `unix:PATH`.

    Raises ConfigError naming `name`.
    """
    remedy = "Write HOST:PORT, as in 127.0.0.1:7700, or unix:PATH."
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path:
            raise ConfigError("address", f"{name}: {text!r} names no path.", remedy=remedy)
        if len(path.encode()) > SOCKET_PATH_BYTES_MAX:
            detail = f"{name}: the path of a Unix socket has at most {SOCKET_PATH_BYTES_MAX} bytes: {path}."
            raise ConfigError("address", detail, remedy="Choose a shorter one.")
        return Address(path=path)
    tls = name == "http" and text.startswith(HTTPS)
    host, colon, port = text.removeprefix(HTTPS if tls else "").removesuffix("/").rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ConfigError("address", f"{name}: {text!r} is not an address.", remedy=remedy)
    if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        detail = f"{name}: {port!r} in {text!r} is not a port from 0 to {PORT_MAX}."
        raise ConfigError("address", detail, remedy=remedy)
    return Address(host=host[1:-1] if bracketed else host, port=int(port), tls=tls)


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings in force. Flags that are None or empty count as not given.

    `file` must exist where it is named; else `tidemill.toml` of the working directory is read if there is
    one. Raises ConfigError.
    """
    merged: dict[str, Any] = {}
    if file is None and environ and environ.get("TIDEMILL_CONFIG"):
        file = Path(environ["TIDEMILL_CONFIG"])
    if file is not None or Path(FILE_NAME).is_file():
        merged |= _from_file(file if file is not None else Path(FILE_NAME))
    merged |= _from_variables(environ or {})
    merged |= _checked({key: value for key, value in (flags or {}).items() if value}, "flags")
    settings = msgspec.convert(merged, Settings)
    for listener in LISTENERS:
        settings.addresses(listener)
    if bool(settings.certfile) != bool(settings.keyfile):
        detail = "TLS needs a certificate and its private key."
        raise ConfigError("tls", detail, remedy="Give both `certfile` and `keyfile`, or neither.")
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        detail = f"{path} cannot be read: {error.strerror}."
        raise ConfigError("config_file", detail, remedy="Name a file that exists with --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        detail = f"{path} is not TOML: {error}."
        raise ConfigError("config_file", detail, remedy="See toml.io for the syntax.") from error
    return _checked(raw, str(path))


def _from_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, name in VARIABLES.items():
        if text := environ.get(variable, ""):
            parts = [part.strip() for part in text.split(",")]
            found[name] = text if name in TEXTS else [part for part in parts if part]
    return _checked(found, "the environment")


def _checked(raw: dict[str, Any], source: str) -> dict[str, Any]:
    """Return `raw` itself once it fits the struct: only the keys that were given, so that layers can lie over it."""
    try:
        msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        known = ", ".join(Settings.__struct_fields__)
        raise ConfigError("config", f"{source}: {error}.", remedy=f"Known keys: {known}.") from error
    return raw
