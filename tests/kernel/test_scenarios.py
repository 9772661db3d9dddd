"""Every scenario of `tests/scenarios`, on the kernel and on the slow reference; and the scenario files themselves."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.simulation import scenario
from engine.simulation.scenario import ScenarioError, difference
from ext.wire import instant
from tests.reference import interpreter

FOLDER = Path(__file__).parents[1] / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))
SMALL = [path for path in FILES if "cdnow" not in path.name]

FLOW: dict[str, Any] = {
    "id": "f",
    "name": "f",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "Session Ended"}, "next": "a"},
        "a": {"kind": "step", "actions": [{"segment": {"add": ["reached"]}}]},
    },
}
EVENT: dict[str, Any] = {
    "at": "2026-08-10T00:00:00Z",
    "type": "track",
    "userId": "c1",
    "event": "Session Ended",
}
WHOLE: dict[str, Any] = {
    "start": "2026-08-01T00:00:00Z",
    "flows": [FLOW],
    "input": [EVENT],
    "until": "2026-08-20T00:00:00Z",
    "only": ["executed"],
    "expect": [{"at": "2026-08-10T00:00:00Z", "contact": "c1", "what": "executed"}],
}


def parse(folder: Path = FOLDER, **keys: Any) -> scenario.Scenario:
    return scenario.parse(WHOLE | keys, place="s.yaml", folder=folder)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_the_kernel_does_what_the_scenario_expects(path: Path) -> None:
    result = scenario.test(scenario.load(path))
    assert result.passed, f"{result.name}\n{result.difference}"


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_the_reference_does_what_the_scenario_expects(path: Path) -> None:
    read = scenario.load(path)
    start, until = instant.format(read.start_ms), instant.format(read.until_ms)
    trace = interpreter.play(read.flows, read.inputs, start, until)
    assert read.expect is not None
    assert difference(read.expect, [record for record in trace if record["what"] in read.only]) == ""


def test_there_are_scenarios_and_each_expects_something() -> None:
    assert len(SMALL) >= 52
    assert [path.name for path in SMALL if not scenario.load(path).expect] == []


def test_a_scenario_that_does_not_hold_shows_where() -> None:
    late = {"at": "2026-08-10T00:00:01Z", "contact": "c1", "what": "executed"}
    result = scenario.test(parse(expect=[late, {"what": "executed", "node": "a"}]))
    assert not result.passed
    signs = [line.split()[:2] for line in result.difference.splitlines()[2:]]
    assert signs == [["-", "2026-08-10T00:00:01Z"], ["2026-08-10T00:00:00Z", "c1"]]


def test_a_difference_names_what_was_expected_and_what_happened() -> None:
    result = scenario.test(parse(only=["entered", "executed", "left"]))
    assert [line[0] for line in result.difference.splitlines()[2:]] == ["+", " ", "+"]


def test_an_instant_is_compared_by_its_value() -> None:
    assert scenario.test(parse(expect=[{"at": "2026-08-10T02:00:00+02:00", "what": "executed"}])).passed


def test_detail_is_compared_by_the_keys_given() -> None:
    keys: dict[str, Any] = {
        "only": ["entered"],
        "expect": [{"what": "entered", "detail": {"event": "Session Ended"}}],
    }
    assert scenario.test(parse(**keys)).passed
    keys["expect"] = [{"what": "entered", "detail": {"reason": "frequency"}}]
    assert not scenario.test(parse(**keys)).passed


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"unitl": "2026-08-20T00:00:00Z"}, "unknown key `unitl`"),
        ({"start": "10 August"}, "`10 August` is not an instant"),
        ({"until": "2026-07-01T00:00:00Z"}, "is before `start`"),
        ({"only": ["exectued"]}, "`exectued` is no kind of trace record"),
        ({"expect": [{"wath": "executed"}]}, "expect[0]: has an unknown key `wath`"),
        ({"expect": [{"what": "left"}]}, "`what: left` can never match"),
        ({"flows": {"id": "f"}}, "flows: is a list"),
        ({"flows": [{"$file": "nowhere.yaml"}]}, "cannot read"),
        ({"input": [EVENT | {"evnet": "x"}]}, "input[0]: has an unknown key `evnet`"),
        ({"input": [EVENT | {"event": ""}]}, "input[0]: `event` is a name"),
        ({"input": [{"type": "track"}]}, "input[0]: has no `at`"),
        ({"input": [EVENT | {"type": "trak"}]}, "`type: trak` is not known"),
        ({"input": [EVENT, EVENT | {"at": "2026-08-09T00:00:00Z"}]}, "input[1]: is received at 2026-08-09"),
        ({"input": [EVENT | {"type": "control", "op": "pasue"}]}, "`op: pasue` is not known"),
        ({"input": [{"at": EVENT["at"], "type": "control", "op": "pause"}]}, "`pause` needs `flow`"),
        ({"input": {"$file": "nowhere.ndjson"}}, "cannot be read"),
    ],
)
def test_a_mistake_in_a_scenario_is_named_with_its_place(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario.run(parse(**keys))
    assert said in str(caught.value)
    assert "s.yaml" in str(caught.value)


def test_an_operation_the_kernel_refuses_stops_the_scenario() -> None:
    broken = FLOW | {"nodes": FLOW["nodes"] | {"a": {"kind": "step", "actions": [], "next": "b"}}}
    with pytest.raises(scenario.Refused) as caught:
        scenario.run(parse(flows=[broken]))
    assert "2026-08-01T00:00:00Z: launch was refused" in str(caught.value)
    assert {problem.pointer for problem in caught.value.problems} >= {"/nodes/a/next"}


def test_a_flow_of_151_nodes_is_refused_with_the_rule() -> None:
    nodes = dict(FLOW["nodes"])
    for number in range(149):
        last = "a" if number == 0 else f"n{number - 1}"
        nodes[last] = nodes[last] | {"next": f"n{number}"}
        nodes[f"n{number}"] = {"kind": "wait", "for": "1h"}
    assert len(nodes) == 151
    with pytest.raises(scenario.Refused) as caught:
        scenario.run(parse(flows=[FLOW | {"nodes": nodes}]))
    assert ["150" in problem.detail for problem in caught.value.problems] == [True]


def test_files_are_found_beside_the_scenario_and_received_at_their_timestamp(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_bytes(msgspec.json.encode(FLOW))
    line = {key: value for key, value in EVENT.items() if key != "at"}
    lines = [
        line | {"timestamp": "2026-08-10T00:00:00Z"},
        line | {"timestamp": "2026-08-05T00:00:00Z", "at": "2026-08-11T00:00:00Z"},
        {"type": "control", "op": "pause", "flow": "f", "at": "2026-08-12T00:00:00Z"},
        line | {"timestamp": "2026-08-13T00:00:00Z"},
    ]
    data = b"\n".join(map(msgspec.json.encode, lines))
    for name, content in (("in.ndjson", data), ("in.ndjson.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        keys = {"flows": [{"$file": "f.json"}], "input": {"$file": name}, "only": ["executed", "expired"]}
        expect = [
            {"at": "2026-08-10T00:00:00Z", "what": "executed"},
            {"at": "2026-08-11T00:00:00Z", "what": "expired"},
        ]
        assert scenario.test(parse(tmp_path, **keys, expect=expect)).difference == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"type": "track", "userId": "c1", "event": "A"}', "in.ndjson:2: has neither `at` nor `timestamp`"),
        (b"{", "in.ndjson:2: is not JSON"),
        (b'{"type": "track", "timestamp": "2026-08-10T00:00:00Z", "event": "A"}', "in.ndjson:2: "),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path: Path, line: bytes, said: str) -> None:
    good = b'{"type": "track", "userId": "c1", "event": "A", "timestamp": "2026-08-10T00:00:00Z"}'
    (tmp_path / "in.ndjson").write_bytes(good + b"\n" + line + b"\n")
    with pytest.raises(ScenarioError) as caught:
        scenario.run(parse(tmp_path, input={"$file": "in.ndjson"}))
    assert said in str(caught.value)


def test_messages_are_taken_at_once_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulation.simulator.RECEIPTS_EVERY", 4)
    step = {"kind": "step", "actions": [{"send": "webhook", "message": {"text": "Hello"}}] * 3}
    flow = FLOW | {"nodes": FLOW["nodes"] | {"a": step}}
    inputs = [EVENT | {"userId": f"c{number}"} for number in range(5)]
    simulator = scenario.run(parse(flows=[flow], input=inputs))
    counts = simulator.kernel.counts()
    assert counts["effects"] == 15
    assert counts["effects_pending"] < 4


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("start: 1969-12-31T23:59:59Z\nuntil: 2026-01-01T00:00:00Z\nflows: []\n", "1970"),
        ("start: 2026-01-01T00:00:00Z\nuntil: .nan\nflows: []\n", "line 2"),
    ],
)
def test_a_scenario_that_cannot_be_played_says_why(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        scenario.load(path)
    assert what in str(caught.value)
