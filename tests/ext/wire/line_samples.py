"""Lines for the reader: right and wrong pieces, a writer of random lines, and the comparison with the slow way."""

from __future__ import annotations

from random import Random

from engine.wire import decode_line
from ext.wire.event import Event
from ext.wire.line_reader import read_lines


def said(event: Event) -> tuple[object, ...]:
    body, previous = event.body, event.previous
    return event.kind, event.contact, event.name, body, event.timestamp_ms, event.message_id, previous


def taken(line: bytes) -> bool:
    """Whether a line is read in one pass. Check that the event then equals the slow way's."""
    left: list[bytes] = []
    found = read_lines(line, left.append)
    if found is None:
        assert left == [line]
        return False
    (event,) = found
    slow = decode_line(line)
    assert isinstance(slow, Event), f"{slow} is taken"
    assert said(event) == said(slow)
    return True


BAD_TEXTS = [
    *(
        b"\\",
        b"\\x",
        b"\\u",
        b"\\u12",
        b"\\u00g0",
        b"\\U0041",
        b"\\ud800",
        b"\\uDBFF",
        b"\\udc00",
        b"\\uDFFF",
        b"\\'",
    ),
    *(b"\x00", b"\x01", b"\x1f", b"\t", b"\r"),
    *(
        b"\x80",
        b"\xbf",
        b"\xc3",
        b"\xc3(",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe2\x82",
        b"\xe0\x9f\xbf",
        b"\xe0\x80\x80",
    ),
    *(
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf0\x9f\x98",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
    ),
    *(b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff"),
]

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


class LineWriter:
    """A writer of random messages: texts and numbers of these pieces, more fields than needed, in any order.

    White space stands wherever the format allows it.
    """

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
