"""Lines of any shape, read in one pass: right ones and wrong ones by the thousand; the slow way says what they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model import Control
from engine.wire import Rejection, decode_line, decode_lines, encode_control
from ext.wire.event import Event
from tests.ext.wire.line_samples import (
    BAD_TEXTS,
    ESCAPES,
    NUMBERS,
    PLAIN,
    UNUSUAL,
    WORDS,
    LineWriter,
    said,
    taken,
)


def plain(seed: int) -> LineWriter:
    return LineWriter(seed, PLAIN, NUMBERS + WORDS)


def unusual(seed: int) -> LineWriter:
    return LineWriter(seed, PLAIN * 12 + ESCAPES, NUMBERS * 12 + WORDS * 12 + UNUSUAL)


def wrong(seed: int) -> LineWriter:
    return LineWriter(
        seed, PLAIN * 40 + ESCAPES + BAD_TEXTS, NUMBERS * 40 + WORDS * 4 + [b"01", b"1.", b"-", b"nul"]
    )


writers = st.builds(
    lambda kind, seed: kind(seed), st.sampled_from([plain, unusual, wrong]), st.integers(0, 1 << 32)
)
many = settings(max_examples=100, deadline=None)


@many
@given(writers)
def test_any_line_is_what_the_slow_way_makes_of_it(writer: LineWriter) -> None:
    for _ in range(40):
        taken(writer.line())


@many
@given(st.integers(0, 1 << 32))
def test_a_line_without_escapes_is_taken_if_the_slow_way_takes_it(seed: int) -> None:
    """But for the messages that are made of others."""
    writer = plain(seed)
    for _ in range(40):
        line = writer.line()
        assert taken(line) is (isinstance(decode_line(line), Event) and b'"page"' not in line)


@many
@given(writers)
def test_a_changed_line_is_what_the_slow_way_makes_of_it(writer: LineWriter) -> None:
    """Something else, something more, or nothing in the place of some bytes of it."""
    random = writer.random
    for _ in range(20):
        line = writer.line()
        at = random.randrange(len(line))
        to = min(at + random.choice((0, 0, 1, 1, 2, 5, 20)), len(line))
        pieces = (
            b"",
            line[at:to] * 2,
            *b'" { } [ ] , : "":'.split(),
            random.choice(BAD_TEXTS),
            writer.value(2),
        )
        taken(line[:at] + random.choice(pieces) + line[to:])


ENDS = [b"\n", b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"]


@many
@given(writers, st.integers(0, 5), st.booleans(), st.booleans())
def test_lines_are_those_one_by_one(writer: LineWriter, count: int, ended: bool, control: bool) -> None:
    """Blank lines, the last line without an end, an operation in between: all numbered as they stand."""
    parts = [writer.line() + writer.random.choice(ENDS) for _ in range(count)]
    parts.insert(count // 2, encode_control(Control("pause", {"flow": "f"})))
    data = b"".join(parts)[: None if ended else -1]
    lines = data.removesuffix(b"\n").split(b"\n")
    decoded = decode_lines(data, control=control)
    single = [decode_line(line, number, control=control) for number, line in enumerate(lines) if line.strip()]
    assert decoded.lines == len(lines)
    assert decoded.rejected == [one for one in single if isinstance(one, Rejection)]
    assert [said(one) if isinstance(one, Event) else one for one in decoded.inputs] == [
        said(one) if isinstance(one, Event) else one for one in single if not isinstance(one, Rejection)
    ]
