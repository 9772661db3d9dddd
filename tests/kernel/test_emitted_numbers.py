"""Numbers of an event that an action emits: history keeps the same ones as of the same event from outside."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.limits import HISTORY_NUMBERS_PER_EVENT_MAX
from ext.kernel.contact_writer import pack_contact
from tests.kernel.kernel_bench import Bench, flow

numbers = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = numbers | st.booleans() | st.text(max_size=5) | st.lists(numbers, max_size=2)
keys = st.text(st.characters(codec="utf-8", exclude_characters="{%"), min_size=1, max_size=6).filter(
    str.strip
)


def history(bench: Bench, contact: str) -> Any:
    """Return the packed history of a contact's event `Emitted`: its instants, and the columns of its numbers."""
    found = bench.kernel._core.registry.contact(contact)
    assert found is not None
    number = bench.kernel._core.names.texts.index("Emitted")
    rows = msgspec.msgpack.decode(pack_contact(found))[5]
    return [row[1:] for row in rows if row[0] == number]


@settings(max_examples=200)
@given(st.dictionaries(keys, values, max_size=8))
@example({'"': 1, "\\": 2, "b\nc": 3, "é": 4, "a": 5})
@example({f"n{i}": i for i in range(HISTORY_NUMBERS_PER_EVENT_MAX + 3)})
@example({"long" * 20: 1, "large": (1 << 63) - 1, "small": -(1 << 63), "true": True, "minus": -0.0})
def test_an_emitted_event_leaves_the_numbers_of_the_same_event_from_outside(
    properties: dict[str, Any],
) -> None:
    bench = Bench()
    steps = {
        "go": {"kind": "launch", "trigger": {"event": "Go"}, "next": "say"},
        "say": {"kind": "step", "actions": [{"emit": {"event": "Emitted", "properties": properties}}]},
    }
    bench.control("launch", flow=flow(steps))
    bench.track("outside", "Emitted", msgspec.json.encode(properties).decode())
    bench.track("inside", "Go")
    assert history(bench, "inside") == history(bench, "outside")
