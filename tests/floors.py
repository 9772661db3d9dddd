"""The floors of the house: each room with what it may import, from the top down.

`python -m tests.floors` prints them with the arrows there are today. `tests/test_floors.py` holds the table.
"""

from __future__ import annotations

from collections import Counter

from tests.source_tree import Modules

BASE = ("engine.errors", "engine.limits", "engine.tuning")
WORDS = (*BASE, "engine.model", "engine.wire", "ext.wire.event", "ext.wire.instant", "ext.wire.timed_events")
"""The words that every floor above shares: errors, bounds, batches and events, the line format, instants."""

FLOORS: dict[str, tuple[str, ...]] = {
    # the edge: every way in and out of the process
    "api.cli": ("api", "engine.flow", "engine.simulation", "engine.store.verify", *WORDS),
    "api.demo": (
        *("api.serve", "api.process", "api.config", "api.terminal"),
        *(
            "engine.service",
            "engine.delivery.channels",
            "engine.kernel",
            "engine.flow",
            "engine.clock",
            *WORDS,
        ),
    ),
    "api.serve": (
        *("api.intake", "api.management", "api.process", "api.terminal"),
        *("api.channels", "api.config", "api.keyfile", "api.keys", "api.listen", "api.read_files"),
        *("engine.service", "engine.store", "engine.flow.schema", *BASE),
    ),
    "api.measure": ("api.client", "api.process", "api.config", "engine.simulation", *WORDS),
    "api.management": (
        *("api.intake", "api.config", "api.keys", "api.listen", "api.refusals"),
        *(
            "engine.service",
            "engine.simulation",
            "engine.kernel",
            "engine.flow",
            *WORDS,
        ),
    ),
    "api.intake": (
        "api.refusals",
        "api.keys",
        "api.listen",
        "api.config",
        "engine.submission",
        "ext.wire.line_reader",
        *WORDS,
    ),
    "api.process": ("api.config", "api.terminal", *BASE),
    "api.terminal": ("api.config", "engine.model", *BASE),
    "api.client": ("api.config", "api.refusals", "engine.wire", *BASE),
    "api.read_files": ("engine.flow", *BASE),
    "api.keyfile": ("api.keys", "engine.store.directory", *BASE),
    "api.keys": BASE,
    "api.listen": ("api.config", *BASE),
    "api.channels": ("api.config", "engine.delivery.channels", *BASE),
    "api.config": BASE,
    "api.refusals": BASE,
    # the engine
    "engine.service": (
        *("engine.ingest", "engine.submission", "engine.delivery", "engine.simulation", "engine.store"),
        *(
            "engine.kernel",
            "engine.flow",
            "engine.gc_tuning",
            "engine.clock",
            "ext.structures.memory",
            *WORDS,
        ),
    ),
    "engine.ingest": ("engine.submission", "engine.store", "engine.kernel", "engine.clock", *WORDS),
    "engine.submission": ("engine.kernel", *WORDS),
    "engine.simulation": ("engine.kernel", "engine.flow", "ext.kernel.fast_forward", *WORDS),
    "engine.delivery": ("engine.kernel", *WORDS),
    "engine.store": (
        *("engine.kernel", "engine.gc_tuning", "ext.structures.checksum", "ext.structures.memory", *WORDS),
    ),
    "engine.gc_tuning": BASE,
    "engine.clock": (),
    # what is pure
    "engine.kernel": (
        *("engine.flow", "engine.ab_test", "ext.kernel"),
        *("ext.expressions.plan", "ext.structures.siphash", *WORDS),
    ),
    "engine.ab_test": WORDS,
    "engine.flow": ("ext.expressions", *WORDS),
    "ext.kernel": ("ext.expressions", "ext.maps", "ext.wire", "ext.structures", "engine.model", *BASE),
    "ext.expressions": ("ext.maps", "ext.wire", "ext.structures", *BASE),
    "ext.maps": ("ext.wire", "ext.structures", *BASE),
    "engine.wire": ("engine.model", "ext.wire", *BASE),
    "engine.model": ("ext.wire", *BASE),
    "ext.wire": ("ext.structures", *BASE),
    "ext.structures": ("engine.limits", "engine.tuning"),
    "engine.errors": ("engine.limits",),
    "engine.limits": (),
    "engine.tuning": (),
}
"""Room -> the rooms, or parts of rooms, that it may import. A room stands above all that it imports."""

PURE = tuple(room for room in FLOORS if list(FLOORS).index(room) >= list(FLOORS).index("engine.kernel"))
"""From the kernel down: no clock, no I/O, no randomness."""


def within(module: str, room: str) -> bool:
    """Whether a module is this one or lies below it."""
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str | None:
    """Return the room of a module, or None where the table knows none."""
    return next((room for room in FLOORS if within(module, room)), None)


def room_arrows(modules: Modules) -> dict[str, Counter[str]]:
    """Return, for each room, how many arrows run from its modules to those of every other room."""
    arrows: dict[str, Counter[str]] = {room: Counter() for room in FLOORS}
    for module, targets in modules.imports.items():
        if room := room_of(module):
            arrows[room].update(other for target in targets if (other := room_of(target)) not in (room, None))
    return arrows


def picture(modules: Modules) -> str:
    """Return the floors as text: a line for each room, top to bottom, with its size and its arrows."""
    sizes = Counter(room_of(module) for module in modules.files)
    arrows = room_arrows(modules)
    order = list(FLOORS)
    lines = []
    for room in order:
        targets = sorted(arrows[room].items(), key=lambda arrow: order.index(arrow[0]))
        text = ", ".join(f"{target} {count}" for target, count in targets) or "no other room"
        lines.append(f"{room:<18}{sizes[room]:>4} modules  → {text}")
    total = sum(map(len, arrows.values()))
    lines.append(f"{len(order)} rooms, {sum(sizes.values())} modules, {total} arrows between rooms")
    return "\n".join(lines)


if __name__ == "__main__":
    print(picture(Modules()))
