"""Fuzzing of all that reads from outside: flows, expressions, templates, input lines, journal frames.

Every input is accepted or refused with a sentence: no crash, no other exception, at most 100 ms of CPU an example.

The nightly form does the same with many more examples.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.intake.lines import LineCutter
from api.intake.segment_api import PACKED, Head, Reception, Response, unpack
from api.intake.segment_messages import take_batch, take_message
from engine.errors import StoreError
from engine.flow.cel.expression import ExpressionError, Scope, compile_condition, compile_value, evaluate
from engine.flow.liquid.template import TemplateError, compile_template
from engine.flow.schema import DEFAULT
from engine.flow.source.source import load
from engine.flow.validate import check
from engine.store import frame
from engine.wire import Rejection, decode_lines
from ext.expressions.plan import EvaluationError
from tests.fuzz import in_time, mangled, nearly

SAMPLES = sorted((Path(__file__).parents[1] / "engine" / "flow" / "samples").glob("*.yaml"))
FLOWS = [path.read_bytes() for path in SAMPLES if not path.name.endswith(".test.yaml")]
ORDINARY, NIGHTLY = 150, 20_000

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def long_and_short(*strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the test twice: with few examples in the ordinary form, with many in the nightly one."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

    def make(test: Callable[..., None]) -> Callable[..., None]:
        def one(values: tuple[Any, ...]) -> None:
            test(*values)

        drawn = given(st.tuples(*strategies))
        ordinary = settings(max_examples=ORDINARY, deadline=None)(drawn(one))
        nightly = settings(max_examples=NIGHTLY, deadline=None, suppress_health_check=slow)(drawn(one))

        def run(request: pytest.FixtureRequest, form: str) -> None:
            if form == "nightly" and "nightly" not in request.config.getoption("-m"):
                pytest.skip("the long form: -m nightly")
            (nightly if form == "nightly" else ordinary)()

        forms = ["ordinary", pytest.param("nightly", marks=pytest.mark.nightly)]
        parametrized: Callable[..., None] = pytest.mark.parametrize("form", forms)(run)
        return parametrized

    return make


def says_something(error: Exception) -> None:
    assert len(str(error)) > 10


# Flows


def check_flow(data: bytes, yaml: bool) -> None:
    loaded = load(data, yaml=yaml)
    if loaded.problems:
        assert all(problem.detail for problem in loaded.problems)
        return
    for problem in check(loaded.raw, DEFAULT).problems:
        assert problem.code
        assert problem.detail


@long_and_short(mangled(*FLOWS) | st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_flow_or_have_problems(data: bytes, yaml: bool) -> None:
    in_time(lambda: check_flow(data, yaml))


@long_and_short(
    st.sampled_from(FLOWS), st.lists(st.tuples(st.integers(0, 1 << 16), json), min_size=1, max_size=3)
)
def test_any_value_in_any_place_of_a_flow_is_a_problem_or_none(
    flow: bytes, edits: list[tuple[int, Any]]
) -> None:
    document = load(flow, yaml=True).raw
    for which, value in edits:
        places = list(every_place(document))
        holder, key = places[which % len(places)]
        holder[key] = value
    in_time(lambda: [problem.detail for problem in check(document, DEFAULT).problems])


def every_place(value: Any) -> Any:
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from every_place(value[key])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield value, index
            yield from every_place(item)


# Expressions and templates

ORDER = Scope(event=True, entities=("order",), schema=DEFAULT)
CEL = """
customer. event.properties. order. now x [1,2,3] {'a':1} ( ) [ ] { } && || ! == < + - / % ? : in , . ' " \\
.all(x, .map(x, .filter(x, .exists(x, size( has( matches(' duration('1h') 1 1.5 -9223372036854775808 1e400 null
true r' b' ''' // customer.count('A') timestamp(now) customer.a string( .size() int( dyn( type( bytes( uint( 1u
"""


@long_and_short(nearly(" ", *CEL.split()))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    def call() -> None:
        for compiled in (compile_condition, compile_value):
            try:
                compiled(text, ORDER)
            except ExpressionError as error:
                says_something(error)
        try:
            evaluate(text, {"x": [1, "a", {"b": None}], "customer": {"a": "x" * 100}})
        except (ExpressionError, EvaluationError) as error:
            says_something(error)

    in_time(call)


LIQUID = """
customer.a event 'x' endfor endif capture endcapture append replace split join date json sort times [0] (1.. case
endcase raw endraw comment endcomment - tablerow liquid cycle now 1e400 blank
"""
TAGS = (
    "{{ ",
    " }}",
    "{% ",
    " %}",
    " | ",
    ": ",
    ", ",
    "for i in (1..9)",
    "if customer",
    "assign a = ",
    "when 1",
)


@long_and_short(nearly(*TAGS, *TAGS, *LIQUID.split()), json)
def test_any_text_is_a_template_or_an_error(text: str, value: Any) -> None:
    def call() -> None:
        try:
            compile_template(text).render({"customer": {"a": value}, "now": "2026-08-10T23:30:05.250Z"})
        except TemplateError as error:
            says_something(error)

    in_time(call)


# Input lines

LINES = (
    b'{"type":"track","userId":"c1","event":"A","messageId":"m","timestamp":"2026-08-10T13:00:00Z","properties":{"n":1.5}}',
    b'{"type":"identify","userId":"c1","traits":{"email":"a@b.c","tags":["x",null,true,-1e3],"deep":{"a":{"b":[]}}}}',
    b'{"type":"alias","previousId":7,"userId":"c2"}',
    b'{"type":"batch","batch":[{"type":"page","anonymousId":"x","name":"y"}]}',
    b'\n{"type":"control","op":"pause"}\r\n\n',
)


@long_and_short(st.lists(mangled(*LINES), max_size=4).map(b"\n".join))
def test_any_bytes_are_lines_or_rejected(data: bytes) -> None:
    def call() -> None:
        decoded = decode_lines(data)
        assert len(decoded.inputs) == decoded.body.count(b"\n")
        again = decode_lines(decoded.body)
        assert not again.rejected, "what is kept in the journal can be read again"
        assert len(again.inputs) == len(decoded.inputs)
        for kind in ("track", None):
            taken = take_message(data, kind)
            assert isinstance(taken, Rejection) or b"\n" not in taken[1]
        take_batch(data.split(b"\n"))
        cutter = LineCutter()
        for at in range(0, len(data), 7):
            cutter.feed(data[at : at + 7])
        cutter.end()

    in_time(call)


@long_and_short(
    st.sampled_from(["/v1/track", "/v1/batch", "/v1/events", "/v1/t", "/healthz", "/v1/nothing", "/"]),
    st.lists(mangled(*LINES), max_size=3).map(b"\n".join),
    st.sampled_from([b"", b"gzip", b"br", b"GZIP, gzip"]),
    st.binary(max_size=20) | st.sampled_from([b"Basic YTo=", b"Bearer x", b"Basic \xff"]),
    st.booleans(),
)
def test_any_request_has_an_answer(
    path: str, body: bytes, encoding: bytes, authorization: bytes, local: bool
) -> None:
    def call() -> None:
        reception = Reception()
        head = Head("POST", path, authorization, encoding)
        refused = reception.judge(head, local=local)
        if refused is not None:
            assert 400 <= refused.status < 500
            return
        unpacked = unpack(head, body) if encoding in PACKED else body
        if not isinstance(unpacked, Response):
            taking = reception.receive(head, unpacked)
            if not isinstance(taking, Response):
                for part in taking.parts():
                    assert not decode_lines(part.body).rejected
                assert taking.answer().status < 500

    in_time(call)


# Journal frames

FRAME = frame.encode(7, 1_786_456_800_000, version=1, count=1, previous=12345, bodies=[LINES[0] + b"\n"])


@long_and_short(mangled(FRAME))
def test_a_frame_is_the_one_that_was_written_or_none(data: bytes) -> None:
    def call() -> None:
        try:
            read = frame.decode(data, 7)
        except StoreError as error:
            says_something(error)
            is_whole = False
        else:
            is_whole = True
            assert read.body == LINES[0] + b"\n"
        assert is_whole == (data == FRAME)

    in_time(call)


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_a_frame_is_noticed(bit: int) -> None:
    for at in range(len(FRAME)):
        flipped = bytearray(FRAME)
        flipped[at] ^= 1 << bit
        with pytest.raises(StoreError):
            frame.decode(bytes(flipped), 7)


def test_a_frame_is_not_taken_for_another() -> None:
    with pytest.raises(StoreError):
        frame.decode(FRAME, 8)
    assert msgspec.structs.asdict(frame.decode(FRAME, 7))["count"] == 1
