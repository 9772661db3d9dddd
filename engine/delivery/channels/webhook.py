"""The channel `webhook`: each message is POSTed to a URL, signed as Standard Webhooks has it.

    webhook-id: welcome_1_hello_0            the same at every attempt: the effect's id, its dots written as _
    webhook-timestamp: 1786456800            of this attempt
    webhook-signature: v1,base64…            HMAC-SHA256 of `id.timestamp.body`; one per secret, for rotation

    {"type": "tidemill.message", "timestamp": …, "data": {"id", "channel", "contact", "flow", "version", "node",
     "address", "message"}}

2xx is delivered. 410 disables the URL until the engine starts again: further messages to it fail at once. A redirect
fails, because it leads to where nobody has checked. Anything else, and no answer within the time, is tried again by
the delivery, after `Retry-After` where it is given. Nothing of an answer but its status is told to anybody: it may be
somebody else's secret.

The URL is the channel's, or the `url` of the message where it has one (the body is then without it).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpcore
import msgspec
import trio

from engine.delivery.channels.network import CheckedNetwork, Resolve
from engine.delivery.channels.target import Guard, Target, TargetError, parse_target
from engine.delivery.channels.trouble import TryLater
from engine.limits import WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_DISABLED_MAX, WEBHOOK_SECRET_BYTES_MIN
from engine.model import Effect, Receipt
from engine.tuning import WEBHOOK_IDLE_S
from ext.wire import instant

PREFIX = "whsec_"
TYPE = "tidemill.message"


def decode_secret(text: str) -> bytes:
    """A secret as Standard Webhooks writes it, `whsec_` and base64, or as plain text. Raises ValueError, without
    quoting it."""
    if text.startswith(PREFIX):
        try:
            secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("what follows whsec_ is not base64") from None
    else:
        secret = text.encode()
    if len(secret) < WEBHOOK_SECRET_BYTES_MIN:
        raise ValueError(f"it has fewer than {WEBHOOK_SECRET_BYTES_MIN} bytes")
    return secret


class Webhook:
    """Posts effects. `url` "": each message names its own. `secrets` sign, the first being the newest.

    `allowed` names hosts that may have addresses of this machine or a private network (`Guard`).
    """

    def __init__(
        self,
        *,
        url: str = "",
        secrets: Sequence[bytes],
        allowed: Iterable[str] = (),
        timeout_s: float,
        workers: int,
        resolve: Resolve | None = None,
        dial: httpcore.AsyncNetworkBackend | None = None,
        trust: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        assert secrets, "an unsigned webhook proves nothing"
        self.workers = workers
        self._target = parse_target(url) if url else None
        self._secrets = tuple(secrets)
        self._timeout_s = timeout_s
        self._now = now
        self._disabled: dict[Target, None] = {}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust or ssl.create_default_context(),
            max_connections=2 * workers,
            max_keepalive_connections=workers,
            keepalive_expiry=WEBHOOK_IDLE_S,
            network_backend=CheckedNetwork(Guard(allowed), resolve=resolve, dial=dial),
        )

    async def deliver(self, effect: Effect) -> Receipt:
        """One attempt. Raises TryLater and OSError."""
        try:
            target = self._target_of(effect)
            if target in self._disabled:
                return self._gone(effect, target)
            status, retry_after = await self._post(target, effect)
        except TargetError as error:
            return Receipt(effect.id, "failed", str(error))
        except trio.TooSlowError:
            raise TryLater(f"There was no answer within {self._timeout_s:g} s.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise TryLater(f"The connection failed ({_reason(error)}).") from error
        if 200 <= status < 300:
            return Receipt(effect.id, "delivered")
        if status == HTTPStatus.GONE:
            self._disable(target)
            return self._gone(effect, target)
        if 300 <= status < 400:
            detail = f"{target.host} answered {status}: redirects are not followed, give the URL it leads to."
            return Receipt(effect.id, "failed", detail)
        raise TryLater(f"{target.host} answered {status}.", after_s=_seconds(retry_after, self._now()))

    def destination(self, effect: Effect) -> str:
        """Host and port; "": nowhere."""
        try:
            return self._target_of(effect).authority
        except TargetError:
            return ""

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        await self._pool.aclose()

    def _target_of(self, effect: Effect) -> Target:
        url = effect.message.get("url")
        if url is None and self._target is not None:
            return self._target
        if not isinstance(url, str) or not url:
            raise TargetError("The message names no `url`, and neither does the channel.")
        return parse_target(url)

    async def _post(self, target: Target, effect: Effect) -> tuple[int, bytes]:
        """The status, and the value of Retry-After."""
        body = body_of(effect)
        headers = [
            ("Host", target.authority),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("User-Agent", "tidemill"),
            *sign(effect.id.replace(".", "_"), int(self._now()), body, self._secrets),
        ]
        request = httpcore.Request(
            "POST",
            httpcore.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.path.encode("ascii")
            ),
            headers=headers,
            content=body,
        )
        with trio.fail_after(self._timeout_s):
            response = await self._pool.handle_async_request(request)
            try:
                if _is_short(response):
                    await response.aread()
            finally:
                await response.aclose()
        after = [value for name, value in response.headers if name.lower() == b"retry-after"]
        return response.status, after[0] if after else b""

    def _disable(self, target: Target) -> None:
        if len(self._disabled) >= WEBHOOK_DISABLED_MAX:
            del self._disabled[next(iter(self._disabled))]
        self._disabled[target] = None

    def _gone(self, effect: Effect, target: Target) -> Receipt:
        detail = f"{target.host} answered 410 Gone: nothing is sent there until the engine starts again."
        return Receipt(effect.id, "failed", detail)


def _is_short(response: httpcore.Response) -> bool:
    """Whether to read an answer to its end, which leaves the connection for the next request. One that does not say
    how long it is, or is long, is not read at all."""
    if response.status == HTTPStatus.NO_CONTENT:
        return True
    lengths = [value for name, value in response.headers if name.lower() == b"content-length"]
    return bool(lengths) and int(lengths[0]) <= WEBHOOK_ANSWER_BYTES_MAX


def _reason(error: Exception) -> str:
    """What went wrong before anything was answered; afterwards only of which kind it was."""
    kind = type(error).__name__
    if not isinstance(error, httpcore.ConnectError):
        return kind
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{kind}: its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return f"{kind}: {error}"


def body_of(effect: Effect) -> bytes:
    """What is sent. The same bytes at every attempt."""
    message = {name: value for name, value in effect.message.items() if name != "url"}
    data: dict[str, Any] = {
        "id": effect.id,
        "channel": effect.channel,
        "contact": effect.contact,
        "flow": effect.flow,
        "version": effect.version,
        "node": effect.node,
        "address": effect.address,
        "message": message,
    }
    return msgspec.json.encode({"type": TYPE, "timestamp": instant.format(effect.at), "data": data})


def sign(id: str, timestamp: int, body: bytes, secrets: Iterable[bytes]) -> list[tuple[str, str]]:
    """The three headers. `id` has no dot, so that the signed text has one reading."""
    signed = b"%s.%d.%s" % (id.encode(), timestamp, body)
    signatures = [
        "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets
    ]
    return [
        ("webhook-id", id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(signatures)),
    ]


def _seconds(retry_after: bytes, now: float) -> float | None:
    """Retry-After, seconds or a date, as seconds from now; None where it says nothing we understand."""
    text = retry_after.decode("latin-1").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
