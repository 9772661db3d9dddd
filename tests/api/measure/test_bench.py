"""`tidemill bench`: its parts on an engine of their own, and what it prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from api.cli.commands import bench
from api.cli.commands.machine import number
from api.measure import work
from api.measure.engine import Engine, MeasureError
from api.measure.requests import ask
from api.measure.stream import quantile, send, send_at
from api.measure.suite import FULL, QUICK, Figure, Size, Suite
from engine.wire import decode_lines
from tests.api.command_line import answer, tidemill

TINY = Size(contacts=1_000, events=4_000, rounds=1, requests=200, load_s=1.0, waits=100)
SLOW = ("_lateness", "_burst")
"""Steps that wait for seconds to pass; `bench/test_waits.py` runs them."""
FIGURE = Figure("stream", "events", 123_456.7, "a second", "over one stream", "≥ 250,000")


def test_a_reference_event_has_about_300_bytes_and_one_in_eight_starts_a_run() -> None:
    body = work.events(4_000, contacts=1_000)
    assert 270 < len(body) / 4_000 < 330
    entering = 0
    for event in decode_lines(body).inputs:
        assert not hasattr(event, "op")
    for line in body.splitlines():
        event = msgspec.json.decode(line)
        traits = work.contact(int(event["userId"][1:]))
        entering += (
            event["properties"]["total"] >= 50
            and traits["city"] in ("London", "Paris")
            and traits["orders_count"] > 2
        )
    assert 0.11 < entering / 4_000 < 0.14
    assert len(work.contact(1)) == 10


def test_the_steps_give_figures_of_a_real_engine(tmp_path: Path) -> None:
    figures: dict[str, float] = {}
    with closing(Suite(tmp_path, TINY)) as suite:
        for _, step in suite.steps():
            if step.__name__ == "_restart":
                suite.engine.stop()
            if step.__name__ not in SLOW:
                figures |= {figure.id: figure.value for figure in step()}
    assert {"commit", "contacts", "stream", "ratio", "requests", "requests_p99", "start", "replay"} <= set(
        figures
    )
    assert all(value > 0 for name, value in figures.items() if name not in ("memory", "written"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "data") as engine:
        yield engine


def test_lines_are_acknowledged_and_requests_answered(engine: Engine) -> None:
    assert send(engine.stream, work.contacts(50)).lines == 50
    sent = send_at(engine.stream, work.events(200, contacts=50), rate=2_000, each=10)
    assert (sent.lines, len(sent.due_s), len(sent.delays_s)) == (200, 20, 20)
    assert sent.seconds >= 0.09
    assert ask(engine.intake, work.events(100, contacts=50, run="r"), connections=4).count == 100
    assert engine.metrics()["tidemill_events_total"] == 350
    with pytest.raises(MeasureError, match="did not take a line"):
        send(engine.stream, b"nonsense\n")


def test_a_quantile_is_one_of_the_values() -> None:
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.01, 0.5, 0.75, 0.99)] == [1, 2, 3, 4]


def test_what_is_measured_is_printed_as_a_table_or_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Path, Size]] = []

    def measure(beside: Path, size: Size) -> list[Figure]:
        asked.append((beside, size))
        return [FIGURE]

    monkeypatch.setattr(bench, "_measure", measure)
    shown = tidemill("bench", "--data", tmp_path / "not" / "there").stdout
    assert "123,500" in shown
    assert "≥ 250,000" in shown
    found = answer(tidemill("bench", "--quick", "--json", "--data", tmp_path / "data"))
    assert isinstance(found, dict)
    assert found["figures"] == [msgspec.to_builtins(FIGURE)]
    assert asked == [(tmp_path, FULL), (tmp_path, QUICK)]


@pytest.mark.parametrize(
    ("value", "shown"), [(213_456.7, "213,500"), (987.6, "988"), (44.44, "44.4"), (0.421, "0.42")]
)
def test_figures_have_as_many_digits_as_mean_something(value: float, shown: str) -> None:
    assert number(value) == shown
