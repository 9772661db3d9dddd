"""Occurrences of scheduled launches (rule 11)."""

from __future__ import annotations

import pytest

from engine.flow.document import ScheduleTrigger
from engine.flow.occurrences import next_occurrence
from engine.flow.zone import zone
from ext.wire import instant

NINE = 9 * 60


def occurrences(trigger: ScheduleTrigger, place: str, start: str, count: int) -> list[str]:
    found = []
    ms = instant.parse(start)
    for _ in range(count):
        at = next_occurrence(trigger, zone(place), ms)
        assert at is not None
        found.append(instant.format(at))
        ms = at + 1
    return found


@pytest.mark.parametrize(
    ("trigger", "place", "start", "expected"),
    [
        pytest.param(
            ScheduleTrigger("day", NINE),
            "Europe/London",
            "2026-03-28T00:00:00Z",
            ["2026-03-28T09:00:00Z", "2026-03-29T08:00:00Z", "2026-03-30T08:00:00Z"],
            id="nine in London, over the change to summer time",
        ),
        pytest.param(
            ScheduleTrigger("day", NINE),
            "UTC",
            "2026-03-28T09:00:00Z",
            ["2026-03-28T09:00:00Z", "2026-03-29T09:00:00Z"],
            id="the very instant counts",
        ),
        pytest.param(
            ScheduleTrigger("day", 90),
            "Europe/London",
            "2026-03-29T00:00:00Z",
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            id="half past one does not exist: the first instant after the gap",
        ),
        pytest.param(
            ScheduleTrigger("day", 90),
            "Europe/London",
            "2026-10-25T00:00:00Z",
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            id="half past one comes twice: once, at the first",
        ),
        pytest.param(
            ScheduleTrigger("week", NINE, (0, 3)),
            "UTC",
            "2026-12-30T10:00:00Z",
            ["2026-12-31T09:00:00Z", "2027-01-04T09:00:00Z", "2027-01-07T09:00:00Z"],
            id="Mondays and Thursdays, over the new year",
        ),
        pytest.param(
            ScheduleTrigger("month", NINE, (31,)),
            "UTC",
            "2026-01-31T10:00:00Z",
            ["2026-03-31T09:00:00Z", "2026-05-31T09:00:00Z"],
            id="a day the month lacks is skipped",
        ),
        pytest.param(
            ScheduleTrigger("month", NINE, (15, 0)),
            "UTC",
            "2028-02-01T00:00:00Z",
            ["2028-02-15T09:00:00Z", "2028-02-29T09:00:00Z", "2028-03-15T09:00:00Z"],
            id="the last day of a leap February",
        ),
        pytest.param(
            ScheduleTrigger("month", NINE, (28, 0)),
            "UTC",
            "2027-02-01T00:00:00Z",
            ["2027-02-28T09:00:00Z", "2027-03-28T09:00:00Z"],
            id="the 28th that is also the last occurs once",
        ),
        pytest.param(
            ScheduleTrigger("month", NINE, (29,)),
            "UTC",
            "2097-02-01T00:00:00Z",
            ["2097-03-29T09:00:00Z"],
            id="no 29th of February in a common year",
        ),
    ],
)
def test_occurrences(trigger: ScheduleTrigger, place: str, start: str, expected: list[str]) -> None:
    assert occurrences(trigger, place, start, len(expected)) == expected


def test_the_calendar_has_an_end() -> None:
    assert (
        next_occurrence(ScheduleTrigger("day", NINE), zone("UTC"), instant.parse("9999-12-31T09:00:00.001Z"))
        is None
    )
