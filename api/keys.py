"""Keys: who may do what from where we cannot see who asks.

A key is a name, some scopes and a secret. The secret is shown once, when the key is made; what is kept is its
SHA-256. A slow hash, as passwords want, would be wrong here: passwords are guessable, so each guess is made
dear; a secret of 32 random bytes is not guessable at any price per guess, and a hash that takes 100 ms would let
anybody keep the engine busy by asking with nonsense. Whoever reads the file of hashes can do nothing with it.

A secret is compared with every key, each in constant time, so that time tells neither which key nor how much of
it was right.

`write_keys` of the configuration are keys with the scope `events` that somebody else made up; they are hashed
and compared like the others.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from typing import Final, Literal, get_args

import msgspec

Scope = Literal["flows", "events", "contacts", "outbox", "store", "read"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
SCOPE_WORDS: Final[dict[Scope, str]] = {
    "flows": "change flows, launch them, try them, declare the schema",
    "events": "send events; such a key is a write key of Segment's clients too",
    "contacts": "change contacts, the members of segments, pools of promo codes",
    "outbox": "pull messages and report what became of them",
    "store": "have backups written on the engine's machine, compact the store",
    "read": "look at everything, change nothing",
}
"""What each scope allows. Whoever may change a noun may look at it as well."""

SECRET_BYTES = 32
PREFIX = "tm_"
"""Tells our keys from other text, to people and to scanners for leaked secrets."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key. `sha256`: of its secret, in hex; `created`: RFC 3339."""

    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created: str = ""

    def allows(self, scopes: Iterable[str]) -> bool:
        """Whether it has one of `scopes`."""
        return not set(self.scopes).isdisjoint(scopes)


def new_secret() -> str:
    """Make a secret, which fits a header, a URL and a shell without quotes."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def sha256_of(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


class Keys:
    """The keys in force. `issued` are those of the data directory, which may change while the engine runs."""

    def __init__(self, write_keys: Iterable[str] = (), issued: Iterable[Key] = ()) -> None:
        self._configured = tuple(
            Key("write_keys", ("events",), sha256_of(text.encode())) for text in write_keys if text
        )
        self._issued: tuple[Key, ...] = ()
        self.guard_management = False
        """Whether the management API asks for a key: there is one."""
        self.guard_events = False
        """Whether the ways in for events ask for a key: there is one that allows to send them."""
        self.on_change: list[Callable[[], None]] = []
        """Called after each `replace`: what was let in by a key that is gone has to be asked again."""
        self.replace(issued)

    @property
    def issued(self) -> int:
        """Count the keys of the data directory that are in force."""
        return len(self._issued)

    def replace(self, issued: Iterable[Key]) -> None:
        """Replace the issued keys."""
        self._issued = tuple(issued)
        self.guard_management = bool(self._issued)
        self.guard_events = any(key.allows(("events",)) for key in (*self._configured, *self._issued))
        for told in self.on_change:
            told()

    def find(self, secret: bytes) -> Key | None:
        """Find the key with this secret. Takes the same time for each key, and for none."""
        given = sha256_of(secret)
        found: Key | None = None
        for key in (*self._configured, *self._issued):
            if hmac.compare_digest(given, key.sha256):
                found = key
        return found

    def allows(self, secret: bytes, scope: Scope) -> bool:
        """Whether `secret` is that of a key with `scope`."""
        key = self.find(secret)
        return key is not None and key.allows((scope,))
