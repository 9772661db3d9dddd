"""The keys of a life: their holders, and which are in force. The content of `keys.json` outlives every process."""

from __future__ import annotations

from random import Random

from api.keys import Key, Scope, sha256_of

LOOK_S = 1.5
"""Time for which a revoked key may still open: the engine reads the file once a second."""
ISSUED: dict[str, dict[str, tuple[Scope, ...]]] = {
    "none": {},
    "write": {},
    "management": {
        "operator": ("flows", "contacts", "outbox", "store"),
        "onlooker": ("read",),
        "leaver": ("flows", "contacts", "outbox", "read"),
    },
    "all": {
        "clients": ("events",),
        "operator": ("flows", "contacts", "outbox", "store", "read"),
        "onlooker": ("read",),
        "flows": ("flows",),
        "leaver": ("events", "flows", "contacts", "outbox", "read"),
    },
}
"""The issued keys by name, for each of `plan.KEYS`."""


class Keyring:
    """The keys of one life. `kind` is one of `plan.KEYS`. The key `leaver` is revoked during the life."""

    def __init__(self, kind: str, chance: Random) -> None:
        names = ISSUED[kind]
        self.scopes = dict(names)
        self.secrets = {name: f"tm_{name}_{chance.randbytes(8).hex()}" for name in names}
        self.write_keys = (f"tm_write_{chance.randbytes(8).hex()}",) if kind == "write" else ()
        self.version = 0
        self.issued = tuple(
            Key(name, scopes, sha256_of(self.secrets[name].encode())) for name, scopes in names.items()
        )
        self.guards_management = bool(names)
        self.events_key = self.write_keys[0] if self.write_keys else self.secrets.get("clients")
        self.revoked_s: float | None = None

    def revoke(self, now_s: float) -> None:
        """Revoke the leaver's key."""
        self.issued = tuple(key for key in self.issued if key.name != "leaver")
        self.version += 1
        self.revoked_s = now_s

    def read(self, data: object) -> tuple[Key, ...]:
        return self.issued

    def mark(self, data: object) -> object:
        return self.version

    def useless(self, scopes: tuple[str, ...], now_s: float) -> list[str]:
        """Return secrets that give no access to `scopes`: wrong ones, revoked ones, ones of other scopes."""
        others = [name for name, held in self.scopes.items() if not set(held) & set(scopes)]
        if self.revoked_s is not None and now_s > self.revoked_s + LOOK_S:
            others.append("leaver")
        wrong = [f"{secret[:-1]}x" for secret in self.secrets.values()]
        return ["tm_nobody", "", *wrong, *[self.secrets[name] for name in others]]
