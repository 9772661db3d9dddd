"""A contact's history (rule 10) against a list of its events, whatever the order, the bounds and the restarts."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from engine.kernel import Kernel
from engine.model import Batch
from engine.wire import decode_lines
from ext.wire import instant
from tests.reference.history import ReferenceHistory

NOW_MS = 1_786_320_000_000
ORIGIN_MS = NOW_MS - 86_400_000


class Historian:
    """A kernel with one contact, and the twin of its history."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.slow = ReferenceHistory()

    def happens(self, name: str, at_ms: int, numbers: dict[str, float]) -> None:
        line = {
            "type": "track",
            "userId": "anna",
            "event": name,
            "timestamp": instant.format(ORIGIN_MS + at_ms),
            "properties": {**numbers, "word": "7", "list": [1, {"total": 2}]},
        }
        inputs = decode_lines(json.encode(line)).inputs
        assert len(inputs) == 1
        self.kernel.apply(Batch(self.kernel.seq + 1, NOW_MS, inputs))
        self.slow.remember(name, at_ms, numbers)

    def restart(self) -> None:
        snapshot = self.kernel.snapshot(full=True)
        parts = [part for part in iter(lambda: snapshot.part(100), None) if part is not None]
        self.kernel = Kernel()
        self.kernel.restore(parts)

    def agrees(self) -> None:
        core = self.kernel._core
        contact = core.registry.contact("anna")
        assert contact is not None
        names, properties = (core.pack()[what] for what in ("names", "properties"))
        fast = {
            names[name]: (
                [at - ORIGIN_MS for at in instants],
                {properties[property]: numbers for property, numbers in columns},
            )
            for name, instants, columns in contact.packed_history()
        }
        assert repr(normal(fast)) == repr(normal(self.slow.packed()))  # NaN is not itself


def normal(
    histories: dict[str, tuple[list[int], dict[str, list[float]]]],
) -> list[tuple[str, list[int], list[tuple[str, list[float]]]]]:
    return [
        (
            name,
            instants,
            sorted((property, [float(n) for n in numbers]) for property, numbers in columns.items()),
        )
        for name, (instants, columns) in sorted(histories.items())
    ]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    events=st.integers(0, 700),
    names=st.integers(1, 4),
    properties=st.sampled_from([0, 1, 3, 20, 100]),
    late=st.booleans(),
)
def test_it_is_what_a_list_of_events_is(
    seed: int, events: int, names: int, properties: int, late: bool
) -> None:
    """More than are kept of a name; more properties than are kept; late ones; a restart between."""
    chance, historian = random.Random(seed), Historian()
    historian.happens("N0", 0, {})
    restart_at = chance.randrange(events + 1)
    for n in range(events):
        at_ms = chance.randrange(3_000) if late else n // 2
        few = chance.sample(range(properties), min(properties, chance.randrange(20)))
        historian.happens(f"N{chance.randrange(names)}", at_ms, {f"p{one}": one + n / 4 for one in few})
        if n == restart_at:
            historian.restart()
    historian.agrees()
    historian.restart()
    historian.agrees()


def test_columns_whose_numbers_are_forgotten_make_room() -> None:
    historian = Historian()
    for n in range(8):
        historian.happens("N", n, {f"a{n * 8 + one}": 1.0 for one in range(8)})
    historian.happens("N", 8, {"one too many": 1.0})
    for n in range(248):
        historian.happens("N", 9 + n, {})
    historian.happens("N", 300, {"b": 2.0, "a63": 3.0})
    historian.agrees()
    assert "b" in historian.slow.packed()["N"][1]
    assert "one too many" not in historian.slow.packed()["N"][1]
