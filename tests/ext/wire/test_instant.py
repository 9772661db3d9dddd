"""Instants: RFC 3339 to milliseconds and back, against the standard library's datetime."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ext.wire import instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)

SHAPE = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII | re.DOTALL
)


def twin(text: str) -> int | None:
    """Return the meaning of a text by regular expression and datetime; None if it is not an instant."""
    found = SHAPE.fullmatch(text)
    if found is None or len(text) > 40:
        return None
    date, time, fraction, sign, hours, minutes = found.groups()
    try:
        local = datetime.fromisoformat(f"{date}T{time}+00:00")
    except ValueError:
        return None
    offset = 0
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            return None
        offset = (int(hours) * 60 + int(minutes)) * 60_000 * (-1 if sign == "-" else 1)
    return (local - EPOCH) // MS + int(((fraction or "") + "000")[:3]) - offset


def parsed(text: str) -> int | None:
    try:
        return instant.parse(text)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-08-10T13:00:00Z", 1_786_366_800_000),
        ("2026-08-10T13:00:00.5Z", 1_786_366_800_500),
        ("2026-08-10T13:00:00.123999Z", 1_786_366_800_123),
        ("2026-08-10T14:00:00+01:00", 1_786_366_800_000),
        ("2026-08-10 07:30:00-05:30", 1_786_366_800_000),
        ("2026-08-10t13:00:00z", 1_786_366_800_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_what_an_instant_means(text: str, ms: int) -> None:
    assert instant.parse(text) == ms == twin(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-08-10",
        "2026-08-10T13:00:00",
        "2026-08-10T13:00Z",
        "2026-08-10T13:00:00.Z",
        "2026-08-10T13:00:00Z ",
        "2026-08-10T13:00:00+0100",
        "2026-08-10T13:00:00+24:00",
        "2026-08-10T13:00:00+01:60",
        "2026-08-10T24:00:00Z",
        "2026-08-10T13:60:00Z",
        "2026-08-10T13:00:60Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "2026-08-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "+026-08-10T13:00:00Z",
        "2026-08-10T13:00:00.0000000000000000000000Z",
        "٢٠٢٦-08-10T13:00:00Z",
        "2026-08-10T13:00:00\ud800",
        "yesterday, at about one",
    ],
)
def test_what_is_not_an_instant(text: str) -> None:
    assert twin(text) is None
    with pytest.raises(ValueError, match="is not an instant"):
        instant.parse(text)


def test_milliseconds_are_written_only_where_there_are_any() -> None:
    assert instant.format(1_786_366_800_000) == "2026-08-10T13:00:00Z"
    assert instant.format(1_786_366_800_050) == "2026-08-10T13:00:00.050Z"
    assert instant.format(-1) == "1969-12-31T23:59:59.999Z"


moments = st.datetimes(timezones=st.just(UTC))


@settings(deadline=None)
@given(moment=moments)
def test_it_is_written_as_datetime_writes_it(moment: datetime) -> None:
    ms = (moment - EPOCH) // MS
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    precision = "milliseconds" if whole.microsecond else "seconds"
    text = whole.isoformat(timespec=precision).replace("+00:00", "Z")
    assert instant.format(ms) == text
    assert instant.parse(text) == ms


@settings(deadline=None)
@given(
    moment=moments,
    offset=st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m))),
    separator=st.sampled_from("Tt "),
)
def test_it_is_read_as_datetime_reads_it(moment: datetime, offset: timezone, separator: str) -> None:
    local = moment.replace(tzinfo=offset)
    assert instant.parse(local.isoformat(sep=separator)) == (local - EPOCH) // MS


@settings(max_examples=400, deadline=None)
@given(data=st.data(), moment=moments, fraction=st.sampled_from(["", ".5", ".123", ".1239"]))
def test_a_text_that_is_nearly_one(data: st.DataObject, moment: datetime, fraction: str) -> None:
    text = f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}{fraction}"
    text += data.draw(st.sampled_from(["Z", "z", "+01:00", "-23:59"]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        width = data.draw(st.integers(0, 1))
        text = text[:at] + data.draw(st.sampled_from(["", *"0123459 TZz:.+-/é"])) + text[at + width :]
    assert parsed(text) == twin(text)


@given(text=st.text(max_size=50))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert parsed(text) == twin(text)
