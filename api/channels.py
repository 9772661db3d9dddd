"""The channels of the configuration, made ready: their secrets are read here, from files and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from api.config import ChannelSettings, ConfigError, LogSettings, OutboxSettings, WebhookSettings
from engine.delivery.channels import Channel, Log, Outbox
from engine.delivery.channels.target import TargetError
from engine.delivery.channels.webhook import Webhook, decode_secret
from engine.limits import WEBHOOK_SECRETS_MAX


def make_channels(
    settings: Mapping[str, ChannelSettings], environ: Mapping[str, str]
) -> dict[str, Channel | Outbox]:
    """Make a channel for each name. Raises ConfigError."""
    return {name: _make(name, channel, environ) for name, channel in settings.items()}


def _make(name: str, settings: ChannelSettings, environ: Mapping[str, str]) -> Channel | Outbox:
    match settings:
        case LogSettings():
            return Log()
        case OutboxSettings():
            return Outbox()
        case WebhookSettings():
            return _webhook(name, settings, environ)


def _webhook(name: str, settings: WebhookSettings, environ: Mapping[str, str]) -> Webhook:
    secrets = _secrets(name, settings, environ)
    try:
        return Webhook(
            url=settings.url,
            secrets=secrets,
            allowed=settings.allow,
            timeout_s=settings.timeout_s,
            workers=settings.workers,
        )
    except TargetError as error:
        raise ConfigError("channel", f"channels.{name}.url: {error}") from None


def _secrets(name: str, settings: WebhookSettings, environ: Mapping[str, str]) -> list[bytes]:
    """Return the secrets, the newest first. No message quotes one."""
    remedy = "`openssl rand -base64 32` makes a good one; write whsec_ before it."
    if bool(settings.secret_file) == bool(settings.secret_env):
        detail = (
            f"channels.{name}: a webhook needs a secret: give `secret_file` or `secret_env`, one of them."
        )
        raise ConfigError("secret", detail, remedy=remedy)
    if settings.secret_env:
        source, text = f"the variable {settings.secret_env}", environ.get(settings.secret_env, "")
    else:
        source = settings.secret_file
        try:
            text = Path(settings.secret_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            detail = f"channels.{name}: the secret cannot be read from {source}: {reason}."
            raise ConfigError("secret", detail, remedy="Check its name, owner and permissions.") from None
    lines = text.split()
    if not 1 <= len(lines) <= WEBHOOK_SECRETS_MAX:
        detail = (
            f"channels.{name}: {source} holds {len(lines)} secrets; 1 to {WEBHOOK_SECRETS_MAX} are expected."
        )
        raise ConfigError("secret", detail, remedy=remedy)
    try:
        return [decode_secret(line) for line in lines]
    except ValueError as error:
        detail = f"channels.{name}: a secret in {source} cannot be used: {error}."
        raise ConfigError("secret", detail, remedy=remedy) from None
