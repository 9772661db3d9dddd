"""Numbers of events: `customer.sum` adds up the same ones however a line was read, and each is what `float` says."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.limits import HISTORY_NUMBERS_PER_EVENT_MAX
from engine.wire import decode_line, decode_lines
from ext.kernel.contact_writer import pack_contact
from ext.maps.json_to_map import pack_json
from ext.wire.event import Event
from tests.ext.wire.line_samples import ESCAPES, PLAIN, WORDS, LineWriter, taken
from tests.kernel.kernel_bench import Bench

History = list[tuple[str, dict[str, list[bytes]]]]


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


def history(bench: Bench) -> History:
    """The names of the events of contact `c`, and the columns of their numbers."""
    core: Any = bench.kernel._core
    packed = msgspec.msgpack.decode(pack_contact(core.registry.contact("c")))[5]
    return [
        (
            core.names.texts[name],
            {core.properties.texts[column]: [*map(bits, values)] for column, values in columns},
        )
        for name, _, columns in packed
    ]


def made_slowly(line: bytes) -> Event:
    """The event of a line by the slow way, its numbers not looked for yet."""
    slow = decode_line(line)
    assert isinstance(slow, Event)
    return Event(
        slow.kind, slow.contact, slow.name, slow.body, slow.timestamp_ms, slow.message_id, slow.previous
    )


def numbers_of(body: bytes) -> dict[str, bytes]:
    """The twin: the numbers at the top of a body, of keys without escapes; of a key given twice, the last one. A whole
    number is a double as well: -0 is negative zero."""
    pairs: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list, parse_int=float)
    numbers = [(key, value) for key, value in pairs if type(value) is float]
    return {key: bits(value) for key, value in numbers[:HISTORY_NUMBERS_PER_EVENT_MAX]}


KEYS = [b'"%s"' % key for key in (b"", b"a", b"b", b"total", "é".encode(), b"k" * 200)]


def digits(random: Random) -> bytes:
    """A number as JSON has it, of up to 20 digits."""
    whole = str(random.randrange(10 ** random.randrange(1, 19)))
    decimals = "".join(random.choices("0123456789", k=random.randrange(20 - len(whole))))
    return ("-" * random.randrange(2) + whole + ("." + decimals if decimals else "")).encode()


def body(random: Random, texts: list[bytes]) -> bytes:
    """Up to 20 numbers among other values, some keys more than once."""
    writer = LineWriter(random.randrange(1 << 32), texts, [*WORDS, b"5", b"-0.25"])
    parts = [
        writer.pair(
            random.choice(KEYS) if random.random() < 0.4 else writer.text(),
            digits(random) if random.random() < 0.6 else writer.value(2),
        )
        for _ in range(random.choice((0, 1, 5, 6, 7, 15, 16, 17, 20)))
    ]
    return writer.container(parts, b"{}")


def line(random: Random, texts: list[bytes]) -> bytes:
    """With a body or two, one of which does not count for this kind of message."""
    fields = [b'"userId":"c"', b'"event":"%s"' % random.choice((b"E", b"F")), b'"previousId":"p"']
    fields.append(b'"type":"%s"' % random.choice((b"track", b"track", b"track", b"identify", b"alias")))
    bodies = [(key, body(random, texts)) for key in (b'"properties":', b'"traits":', b'"context":')]
    fields += [key + text for key, text in bodies if random.random() < 0.7]
    random.shuffle(fields)
    return b"{" + b",".join(fields) + b"}"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_a_history_is_the_same_however_its_lines_were_read(seed: int, escapes: bool) -> None:
    random = Random(seed)
    lines = [line(random, PLAIN * 2 + ESCAPES if escapes else PLAIN) for _ in range(20)]
    fast, slow = Bench(), Bench()
    for one in lines:
        fast.apply(*decode_lines(one).inputs)
        slow.apply(made_slowly(one))
        assert history(fast) == history(slow), one
    assert fast.kernel.digest() == slow.kernel.digest()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_the_numbers_kept_are_those_of_the_body(seed: int) -> None:
    random = Random(seed)
    for _ in range(10):
        bench, text = Bench(), body(random, PLAIN)
        bench.apply(*decode_lines(b'{"type":"track","userId":"c","event":"E","properties":%s}' % text).inputs)
        ((_, columns),) = history(bench)
        assert columns == {key: [value] for key, value in numbers_of(text).items()}


@pytest.mark.parametrize("kind", ["track", "identify", "alias"])
@pytest.mark.parametrize("traits", ['{"a longer key":222}', '{"a longer ky":222}', '{"é":1}', "{}", "null"])
@pytest.mark.parametrize("traits_first", [True, False])
def test_traits_beside_properties_do_not_count(kind: str, traits: str, traits_first: bool) -> None:
    bodies = ['"properties":{"a":1,"k":"é€🍮é€🍮"}', f'"traits":{traits}']
    bodies = bodies[::-1] if traits_first else bodies
    text = f'{{"type":"{kind}","userId":"c","event":"E","previousId":"p",{",".join(bodies)}}}'.encode()
    assert taken(text)
    bench = Bench()
    bench.apply(*decode_lines(text).inputs)
    assert history(bench) == ([("E", {"a": [bits(1)]})] if kind == "track" else [])


@settings(max_examples=1_000, deadline=None)
@given(st.text("0123456789", min_size=1, max_size=18), st.integers(0, 18), st.booleans())
def test_a_decimal_is_the_double_nearest_to_it(text: str, point: int, negative: bool) -> None:
    """Every split of every number of up to 18 digits, bit for bit, negative zero included."""
    point = min(point, len(text) - 1)
    whole = text[: len(text) - point].lstrip("0") or "0"
    written = "-" * negative + whole + ("." + text[len(text) - point :] if point else ".0")
    packed = pack_json(f'{{"a":{written}}}'.encode())
    assert packed is not None
    assert bits(msgspec.msgpack.decode(packed)["a"]) == bits(json.loads(written))


HARD = [
    *("9007199254740991", "9007199254740992", "9007199254740993", "9007199254740995", "-9007199254740993"),
    *(
        "9007199254740992.0",
        "9007199254740993.0",
        "900719925474099.3",
        "0.9007199254740993",
        "0.9007199254740992",
    ),
    *(
        "0.30000000000000004",
        "0.1",
        "0.2",
        "0.3",
        "-0.0",
        "0.0",
        "0.000000000000000001",
        "999999999999999999.0",
    ),
    *(
        "1e22",
        "1e23",
        "1.5e-7",
        "-2E+3",
        "5e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "0e5",
    ),
    *("123456789012345678901234567890.5", "0." + "0" * 30 + "1", "1" * 25, "-0e0"),
]


@pytest.mark.parametrize("text", HARD)
def test_numbers_at_the_edges_of_the_short_way(text: str) -> None:
    number = float(text)
    bench = Bench()
    bench.track("c", "E", f'{{"a":{text}}}')
    assert history(bench) == [("E", {"a": [bits(number)]})]
    packed = pack_json(f'{{"a":[{text}]}}'.encode())
    assert packed is None or bits(msgspec.msgpack.decode(packed)["a"][0]) == bits(number)
