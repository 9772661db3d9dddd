"""Backtests: a flow over what was recorded, each event received at its own timestamp."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import Refused, TidemillError
from engine.simulation import recorded_events, scenario
from engine.simulation.backtest import backtest
from engine.simulation.recorded_events import RecordingError
from engine.simulation.simulator import Simulator
from ext.wire import instant
from ext.wire.event import Event, Kind
from tests.simulation.cdnow_counts import counts

FOLDER = Path(__file__).parents[1]
ORDERS = FOLDER / "data" / "cdnow-orders.ndjson.gz"
SECOND_ORDER = scenario.load(FOLDER / "scenarios" / "cdnow-a-second-order.yaml").flows[0]
FLOW: dict[str, Any] = {
    "id": "greet",
    "name": "Greet",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "Signed Up"}, "next": "pause"},
        "pause": {"kind": "wait", "for": "1d", "next": "say"},
        "say": {"kind": "step", "actions": [{"send": "email", "message": {"subject": "Hi", "text": "Hi"}}]},
    },
}


def nodes(document: dict[str, Any], path: Path, **more: Any) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = backtest(document, recorded_events.events(path), **more).kernel.stats(
        document["id"]
    )["nodes"]
    return found


def line(user: str, at: str | None, event: str = "Signed Up", **more: Any) -> bytes:
    given = {"type": "track", "userId": user, "event": event, **more}
    return msgspec.json.encode(given if at is None else {**given, "timestamp": at}) + b"\n"


def identify(user: str, **traits: Any) -> bytes:
    return msgspec.json.encode({"type": "identify", "userId": user, "traits": traits}) + b"\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.ndjson"


# What is counted


@pytest.mark.parametrize("end", ["1998-08-01T00:00:00Z", "1997-03-01T00:00:00Z"])
def test_the_counts_over_real_orders_are_those_of_the_script(end: str) -> None:
    found = nodes(SECOND_ORDER, ORDERS, until_ms=instant.parse(end))
    expected = counts(ORDERS, datetime.fromisoformat(end))
    assert found["start"]["entered"] == expected["entered"]
    assert found["month"]["waiting"] == expected["waiting"]
    assert found["thank"]["executed"] == expected["thank"] > 0
    assert found["ask"]["executed"] == expected["ask"] > 0


def test_time_ends_with_the_last_event_where_nothing_else_is_said(file: Path) -> None:
    file.write_bytes(line("a", "2026-08-01T00:00:00Z") + line("b", "2026-08-01T23:59:59.999Z"))
    assert nodes(FLOW, file)["pause"]["waiting"] == 2
    file.write_bytes(line("a", "2026-08-01T00:00:00Z") + line("b", "2026-08-02T00:00:00Z"))
    assert nodes(FLOW, file)["pause"]["waiting"] == 1
    later = instant.parse("2026-08-03T00:00:00Z")
    assert nodes(FLOW, file, until_ms=later)["pause"]["waiting"] == 0


def test_what_comes_after_the_end_is_left_alone(file: Path) -> None:
    file.write_bytes(line("a", "2026-08-01T00:00:00Z") + line("b", "2026-08-01T00:00:01Z"))
    found = nodes(FLOW, file, until_ms=instant.parse("2026-08-01T00:00:00Z"))
    assert found["start"]["entered"] == 1


def test_an_event_earlier_than_the_one_before_is_late_not_lost(file: Path) -> None:
    file.write_bytes(
        line("a", "2026-08-10T00:00:00Z")
        + line("b", "2026-08-09T12:00:00Z")
        + line("c", "2026-08-01T00:00:00Z")
        + line("d", "2026-08-10T12:00:00Z")
    )
    found = nodes(FLOW, file)
    assert (found["start"]["entered"], found["start"]["refused"]) == (3, 1), "nine days are too old (rule 1)"
    assert found["pause"]["waiting"] == 2, "b waited from its timestamp on (rule 2)"


def test_contacts_are_known_before_the_first_event_and_enter_nothing_by_it(file: Path) -> None:
    by_city = {**FLOW["nodes"]["start"], "where": 'customer.city == "Oslo"'}
    by_being = {**FLOW["nodes"]["start"], "trigger": {"event": "Contact Created"}}
    file.write_bytes(line("a", "2026-08-01T00:00:00Z") + line("b", "2026-08-01T00:00:00Z"))
    known = file.with_name("contacts.ndjson.gz")
    known.write_bytes(gzip.compress(identify("a", city="Oslo") + identify("c", city="Oslo")))

    def entered(start: dict[str, Any]) -> int:
        flow = {**FLOW, "nodes": {**FLOW["nodes"], "start": start}}
        return nodes(flow, file, contacts=recorded_events.contacts(known))["start"]["entered"]

    assert (entered(by_city), entered(by_being)) == (1, 1)


def test_a_message_seen_before_changes_nothing(file: Path) -> None:
    file.write_bytes(line("a", "2026-08-01T00:00:00Z", messageId="m") * 2)
    simulator = backtest(FLOW, recorded_events.events(file))
    assert simulator.kernel.counts()["duplicates"] == 1
    assert simulator.kernel.stats("greet")["nodes"]["start"]["entered"] == 1


# What is refused


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (line("a", "2026-08-01T00:00:00Z") + b"\n" + line("b", None), ":3 has no `timestamp`"),
        (line("a", "2026-08-01T00:00:00Z") + b"\nnonsense\n", ":3 cannot be taken"),
        (line("a", "soon"), ":1 cannot be taken: `timestamp` is an instant"),
        (b'{"type":"control","op":"pause","flow":"greet"}\n', ":1 cannot be taken"),
        (b"{" + b" " * (5 << 20), ":1 is too long"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(file: Path, lines: bytes, said: str) -> None:
    file.write_bytes(lines)
    with pytest.raises(RecordingError) as caught:
        nodes(FLOW, file)
    assert f"{file}{said}" in str(caught.value)


def test_a_line_is_named_by_its_number_in_the_file_however_far_behind_it_is(file: Path) -> None:
    lines = line("a", "2026-08-01T00:00:00Z") * 40_000
    assert len(lines) > 2 * recorded_events.CHUNK_BYTES
    file.write_bytes(lines + line("b", None) + lines)
    with pytest.raises(RecordingError, match=r":40001 has no `timestamp`"):
        nodes(FLOW, file)


def test_only_identify_lines_are_contacts(file: Path) -> None:
    file.write_bytes(identify("a") + b"\n" + line("b", "2026-08-01T00:00:00Z"))
    with pytest.raises(RecordingError, match=r":3 is no identify line"):
        list(recorded_events.contacts(file))


def test_a_packed_file_that_is_not_whole_is_refused(file: Path) -> None:
    whole = gzip.compress(b"".join(line(f"c{n}", "2026-08-01T00:00:00Z") for n in range(5_000)))
    for broken in (whole[:-9], whole[:2_000] + b"\xff" * 200 + whole[2_200:]):
        file.write_bytes(broken)
        with pytest.raises(RecordingError, match=r"in\.ndjson"):
            nodes(FLOW, file)


@pytest.mark.parametrize(
    ("at", "until", "code"),
    [
        (None, None, "no_events"),
        ("1969-12-31T23:59:59Z", None, "too_early"),
        ("2026-08-02T00:00:00Z", "2026-08-01T00:00:00Z", "too_early"),
    ],
)
def test_what_gives_no_time_to_run_in_is_refused(
    file: Path, at: str | None, until: str | None, code: str
) -> None:
    file.write_bytes(b"" if at is None else line("a", at))
    with pytest.raises(TidemillError) as caught:
        nodes(FLOW, file, until_ms=None if until is None else instant.parse(until))
    assert caught.value.code == code


def test_a_flow_with_problems_is_not_run(file: Path) -> None:
    file.write_bytes(line("a", "2026-08-01T00:00:00Z"))
    wrong = {**FLOW, "nodes": {**FLOW["nodes"], "pause": {"kind": "wait", "for": "1d", "next": "nowhere"}}}
    with pytest.raises(Refused) as caught:
        nodes(wrong, file)
    assert [problem.node for problem in caught.value.problems] == ["pause"]


# What is held of a recording


def test_a_file_is_read_as_it_is_played(file: Path) -> None:
    one = line("a", "2026-08-01T00:00:00Z")
    file.write_bytes(one * (6 * recorded_events.CHUNK_BYTES // len(one)))
    taken: list[int] = []
    taken_at: list[int] = []
    for at_ms, _ in recorded_events.events(file, lambda _: taken_at.append(len(taken))):
        taken.append(at_ms)
    most = recorded_events.CHUNK_BYTES // len(one) + 1
    assert len(taken_at) >= 6
    assert all(later - before <= most for before, later in pairwise(taken_at))


def test_an_input_is_asked_for_when_the_one_before_it_is_played() -> None:
    simulator = Simulator(0)

    def inputs() -> Iterator[tuple[int, Event]]:
        for number in range(100):
            assert simulator.kernel.counts()["events"] >= number - 1
            yield number, Event(Kind.TRACK, f"c{number}", "Seen")

    simulator.play(inputs())
    assert simulator.kernel.counts()["events"] == 100
