from typing import Protocol

class _Facts(Protocol):
    """Whoever answers what a view is asked for, where no subclass does. Times are ms UTC."""

    def count(self, name: str, since_ms: int, until_ms: int) -> int: ...
    def last(self, name: str) -> int | None: ...
    def sum(self, name: str, property: str, since_ms: int, until_ms: int) -> float: ...
    def available(self, pool: str) -> int: ...

class View:
    """What an expression sees. `traits`, `properties` and `variables` are msgpack maps, well formed; `properties`
    None means that there is no event. Call `changed()` after setting anything."""

    traits: bytes
    properties: bytes | None
    event_name: str | None
    event_ms: int
    now_ms: int
    points: int
    segments: tuple[str, ...]
    variables: bytes | None
    facts: _Facts | None

    def __init__(self) -> None: ...
    def changed(self) -> None:
        """Something of the view was set, or the history behind it changed: what was remembered is void."""
