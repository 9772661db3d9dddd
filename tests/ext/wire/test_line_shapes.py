"""Lines of any shape, read in one pass: right ones and wrong ones by the thousand; the slow way says what they are."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model import Control
from engine.wire import Rejection, decode_line, decode_lines, encode_control
from ext.wire.event import Event
from tests.ext.wire.test_line_reader import BAD_TEXTS, said, taken

PLAIN = [
    b"",
    b"a",
    b"total",
    b"at the door",
    b"eight by",
    b"{",
    b"]",
    b":,",
    b"\x7f",
    *map(str.encode, "é€🍮"),
]
ESCAPES = [b'\\"', b"\\\\", b"\\/", b"\\n", b"\\u00e9", b"\\u0000", b"\\uFFFF", b"\\ud83c\\udf6e"]
NUMBERS = [b"0", b"-0", b"7", b"-12.50", b"99.5", b"0.1", b"12345678901234567"]
UNUSUAL = [b"1e5", b"2E-3", b"123456789012345678", b"-0.1234567890123456789", b"1" * 30]
WORDS = [b"true", b"false", b"null"]
GAPS = [b"", b"", b"", b" ", b"\t", b"\r", b" \r\t "]
KINDS = [b'"track"', b'"track"', b'"track"', b'"identify"', b'"alias"', b'"page"']
STAMPS = [b'"2026-08-10T13:00:00Z"', b'"0001-01-01 00:00:00.0009+23:59"', b"null", b'"soon"']
NEEDED = ["type", "userId", "event", "previousId"]
TEXTS = ["anonymousId", "messageId"]
BODIES = ["properties", "traits"]
OTHERS = ["context", "", "Type", "useriD"]


class Writer:
    """Writes messages whose texts and numbers are made of these pieces, with more fields than they need, in any
    order, and white space wherever there may be some."""

    def __init__(self, seed: int, texts: list[bytes], words: list[bytes]) -> None:
        self.random = Random(seed)
        self.texts, self.words = texts, words

    def text(self) -> bytes:
        return b'"' + b"".join(self.random.choices(self.texts, k=self.random.randrange(1, 4))) + b'"'

    def container(self, parts: list[bytes], around: bytes) -> bytes:
        gaps = self.random.choices(GAPS, k=2 * len(parts) + 2)
        inner = b",".join(gaps.pop() + part + gaps.pop() for part in parts) or gaps.pop()
        return around[:1] + inner + around[1:]

    def pair(self, key: bytes, value: bytes) -> bytes:
        return key + self.random.choice(GAPS) + b":" + self.random.choice(GAPS) + value

    def body(self, levels: int) -> bytes:
        parts = [self.pair(self.text(), self.value(levels)) for _ in range(self.random.randrange(9))]
        return self.container(parts, b"{}")

    def value(self, levels: int) -> bytes:
        turn = self.random.random()
        if levels and turn < 0.1:
            return self.body(levels - 1)
        if levels and turn < 0.2:
            return self.container([self.value(levels - 1) for _ in range(self.random.randrange(4))], b"[]")
        return self.text() if turn < 0.5 else self.random.choice(self.words)

    def line(self) -> bytes:
        random = self.random
        values = {"type": random.choice(KINDS), "timestamp": random.choice(STAMPS)}
        values |= {key: self.text() for key in NEEDED[1:] + TEXTS}
        values |= {key: self.body(2) for key in BODIES}
        values |= {key: self.value(3) for key in OTHERS}
        more = [key for key in values if key not in NEEDED]
        keys = NEEDED + random.sample(more, random.randrange(len(more) + 1))
        random.shuffle(keys)
        parts = [self.pair(b'"%s"' % key.encode(), values[key]) for key in keys]
        return random.choice(GAPS) + self.container(parts, b"{}") + random.choice(GAPS)


def plain(seed: int) -> Writer:
    return Writer(seed, PLAIN, NUMBERS + WORDS)


def unusual(seed: int) -> Writer:
    return Writer(seed, PLAIN * 12 + ESCAPES, NUMBERS * 12 + WORDS * 12 + UNUSUAL)


def wrong(seed: int) -> Writer:
    return Writer(
        seed, PLAIN * 40 + ESCAPES + BAD_TEXTS, NUMBERS * 40 + WORDS * 4 + [b"01", b"1.", b"-", b"nul"]
    )


writers = st.builds(
    lambda kind, seed: kind(seed), st.sampled_from([plain, unusual, wrong]), st.integers(0, 1 << 32)
)
many = settings(max_examples=100, deadline=None)


@many
@given(writers)
def test_any_line_is_what_the_slow_way_makes_of_it(writer: Writer) -> None:
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
def test_a_changed_line_is_what_the_slow_way_makes_of_it(writer: Writer) -> None:
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
def test_lines_are_those_one_by_one(writer: Writer, count: int, ended: bool, control: bool) -> None:
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
