"""Local time and the windows of a wait (rule 4), around the awkward hours of several zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.document import Window
from engine.flow.zone import is_zone, leaving, local_to_ms, ms_to_local, zone, zone_names
from ext.wire.instant import format as shown
from ext.wire.instant import parse
from tests.reference.windows import Ticking, to_ms

EVERY_DAY = tuple(range(7))
MON, FRI, SUN = 0, 4, 6


def window(opens: str, closes: str, days: tuple[int, ...] = EVERY_DAY) -> Window:
    def minute(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    return Window(days, minute(opens), minute(closes))


def test_zones_have_the_exact_names_of_the_package() -> None:
    assert is_zone("Europe/London")
    assert is_zone("UTC")
    assert len(zone_names()) > 400
    for name in ("europe/london", "London", "", "../etc/passwd", "/etc/localtime", "Europe", 5, None):
        assert not is_zone(name)
    with pytest.raises(ValueError, match="Europe/London"):
        zone("Europa/London")


@pytest.mark.parametrize(
    ("place", "day", "minute", "instant"),
    [
        ("UTC", date(2026, 8, 10), 600, "2026-08-10T10:00:00Z"),
        ("Europe/London", date(2026, 7, 8), 600, "2026-07-08T09:00:00Z"),
        ("Europe/London", date(2026, 1, 8), 600, "2026-01-08T10:00:00Z"),
        # 01:00 to 02:00 is skipped on 29 March: the first instant after the gap
        ("Europe/London", date(2026, 3, 29), 60, "2026-03-29T01:00:00Z"),
        ("Europe/London", date(2026, 3, 29), 90, "2026-03-29T01:00:00Z"),
        ("Europe/London", date(2026, 3, 29), 119, "2026-03-29T01:00:00Z"),
        ("Europe/London", date(2026, 3, 29), 120, "2026-03-29T01:00:00Z"),
        ("Europe/London", date(2026, 3, 29), 121, "2026-03-29T01:01:00Z"),
        # 01:00 to 02:00 comes twice on 25 October: the first
        ("Europe/London", date(2026, 10, 25), 90, "2026-10-25T00:30:00Z"),
        # half an hour of summer time
        ("Australia/Lord_Howe", date(2026, 10, 4), 135, "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", date(2026, 4, 5), 105, "2026-04-04T14:45:00Z"),
        # a day that never was
        ("Pacific/Apia", date(2011, 12, 30), 600, "2011-12-30T10:00:00Z"),
        # summer time is suspended for the month of Ramadan
        ("Africa/Casablanca", date(2026, 3, 22), 150, "2026-03-22T02:00:00Z"),
        # midnight itself is skipped
        ("America/Santiago", date(2026, 9, 6), 0, "2026-09-06T04:00:00Z"),
    ],
)
def test_a_local_time_is_the_first_instant_at_which_the_clock_reads_it_or_more(
    place: str, day: date, minute: int, instant: str
) -> None:
    assert shown(local_to_ms(zone(place), day, minute)) == instant


def test_an_instant_is_shown_as_date_minute_and_rest() -> None:
    assert ms_to_local(zone("Europe/London"), parse("2026-07-08T23:30:05.250Z")) == (
        date(2026, 7, 9),
        30,
        5_250,
    )
    assert ms_to_local(zone("America/New_York"), parse("1969-12-31T23:59:59Z")) == (
        date(1969, 12, 31),
        18 * 60 + 59,
        59_000,
    )


@pytest.mark.parametrize(
    ("at", "left"),
    [
        ("2026-08-05T03:00:00Z", "2026-08-05T08:00:00Z"),
        ("2026-08-05T07:59:59.999Z", "2026-08-05T08:00:00Z"),
        ("2026-08-05T08:00:00Z", "2026-08-05T08:00:00Z"),
        ("2026-08-05T19:59:59.999Z", "2026-08-05T19:59:59.999Z"),
        ("2026-08-05T20:00:00Z", "2026-08-06T08:00:00Z"),
    ],
)
def test_the_end_of_a_window_is_not_inside_it(at: str, left: str) -> None:
    assert shown(leaving((window("08:00", "20:00"),), zone("UTC"), parse(at))) == left


@pytest.mark.parametrize(
    ("at", "left"),
    [
        ("2026-08-07T21:59:00Z", "2026-08-07T22:00:00Z"),  # Friday
        ("2026-08-08T03:00:00Z", "2026-08-08T03:00:00Z"),  # Saturday, in Friday's window
        ("2026-08-08T06:00:00Z", "2026-08-14T22:00:00Z"),
        ("2026-08-08T22:30:00Z", "2026-08-14T22:00:00Z"),  # Saturday has none of its own
        ("2026-08-07T03:00:00Z", "2026-08-07T22:00:00Z"),  # nor Thursday
    ],
)
def test_an_overnight_window_belongs_to_the_day_on_which_it_opens(at: str, left: str) -> None:
    assert shown(leaving((window("22:00", "06:00", (FRI,)),), zone("UTC"), parse(at))) == left


def test_opening_and_closing_together_is_the_whole_day() -> None:
    whole = (window("09:00", "09:00", (MON,)),)
    assert shown(leaving(whole, zone("UTC"), parse("2026-08-10T00:00:00Z"))) == "2026-08-10T00:00:00Z"
    assert shown(leaving(whole, zone("UTC"), parse("2026-08-11T00:00:00Z"))) == "2026-08-17T00:00:00Z"


def test_the_nearest_of_several_windows_counts() -> None:
    two = (window("18:00", "20:00"), window("08:00", "10:00"))
    assert shown(leaving(two, zone("UTC"), parse("2026-08-10T10:00:00Z"))) == "2026-08-10T18:00:00Z"
    assert shown(leaving(two, zone("UTC"), parse("2026-08-10T21:00:00Z"))) == "2026-08-11T08:00:00Z"


def test_without_a_window_nothing_is_held() -> None:
    assert leaving((), zone("UTC"), 12345) == 12345


def test_a_window_that_a_gap_swallows_is_empty_that_day() -> None:
    swallowed = (window("01:00", "02:00", (SUN,)),)
    assert shown(leaving(swallowed, zone("Europe/London"), parse("2026-03-28T12:00:00Z"))) == (
        "2026-04-05T00:00:00Z"
    )


def test_a_day_that_never_was_has_no_window() -> None:
    fridays = (window("09:00", "17:00", (FRI,)),)
    left = leaving(fridays, zone("Pacific/Apia"), parse("2011-12-29T12:00:00Z"))
    assert ms_to_local(zone("Pacific/Apia"), left) == (date(2012, 1, 6), 9 * 60, 0)


@pytest.mark.parametrize("at", [-(10**17), -62_135_596_800_000, 253_402_300_799_999, 10**17])
def test_the_ends_of_the_calendar_are_no_fault(at: int) -> None:
    place = zone("Pacific/Kiritimati")
    assert leaving((window("08:00", "09:00"),), place, at) == at
    assert isinstance(ms_to_local(place, at)[0], date)
    assert local_to_ms(place, date.max, 1439) > local_to_ms(place, date.min, 0)


CHANGES = {
    "Europe/London": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Pacific/Apia": ("2011-12-30", "2011-09-24"),
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "America/Santiago": ("2026-04-04", "2026-09-05"),
    "Asia/Kathmandu": ("2026-06-01", "1985-12-31"),
}
"""Days around which the clocks of these zones jump (and one zone whose clock is only odd)."""

BEFORE, LONG = timedelta(days=10), 27


@cache
def ticking(place: str, day: str) -> Ticking:
    return Ticking(zone(place), datetime.fromisoformat(day).replace(tzinfo=UTC) - BEFORE, LONG)


places = st.sampled_from([(place, day) for place, days in CHANGES.items() for day in days])
minutes = st.one_of(st.integers(0, 1439), st.integers(0, 240))
windows = st.lists(
    st.builds(
        Window, st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))), minutes, minutes
    ),
    min_size=1,
    max_size=2,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(places, windows, st.integers(-2 * 1440, 2 * 1440))
def test_windows_agree_with_a_clock_that_ticks(
    where: tuple[str, str], gates: tuple[Window, ...], minutes_off: int
) -> None:
    place, day = where
    at = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes_off)
    expected = ticking(place, day).leaving(gates, at)
    left = leaving(gates, zone(place), to_ms(at))
    assert expected is not None, "the twin looks far enough ahead"
    assert left == to_ms(expected)


@settings(max_examples=200, deadline=None)
@given(places, st.integers(-3, 3), st.integers(0, 1439))
def test_local_times_agree_with_a_clock_that_ticks(
    where: tuple[str, str], days_off: int, minute: int
) -> None:
    place, day = where
    local_day = date.fromisoformat(day) + timedelta(days=days_off)
    local = datetime.combine(local_day, datetime.min.time()) + timedelta(minutes=minute)
    expected = ticking(place, day).first(local)
    assert expected is not None
    assert local_to_ms(zone(place), local_day, minute) == to_ms(expected)
