"""Durations, times of day and ids as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.flow.values import format_duration, format_time_of_day, is_id, parse_duration, parse_time_of_day
from engine.limits import DURATION_MS_MAX


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("0s", 0),
        ("36h", 36 * 3_600_000),
        ("1d12h", 36 * 3_600_000),
        ("1w", 7 * 86_400_000),
        ("1w2d3h4m5s", (((9 * 24 + 3) * 60 + 4) * 60 + 5) * 1000),
        ("3660d", 3660 * 86_400_000),
    ],
)
def test_a_duration_is_a_sum_of_units(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "5",
        "d",
        "1h1d",
        "1d1d",
        "1D",
        "1.5h",
        " 1d",
        "1d ",
        "1d 2h",
        "-1d",
        "+1d",
        "1y",
        "१d",
        "1d\n",
    ],
)
def test_other_texts_than_durations_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1d12h"):
        parse_duration(text)


def test_units_in_the_wrong_order_are_named() -> None:
    with pytest.raises(ValueError, match="largest first"):
        parse_duration("12h1d")


@pytest.mark.parametrize("text", ["3661d", "9999999d", "999999999w", f"{10**8}h"])
def test_ten_years_is_the_longest(text: str) -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse_duration(text)


def test_an_offset_may_go_back() -> None:
    assert parse_duration("-2d", negative=True) == -2 * 86_400_000
    assert parse_duration("2d", negative=True) == 2 * 86_400_000
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration("--2d", negative=True)


@given(st.integers(0, DURATION_MS_MAX // 1000))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds * 1000)) == seconds * 1000


@given(st.integers(1, DURATION_MS_MAX // 1000))
def test_so_is_a_negative_one(seconds: int) -> None:
    assert parse_duration(format_duration(-seconds * 1000), negative=True) == -seconds * 1000


def test_a_duration_is_written_shortly() -> None:
    assert format_duration(36 * 3_600_000) == "1d12h"
    assert format_duration(999) == "0s"


@pytest.mark.parametrize(("text", "minute"), [("00:00", 0), ("08:30", 510), ("23:59", 1439)])
def test_a_time_of_day_is_minutes_after_midnight(text: str, minute: int) -> None:
    assert parse_time_of_day(text) == minute
    assert format_time_of_day(minute) == text


@pytest.mark.parametrize("text", ["8:30", "24:00", "08:60", "08:30:00", "0830", "", "08:30 ", "8pm"])
def test_other_times_of_day_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time of day"):
        parse_time_of_day(text)


@pytest.mark.parametrize("text", ["a", "0", "abandoned-cart", "a-", "9" * 64])
def test_ids(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "-a", "A", "a_b", "a b", "é", "a\n", "9" * 65])
def test_no_ids(text: str) -> None:
    assert not is_id(text)
