"""Actions carried out by compiled code beside the same left to Python: the same records, effects, problems and state.

`deed_of` decides which way an action goes; one of the two engines is built while it always says "Python".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.document import Send
from engine.flow.program import plan
from engine.flow.schema import DEFAULT
from engine.flow.validate import check
from engine.kernel import Kernel, fast_actions
from engine.limits import MESSAGE_BYTES_MAX
from engine.model import Batch, Control
from engine.simulation import scenario
from engine.wire import decode_lines
from tests.kernel.comparison import by_reference
from tests.reference.journeys import Case, case

NOW_MS = 1_786_320_000_000
STATUS = ("subscribed", "unsubscribed", "unconfirmed", 1, None)
NAMES = ("city", "visits", "email", "phone", "subscriptions", "née", "tier")
EVENTS = (
    "Contact Updated",
    "Segment Entered",
    "Segment Left",
    "Points Changed",
    "Subscription Changed",
    "Ping",
)

numbers = st.sampled_from([0, 1, -1, 2.5, -0.0, 1e308, (1 << 63) - 1, -(1 << 63), 127, 128, -33])
values = st.one_of(
    numbers,
    st.sampled_from(
        ["York", "", "x" * 40, "é", True, False, [], ["a"], {}, {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    ),
)
addresses: st.SearchStrategy[Any] = st.sampled_from(
    ["ada@example.com", "", 0, 0.0, None, ["token"], [], {}, 17, False]
)
subscriptions = st.one_of(
    st.dictionaries(st.sampled_from(["email", "sms", "webhook"]), st.sampled_from(STATUS), max_size=3),
    st.sampled_from(["all", None]),
)
traits = st.fixed_dictionaries(
    {},
    optional={"email": addresses, "phone": addresses, "subscriptions": subscriptions}
    | dict.fromkeys(("city", "visits", "née", "tier"), values),
)
parts = st.sampled_from(["Hello", "", " ", 5, ["x"]])
messages = st.dictionaries(st.sampled_from(["subject", "body", "html"]), parts, min_size=1, max_size=2)
segments = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=3, unique=True)


@st.composite
def updates(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    update: dict[str, Any] = {"set": {}, "unset": [], "increment": {}}
    for name in names:
        verb = draw(st.sampled_from(["set", "set", "unset", "increment"]))
        if verb == "unset":
            update["unset"].append(name)
        else:
            update[verb][name] = draw(numbers if verb == "increment" else values)
    return {"update_customer": {verb: what for verb, what in update.items() if what}}


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    named = draw(segments)
    cut = draw(st.integers(0, len(named)))
    return {"segment": {key: some for key, some in (("add", named[:cut]), ("remove", named[cut:])) if some}}


sends = st.builds(
    lambda channel, message, transactional: {
        "send": channel,
        "message": message,
        "transactional": transactional,
    },
    st.sampled_from(["email", "sms", "webhook", "pigeon"]),
    messages,
    st.booleans(),
)
points = st.builds(
    lambda by: {"points": {"add": by}}, st.sampled_from([0, 1, -1, 5, (1 << 63) - 1, -(1 << 63) + 1])
)
emits = st.builds(lambda total: {"emit": {"event": "Ping", "properties": {"total": total}}}, numbers)
filled = st.sampled_from(
    [
        {"send": "webhook", "message": {"body": "{{ customer.city }}"}},
        {"points": {"add": "{{ customer.visits }}"}},
    ]
)
actions = st.one_of(sends, updates(), changes(), points, emits, filled)
steps = st.lists(st.lists(actions, min_size=1, max_size=3), min_size=1, max_size=4)
lines = st.lists(st.tuples(st.sampled_from(["c1", "c2"]), traits | st.just("go")), min_size=1, max_size=8)


def flow(id: str, event: str, of_steps: list[Any]) -> dict[str, Any]:
    nodes: dict[str, Any] = {"start": {"kind": "launch", "trigger": {"event": event}, "next": "s0"}}
    for number, of in enumerate(of_steps):
        nodes[f"s{number}"] = {"kind": "step", "actions": of, "next": f"s{number + 1}"}
    del nodes[f"s{len(of_steps) - 1}"]["next"]
    return {"id": id, "name": id, "nodes": nodes}


class KernelLife:
    """A kernel and all it gave."""

    def __init__(self, *, trace: bool) -> None:
        self.kernel = Kernel(trace=trace, key=bytes(range(16)))
        self.trace: list[Any] = []
        self.effects: list[Any] = []

    def apply(self, inputs: list[Any]) -> list[Any]:
        outcome = self.kernel.apply(Batch(self.kernel.seq + 1, NOW_MS + self.kernel.seq, inputs))
        self.trace += outcome.trace
        self.effects += outcome.effects
        return outcome.answers

    def told(self) -> dict[str, Any]:
        kernel = self.kernel
        return {
            "trace": msgspec.to_builtins(self.trace),
            "effects": msgspec.to_builtins(self.effects),
            "outbox": msgspec.to_builtins(kernel.outbox(0, 1_000)),
            "problems": kernel.problems(),
            "counts": kernel.counts(),
            "stats": [kernel.stats(flow["id"]) for flow in kernel.flows()],
            "digests": (kernel.outcome_digest, kernel.digest()),
        }


def life(
    flows: list[dict[str, Any]], of_lines: list[Any], channels: list[str] | None, trace: bool
) -> dict[str, Any]:
    lived = KernelLife(trace=trace)
    controls = [Control("launch", {"flow": flow}) for flow in flows]
    if channels is not None:
        controls.append(Control("channels", {"channels": channels}))
    assert all(isinstance(answer, dict) for answer in lived.apply([*controls]))
    for contact, what in of_lines:
        line = (
            {"type": "track", "userId": contact, "event": "Go"}
            if what == "go"
            else {"type": "identify", "userId": contact, "traits": what}
        )
        lived.apply(list(decode_lines(msgspec.json.encode(line)).inputs))
    return lived.told()


@settings(max_examples=150, deadline=None)
@given(
    steps,
    lines,
    st.none() | st.lists(st.sampled_from(["email", "webhook"]), unique=True),
    st.none() | st.sampled_from(EVENTS),
    st.booleans(),
)
def test_what_a_step_does_does_not_depend_on_who_does_it(
    of_steps: list[Any], of_lines: list[Any], channels: list[str] | None, heard: str | None, trace: bool
) -> None:
    flows = [flow("f", "Go", of_steps)]
    if heard is not None:
        flows.append(flow("g", heard, [[{"points": {"add": 1}}], of_steps[0]]))
    of_lines = [*of_lines, ("c1", "go"), ("c1", "go")]
    compiled = life(flows, of_lines, channels, trace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_actions, "deed_of", fast_actions.for_python)
        assert life(flows, of_lines, channels, trace) == compiled


def played(of: Case) -> tuple[list[dict[str, Any]], Any, int, bytes]:
    raw = {"start": of.start, "until": of.until, "flows": of.flows, "input": of.lines}
    trace: list[dict[str, Any]] = []
    kernel = scenario.run(scenario.parse(raw, place="case", folder=Path()), trace.append).kernel
    return trace, kernel.problems(), kernel.outcome_digest, kernel.digest()


@pytest.mark.parametrize("group", range(5))
def test_nor_does_a_whole_life(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [of for of in map(case, range(group * 20, group * 20 + 20)) if by_reference(of) is not None]
    compiled = [played(of) for of in cases]
    monkeypatch.setattr(fast_actions, "deed_of", fast_actions.for_python)
    for of, expected in zip(cases, compiled, strict=True):
        assert played(of) == expected, f"case {of.seed}"


def test_which_actions_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any such action the tests above would compare the slow path with itself."""
    literal: list[dict[str, Any]] = [
        {"send": "email", "message": {"body": "Hello"}},
        {"points": {"add": 3}},
        {"segment": {"add": ["a"], "remove": ["b"]}},
        {
            "update_customer": {
                "set": {"city": "York"},
                "unset": ["tier"],
                "increment": {"visits": 1, "née": 0.5},
            }
        },
        {"emit": {"event": "Ping"}},
    ]
    for_python: list[dict[str, Any]] = [
        {"send": "email", "message": {"body": "{{ customer.city }}"}},
        {"points": {"add": "{{ customer.city }}"}},
        {"update_customer": {"set": {"subscriptions": {"email": "unsubscribed"}}}},
        {"update_customer": {"set": {f"n{n}": n for n in range(17)}}},
        {"issue_promo_code": {"pool": "spring", "as": "code"}},
        {"emit": {"event": "Ping", "properties": {"long": "x" * MESSAGE_BYTES_MAX}}},
    ]
    asked: list[int] = []

    def act(host: Any, run: Any, node: Any, place: int) -> tuple[int, dict[str, Any]]:
        asked.append(place)
        return 5, {}

    monkeypatch.setattr("engine.kernel.callbacks.KernelCallbacks.act", act)
    life(
        [flow("f", "Go", [[*literal, *for_python]])], [("c1", {"email": "a@b.c"}), ("c1", "go")], None, False
    )
    assert asked == [5, 6, 7, 8, 9, 10]


def test_a_deed_begins_to_tell_what_python_would() -> None:
    checked = check(
        flow("f", "Go", [[{"send": "email", "message": {"body": "x"}}, {"points": {"add": 1}}]]), DEFAULT
    )
    assert checked.flow is not None
    (step,) = (node for node in plan(checked.flow, DEFAULT).nodes if node.actions)
    assert isinstance(step.actions[0].action, Send)
    entries = [(deed.place, deed.entry) for deed in fast_actions.deeds_of(step)]
    assert entries == [(0, {"action": "send", "channel": "email"}), (1, {"action": "points"})]
