"""Documents as files: YAML by its 1.2 core, JSON, and problems with their lines."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Problem, TidemillError
from engine.flow.schema import DEFAULT
from engine.flow.source.source import Loaded, load, locate
from engine.flow.validate import check
from engine.limits import YAML_ALIASES_MAX
from tests.flow.documents import places, whole


def from_yaml(text: str) -> Any:
    loaded = load(text.encode(), yaml=True)
    assert loaded.problems == ()
    return loaded.raw


def problem_of(text: str | bytes, *, yaml: bool = True) -> Problem:
    data = text if isinstance(text, bytes) else text.encode()
    loaded = load(data, yaml=yaml)
    assert loaded.raw is None
    (problem,) = loaded.problems
    return problem


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("08:00", "08:00"),
        ("20:00", "20:00"),
        ("1:30:00", "1:30:00"),
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        *((word, word) for word in ("yes", "no", "on", "off", "y", "n", "Yes", "NO")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("-2d", "-2d"),
        ("12", 12),
        ("+12", 12),
        ("-0", 0),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("33.33", 33.33),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.5e-3", 0.0015),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("0b11", "0b11"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("!!str 12", "12"),
        ("|-\n  12", "12"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_scalars_are_read_by_the_core_of_yaml_1_2(scalar: str, value: object) -> None:
    read = from_yaml(f"a: {scalar}\n")["a"]
    assert read == value
    assert type(read) is type(value)


def test_keys_are_always_text() -> None:
    assert from_yaml("on: 1\n5: 2\nnull: 3\ntrue: 4\n") == {"on": 1, "5": 2, "null": 3, "true": 4}


def test_an_empty_document_is_null() -> None:
    assert from_yaml("") is None
    assert from_yaml("# nothing\n") is None


def test_anchors_and_aliases() -> None:
    assert from_yaml("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": [{"b": 1}] * 2,
    }


@pytest.mark.parametrize(
    ("text", "code", "line", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate_key", 3, "'a' is given twice"),
        ("a: {b: 1, b: 1}\n", "duplicate_key", 1, "'b'"),
        ("a: [1,\n", "yaml", 2, "not YAML"),
        ("a:\n\t- b\n", "yaml", 2, "not YAML"),
        ("a: 1\n--- \nb: 2\n", "yaml", 2, "second"),
        ("a: !!python/object:os.system x\n", "yaml", 1, "tag"),
        ("a: !!timestamp 2026-12-01\n", "yaml", 1, "tag"),
        ("a: *nowhere\n", "yaml", 1, "nowhere"),
        ("a: &x [*x]\n", "yaml", 1, "&x"),
        ("? [1]\n: 2\n", "yaml", 1, "keys"),
        ("a: &x k\n*x : 1\n", "yaml", 2, "keys"),
        ("a:\n  b: .inf\n", "yaml", 2, "quotes"),
        ("a: .NaN\n", "yaml", 1, "quotes"),
        ("a: 1e999\n", "yaml", 1, "quotes"),
        ("a: \x01\n", "yaml", 1, "not YAML"),
        ("[" * 200, "too_deep", 1, "levels"),
        ("[" * 100_000, "too_deep", 1, "levels"),
        ("a: &x 1\nb: [" + "*x," * (YAML_ALIASES_MAX + 1) + "]\n", "too_long", 2, "aliases"),
    ],
)
def test_unreadable_yaml_is_a_problem_with_its_line(text: str, code: str, line: int, sentence: str) -> None:
    problem = problem_of(text)
    assert (problem.code, problem.line) == (code, line)
    assert sentence in problem.detail


def test_a_document_that_expands_itself_is_refused() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    for name, last in zip("bcdefgh", "abcdefg", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{last}'] * 10)}]")
    assert problem_of("\n".join(lines)).code == "too_long"


def test_text_that_is_not_utf8_is_a_problem_with_its_line() -> None:
    problem = problem_of(b"a: 1\nb: \xff\n")
    assert (problem.code, problem.line) == ("not_utf8", 2)
    assert load(b"\xef\xbb\xbfa: 1", yaml=True).raw == {"a": 1}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('{"a": 1,\n "a": 2}', "duplicate_key", 2),
        ('{"a": 1,\n "b": tru}', "json", 2),
        ("", "json", 1),
        ("{} {}", "json", 1),
        ("NaN", "json", 1),
        ('["\\ud800"]', "json", 1),
        ("[" * 100_000, "too_deep", 1),
    ],
)
def test_unreadable_json_is_a_problem_with_its_line(text: str, code: str, line: int) -> None:
    problem = problem_of(text, yaml=False)
    assert (problem.code, problem.line) == (code, line)


def test_who_wants_one_error_gets_one() -> None:
    assert load(b"a: 1", yaml=True).demand() == {"a": 1}
    with pytest.raises(TidemillError, match="Line 2: ") as caught:
        load(b"a: 1\na: 2", yaml=True).demand()
    assert caught.value.problems[0].code == "duplicate_key"


# Lines

DOCUMENT = """\
id: f
name: f
nodes:
  start:
    kind: launch
    trigger: {event: Signed Up}
    where: customer.points >
    next: mail
  mail:
    kind: step
    relevance: soon
    actions:
      - send: email
        message:
          subject: "Hello {{ customer.name | upcas }}"
          html: |
            <p>
            {{ custmer.name }}
      - {points: {}}
    next: nowhere
"""


def located(loaded: Loaded) -> dict[str, tuple[int, int]]:
    found = locate(check(loaded.raw, DEFAULT).problems, loaded)
    return {problem.pointer: (problem.line, problem.column) for problem in found}


def test_problems_are_shown_where_they_stand_in_a_yaml_file() -> None:
    assert located(load(DOCUMENT.encode(), yaml=True)) == {
        "/nodes/start/where": (7, 29),
        "/nodes/mail/relevance": (11, 5),
        "/nodes/mail/actions/0/message/subject": (15, 46),
        "/nodes/mail/actions/0/message/html": (18, 1),
        "/nodes/mail/actions/1/points/add": (19, 10),
        "/nodes/mail/next": (20, 5),
    }


def test_problems_are_shown_where_they_stand_in_a_json_file() -> None:
    text = '{"id": "f",\n "name": "f",\n "nodes": {\n  "start": {"kind": "launch",\n   "triger": {}}}}'
    assert located(load(text.encode(), yaml=False)) == {
        "/nodes/start/triger": (5, 4),
        "/nodes/start/trigger": (4, 3),
    }


def test_a_problem_of_the_text_itself_keeps_its_line() -> None:
    loaded = load(b"a: 1\na: 2", yaml=True)
    assert locate(loaded.problems, loaded) == list(loaded.problems)


def test_every_value_has_its_line_in_json_and_in_yaml_alike() -> None:
    raw = whole()
    text = msgspec.json.format(msgspec.json.encode(raw), indent=2)
    as_json, as_yaml = load(text, yaml=False), load(text, yaml=True)
    assert as_json.raw == as_yaml.raw == raw
    assert set(as_json.lines) == {"", *places(raw)}
    assert {place: (at.line, at.column) for place, at in as_json.lines.items()} == {
        place: (at.line, at.column) for place, at in as_yaml.lines.items()
    }
    lines = text.decode().splitlines()
    for place, at in as_json.lines.items():
        key = place.rpartition("/")[2]
        if place and not key.isdigit():
            assert lines[at.line - 1][at.column - 1 :].startswith(f'"{key}"')


# Whatever it is given

TEXTS = st.lists(
    st.sampled_from(
        [*"{}[]:,-?&*!|>#'\"\\\n\t ab1.%@`", "\n  ", ": ", "- ", "&a ", "*a", "null", "1e9", "é", "\ud83d"]
    ),
    max_size=30,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS | st.text(max_size=20), st.booleans())
def test_no_text_makes_it_raise(text: str, yaml: bool) -> None:
    loaded = load(text.encode("utf-8", "surrogatepass"), yaml=yaml)
    assert not (loaded.problems and loaded.raw is not None)
    msgspec.json.encode(loaded.raw)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.booleans())
def test_no_bytes_make_it_raise(data: bytes, yaml: bool) -> None:
    load(data, yaml=yaml)


def test_a_long_document_is_read_soon() -> None:
    text = (
        "input:\n" + "  - {at: 2026-08-10T13:00:00Z, type: track, userId: c1, event: Session Ended}\n" * 5_000
    )
    began = time.perf_counter()
    assert len(from_yaml(text)["input"]) == 5_000
    assert time.perf_counter() - began < 5
