"""A year and a half of a real shop: the counts per node of a simulation are those of twenty independent lines."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.model import TRACE_WORDS
from engine.simulation import scenario
from ext.wire import instant
from tests.simulation.cdnow_counts import counts

FOLDER = Path(__file__).parents[1]
ORDERS = FOLDER / "data" / "cdnow-orders.ndjson.gz"
SCENARIO = FOLDER / "scenarios" / "cdnow-a-second-order.yaml"


def nodes_of(stats: dict[str, Any]) -> dict[str, dict[str, int]]:
    nodes: dict[str, dict[str, int]] = stats["second-order"]["nodes"]
    return nodes


def until(text: str) -> scenario.Scenario:
    return msgspec.structs.replace(scenario.load(SCENARIO), until_ms=instant.parse(text))


@pytest.mark.parametrize("end", ["1998-08-01T00:00:00Z", "1997-03-01T00:00:00Z", "1997-02-03T12:00:00Z"])
def test_every_count_is_that_of_the_script(end: str) -> None:
    found = nodes_of(scenario.run(until(end)).stats())
    expected = counts(ORDERS, datetime.fromisoformat(end))
    assert found["start"]["entered"] == found["month"]["arrived"] == expected["entered"]
    assert found["month"]["waiting"] == expected["waiting"]
    assert found["again"]["true"] == found["thank"]["executed"] == expected["thank"]
    assert found["again"]["false"] == found["ask"]["executed"] == expected["ask"]
    assert found["thank"]["completed"] + found["ask"]["completed"] == expected["thank"] + expected["ask"]
    assert expected["thank"] > 0
    assert (expected["waiting"] > 0) == (end < "1998")


def test_the_trace_tells_the_same_as_the_counts() -> None:
    seen: dict[tuple[str, str], int] = {}

    def count(record: dict[str, Any]) -> None:
        place = record["node"], record["what"]
        seen[place] = seen.get(place, 0) + 1

    found = nodes_of(scenario.run(scenario.load(SCENARIO), count).stats())
    told = {
        (node, what): number
        for node, row in found.items()
        for what, number in row.items()
        if number and what in TRACE_WORDS and what != "waiting"
    }
    assert {place: number for place, number in seen.items() if place[1] != "waiting"} == told
    assert seen["month", "waiting"] == found["month"]["arrived"]


def test_every_order_is_in_the_history() -> None:
    kernel = scenario.run(until("1998-08-01T00:00:00Z")).kernel
    assert kernel.counts()["contacts"] == 23_570
    with gzip.open(ORDERS) as lines:
        assert sum(1 for _ in lines) == 69_659
    busiest = kernel.contact("14048")["events"]["Order Completed"]
    assert busiest["count"] == 217
