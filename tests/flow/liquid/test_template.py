"""Templates: the supported part of Liquid, its limits, and that every template ends."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.flow.liquid.template import TemplateError, compile_template
from engine.limits import TEMPLATE_BYTES_MAX, TEMPLATE_OUTPUT_BYTES_MAX

CONTEXT: dict[str, Any] = {
    "customer": {
        "first_name": "Ann",
        "nothing": None,
        "vip": True,
        "balance": 12.5,
        "timezone": "Europe/London",
        "tags": ["red", "blue"],
        "basket": [{"name": "tea", "price": 3}, {"name": "milk", "price": 1.5}],
        "segments": ["active"],
        "points": 7,
        "hostile": "<" * 30_000,
    },
    "event": {"name": "Session Ended", "timestamp": "2026-08-10T13:00:00Z", "properties": {"pages": 3}},
    "codes": {"code": "A1"},
    "now": "2026-08-10T23:30:05.250Z",
}


def rendered(text: str, **names: Any) -> str:
    return compile_template(text).render(CONTEXT | names)


def error_of(text: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        rendered(text)
    return caught.value


def test_text_without_liquid_is_literal() -> None:
    for text in ("", "Hi", "{ not } liquid %}", "}}"):
        template = compile_template(text)
        assert template.literal == text
        assert template.render({}) == text
    assert compile_template("{{ a }}").literal is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi {{ customer.first_name }}!", "Hi Ann!"),
        ("{{ customer.points }} {{ customer.balance }} {{ customer.vip }}", "7 12.5 true"),
        ("[{{ customer.nope }}{{ customer.nope.deeper }}{{ customer.nothing }}{{ nope }}]", "[]"),
        ("{{ customer.nope | default: 'friend' }}", "friend"),
        ("{{ customer.tags[1] }} {{ customer['first_name'] }} {{ customer.tags.size }}", "blue Ann 2"),
        ("{% for i in customer.basket %}{{ i.name }} {{ i.price }};{% endfor %}", "tea 3;milk 1.5;"),
        (
            "{% for i in (1..3) %}{{ i }}{% endfor %}{% for i in (1..3) reversed %}{{ i }}{% endfor %}",
            "123321",
        ),
        ("{% if customer.points > 5 and customer.vip %}yes{% else %}no{% endif %}", "yes"),
        ("{% assign a = customer.points | times: 2 %}{{ a | plus: 0.5 }}", "14.5"),
        ("{{ customer.first_name | replace: 'n', 'm' | upcase }}", "AMM"),
        ("{{ 'a-b' | replace: '', '.' }}", ".a.-.b."),
        ("{{ customer.tags | join: '; ' }}", "red; blue"),
        ("{{ customer.basket | map: 'price' | sum }}", "4.5"),
        ("{{ customer.basket | json }}", '[{"name":"tea","price":3},{"name":"milk","price":1.5}]'),
        ("{{ customer.nope | json }}{{ customer.first_name | json }}", 'null"Ann"'),
        ("{{ '<b>A</b><!-- > x --> &<script>if (a<b) {}</script>c' | strip_html }}", "A &c"),
        ("{{ 'a < b' | strip_html }}{{ 'x<style>y' | strip_html }}", "a < bx"),
        ("{{ '<b>' | escape }}", "&lt;b&gt;"),
        ("{% raw %}{{ x }}{% endraw %}{% comment %}x{% endcomment %}", "{{ x }}"),
    ],
)
def test_liquid(text: str, expected: str) -> None:
    assert rendered(text) == expected


# Dates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ now | date: '%d %B %Y %H:%M' }}", "11 August 2026 00:30"),
        ("{{ 'now' | date: '%F %T.%L %z' }}", "2026-08-11 00:30:05.250 +0100"),
        ("{{ 'today' | date: '%A, %-d %b' }}", "Tuesday, 11 Aug"),
        ("{{ now | date: '%F %Z', 'America/New_York' }}", "2026-08-10 America/New_York"),
        ("{{ now | date: '%z', 'Asia/Kathmandu' }}{{ now | date: '%z', 'America/St_Johns' }}", "+0545-0230"),
        ("{{ event.timestamp | date: '%l %p|%k|%I|%e|%_m|%0e' }}", " 2 PM|14|02|10| 8|10"),
        (
            "{{ '2026-01-05' | date: '%a %^a %^B %j %u %w %V %G %y %C' }}",
            "Mon MON JANUARY 005 1 1 02 2026 26 20",
        ),
        ("{{ '2026-01-05T12:00:00Z' | date: '%s' }}", "1767614400"),
        (
            "{{ 0 | date: '%F %R', 'UTC' }}{{ '86400' | date: ' %D %r %h', 'UTC' }}",
            "1970-01-01 00:00 01/02/70 12:00:00 AM Jan",
        ),
        (
            "{{ 1.5 | date: '%S.%L%n%t%%%P%x%X%c', 'UTC' }}",
            "01.500\n\t%am01/01/7000:00:01Thu Jan  1 00:00:01 1970",
        ),
        ("{{ 'soon' | date: '%F' }}{{ '2026-02-30' | date: '%F' }}", "soon2026-02-30"),
        ("{{ customer.nope | date: '%F' }}{{ customer.nothing | date: '%F' }}", ""),
        ("{{ now | date }}", "2026-08-10T23:30:05.250Z"),
        ("{{ now | date: '%Q %E' }}", "%Q %E"),
        ("{{ 1e30 | date: '%F' }}{{ true | date: '%F' }}", "1e+30true"),
        ("{{ now | date: '%F', 'Nowhere' }}", "2026-08-11"),
    ],
)
def test_dates(text: str, expected: str) -> None:
    assert rendered(text.replace("1e30", "1000000000000000000000000000000.0")) == expected


def test_the_zone_of_dates_is_that_of_the_run_then_that_of_the_customer_then_utc() -> None:
    text = "{{ now | date: '%z' }}"
    assert rendered(text, zone="Asia/Tokyo") == "+0900"
    assert rendered(text) == "+0100"
    assert rendered(text, customer={"timezone": "Nowhere"}) == "+0000"
    assert rendered(text, customer={}) == "+0000"


def test_there_is_no_clock_but_the_context() -> None:
    assert compile_template("[{{ now }}{{ today }}]").render({}) == "[]"
    assert compile_template("{{ 'now' | date: '%F' }}").render({}) == ""


def test_the_same_context_gives_the_same_text() -> None:
    text = (
        "{{ customer.basket | sort: 'price' | json }}{{ customer.tags | uniq | sort }}{{ customer.segments }}"
    )
    assert len({rendered(text) for _ in range(5)}) == 1


# Names


def test_names_are_read_by_the_template_and_not_assigned_in_it() -> None:
    text = "{{ customer.city }}\n{% assign a = order.total %}{{ a }}{% for i in x[y].z %}{{ i }}{% endfor %}"
    names = compile_template(text).names
    assert [(".".join(name.path), name.line) for name in names] == [
        ("customer.city", 1),
        ("order.total", 2),
        ("x", 2),
        ("y", 2),
    ]


# What is wrong


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("{{ a", "template_syntax", 1, 1),
        ("a\n  {{ a b }}", "template_syntax", 2, 8),
        ("{% if a %}", "template_syntax", 1, 1),
        ("{% endif %}", "template_syntax", 1, 4),
        ("{% nope %}", "template_syntax", 1, 4),
        ("{% render 'a' %}", "template_syntax", 1, 4),
        ("{{ 'a }}", "template_syntax", 1, 4),
        ("\n{{ a | nope }}", "template_unknown_filter", 2, 8),
        ("{{ (1..3) | join }}", "template_syntax", 1, 4),
        ("{% if (1..9) contains 1 %}{% endif %}", "template_syntax", 1, 7),
        ("{% for i in (1..99999) %}{% endfor %}", "template_too_long", 1, 13),
        ("{% for i in (1..a) reversed %}{% endfor %}", "template_syntax", 1, 13),
        ("{% for i in (1..a) offset: 5 %}{% endfor %}", "template_syntax", 1, 13),
        ("{{ " + "a" * 2100 + " }}", "template_too_long", 1, 1),
        ("{% if " + "a or " * 100 + "a %}{% endif %}", "template_too_deep", 1, None),
        ("{{ " + "[" * 1000 + " }}", "template_syntax", 1, None),
        ("{% if a %}" * 40 + "{% endif %}" * 40, "template_syntax", 1, None),
        ("{{ a }}" + "x" * TEMPLATE_BYTES_MAX, "template_too_long", 1, 1),
        ("{{ '\ud800' }}", "template_syntax", 1, 1),
    ],
)
def test_errors_at_compile_time(text: str, code: str, line: int, column: int | None) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(text)
    error = caught.value
    assert (error.code, error.line) == (code, line)
    assert column is None or error.column == column
    assert error.detail.endswith((".", "?"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{ 1 | divided_by: 0 }}", "divided_by: can't divide by 0."),
        ("{% break %}", "break"),
        ("{{ customer.basket | sort }}", "sort"),
        ("{{ 'a' | slice: 'x' }}", "integer"),
        ("{{ 'a' | append }}", "append"),
        ("{{ 'a' | base64_decode }}", "base64"),
        ("{% if customer.tags < 3 %}{% endif %}", "<"),
    ],
)
def test_errors_at_render_time(text: str, sentence: str) -> None:
    error = error_of(text)
    assert error.code == "template_failed"
    assert sentence in error.detail


# It ends


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in (1..100) %}{% for b in (1..100) %}{% for c in (1..9) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for i in (1..9000) %}{% endfor %}" * 2,
        "{% for i in (1..5000) %}" + "{{ '' }}" * 900 + "{% endfor %}",
        "{% assign n = 99999 %}{% for i in (1..n) %}{% endfor %}",
        "{% assign n = 10000000000000000000000 %}{% for i in (1..n) %}{% endfor %}",
        "{% tablerow i in (1..9999) cols: 2 %}{% endtablerow %}",
        "{% for i in (1..9000) %}{{ customer.hostile }}{% endfor %}",
        "{% assign a = 'ab' %}" + "{% assign a = a | append: a %}" * 60,
        "{% assign a = 9 %}" + "{% assign a = a | times: a %}" * 60,
        "{% assign a = 'a' | split: ',' %}" + "{% assign a = a | concat: a %}" * 40,
        "{% assign a = customer.hostile | split: '' %}{{ a | join: customer.hostile }}",
        "{{ customer.hostile | replace: '<', customer.hostile }}",
        "{% assign a = customer.hostile %}" + "{% assign b = a | escape | upcase %}" * 500,
        "{% capture a %}{{ customer.hostile }}{% endcapture %}" + "{{ a }}" * 10,
        "{% for i in (1..9000) %}{% capture a %}{{ a }}xxxxxxxxxx{% endcapture %}{% endfor %}{{ a }}" * 4,
    ],
)
def test_whatever_it_is_it_ends_soon(text: str) -> None:
    template = compile_template(text)
    began = time.perf_counter()
    with pytest.raises(TemplateError) as caught:
        template.render(CONTEXT)
    assert caught.value.code == "template_failed"
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "{{ customer.hostile | strip_html | size }}",
        "{{ '" + "<!--" * 400 + "' | strip_html | size }}",
        "{% for i in (1..9000) %}{% if 1 == 2 or 1 == 3 %}{% endif %}{% endfor %}",
    ],
)
def test_large_but_valid_templates_end_soon(text: str) -> None:
    template = compile_template(text)
    began = time.perf_counter()
    template.render(CONTEXT)
    assert time.perf_counter() - began < 2


def test_a_large_output_is_refused_and_one_below_the_bound_is_not() -> None:
    assert len(rendered("{{ customer.hostile }}" * 8)) == 240_000 < TEMPLATE_OUTPUT_BYTES_MAX
    assert "output" in error_of("{{ customer.hostile }}" * 9).detail.lower()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FILTERS = [
    *(
        "abs",
        "ceil",
        "floor",
        "round",
        "upcase",
        "capitalize",
        "strip",
        "escape",
        "escape_once",
        "url_encode",
    ),
    *(
        "url_decode",
        "base64_decode",
        "strip_html",
        "strip_newlines",
        "newline_to_br",
        "truncatewords",
        "squish",
    ),
    *("first", "last", "reverse", "sort", "sort_natural", "sum", "uniq", "compact", "size", "join", "json"),
    *(
        "plus: a",
        "minus: a",
        "times: a",
        "divided_by: a",
        "modulo: a",
        "append: a",
        "replace: a, a",
        "split: a",
    ),
    *(
        "truncate: a",
        "slice: a",
        "default: a",
        "date: a",
        "date: '%c', a",
        "map: a",
        "where: a, a",
        "concat: a",
    ),
    *(
        "at_most: a",
        "round: a",
        "remove: a",
        "prepend: a",
        "find: a, a",
        "has: a",
        "reject: a",
        "date: '%F %Q'",
    ),
]


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES, st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3))
def test_data_makes_a_template_fail_but_never_raise_anything_else(
    value: object, other: object, filters: list[str]
) -> None:
    template = compile_template("{{ v | " + " | ".join(filters) + " }}{% if v < a %}{% endif %}")

    def outcome() -> str:
        try:
            return template.render({"v": value, "a": other})
        except TemplateError as error:
            return error.detail

    assert outcome() == outcome()
