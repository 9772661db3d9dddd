"""Expressions and templates that try to use all time or all memory.

Each is refused when it is saved, or stops at a bound with an ordinary outcome.
"""

from __future__ import annotations

from functools import reduce

LIST, TEXT, WORDS = "customer.list", "customer.text", "event.properties.words"


def nested(levels: int, body: str, over: str = LIST, macro: str = "all") -> str:
    """Return `over.all(a0, over.all(a1, … body))`."""
    return reduce(lambda inner, n: f"{over}.{macro}(a{n}, {inner})", reversed(range(levels)), body)


EXPRESSIONS = {
    "loops in loops": nested(3, "a0 + a1 + a2 >= 0"),
    "loops in loops, eight deep": nested(8, "true"),
    "loops in loops, sixty deep": nested(60, "true"),
    "lists of lists": f"size({nested(3, 'a2', macro='map')}) > 0",
    "lists of lists of literals": f"size({nested(10, 'a9', over='[1,2,3]', macro='map')}) > 0",
    "loops that find nothing": nested(4, "false", macro="exists"),
    "loops that find one": nested(3, "a2 == -1", macro="exists_one"),
    "filters of filters": f"size({LIST}.filter(a, size({LIST}.filter(b, {LIST}.exists(c, c == a + b))) > 0)) > 0",
    "a text for each": f"size({LIST}.map(a, {TEXT} + {TEXT} + {TEXT})) > 0",
    "a list for each": f"size({LIST}.map(a, {LIST} + {LIST})) > 0",
    "a text doubled": f"size({' + '.join([TEXT] * 400)}) > 0",
    "a list doubled": f"size({' + '.join([LIST] * 400)}) > 0",
    "a doubled sum doubled": reduce(lambda inner, _: f"({inner} + {inner})", range(9), TEXT) + ' == ""',
    "a thousand ands": " && ".join(["customer.vip"] * 600),
    "a thousand ors": " || ".join(["!customer.vip"] * 600),
    "a thousand comparisons": " && ".join(f"{TEXT} != 'x{n}'" for n in range(300)),
    "a thousand counts": " + ".join(['customer.count("A", duration("9000h"))'] * 150) + " > 0",
    "brackets": "(" * 3_900 + "true" + ")" * 3_900,
    "brackets within the bound": "(" * 60 + "true" + ")" * 60,
    "nots": "!" * 8_000 + "true",
    "minuses": "-" * 8_000 + "1 == 1",
    "choices in choices": "customer.vip ? " * 500 + "true" + " : false" * 500,
    "lists in lists": "size(" + "[" * 3_900 + "]" * 3_900 + ") == 0",
    "maps in maps": "size(" + "{1: " * 1_500 + "1" + "}" * 1_500 + ") == 0",
    "members of members": "customer" + ".a" * 4_000 + " == 1",
    "indexes of indexes": LIST + "[0]" * 2_500 + " == 1",
    "calls of calls": "size(" * 1_500 + TEXT + ")" * 1_500 + " == 1",
    "a pattern that backtracks": f"{TEXT}.matches('^(a+)+$')",
    "a pattern that backtracks twice": f"{TEXT}.matches('(a|aa)+(b|bb)+$')",
    "a pattern repeated": f"{TEXT}.matches('((a{{1,100}}){{1,100}}){{1,100}}')",
    "a pattern of many parts": f"{TEXT}.matches('{'(x+x+)+' * 200}y')",
    "a pattern for each": f"{WORDS}.all(w, {TEXT}.matches('(a|b|ab)*c'))",
    "a pattern out of data": f"{WORDS}.exists(w, {TEXT}.matches(w))",
    "a number too large": "9223372036854775807 + 1 > 0",
    "a number too small": "(-9223372036854775807 - 1) / -1 > 0",
    "a number by zero": f"{LIST}.all(a, a / 0 == a % 0)",
    "a time too late": 'timestamp("9999-12-31T23:59:59Z") + duration("87600h") > now',
    "a time too long": 'duration("999999999999999h") > duration("1h")',
    "an unknown zone": f"now.getFullYear('{'x' * 4_000}') > 0",
    "a text to a number": f"int({TEXT}) > 0 || double({TEXT}) > 0.0",
    "a number to a text": f"{LIST}.map(a, string(a) + string(double(a))).exists(t, t.size() > 99)",
    "a text that never ends": "'" + "x" * 8_000,
    "a text of zeros": "'" + "\\000" * 2_000 + "'.size() > 0",
    "nothing but spaces": " " * 8_100,
    "letters from elsewhere": "customer.\u0430dmin == '\u202e' || '\U0001f4a3' * 3",
}

LOOP = "{% for i in (1..9999) %}"
DOUBLE = "{% assign a = a | append: a %}"
TEMPLATES = {
    "a long loop": "{% for i in (1..1000000000) %}x{% endfor %}",
    "loops in loops": "{% for a in (1..500) %}" * 4 + "x" + "{% endfor %}" * 4,
    "loops one after the other": (LOOP + "{% endfor %}") * 50,
    "loops over nothing": "{% for a in (1..9000) %}{% for b in nothing %}{% endfor %}{% endfor %}" * 20,
    "a loop over letters": (
        "{% assign s = customer.text | split: '' %}{% for a in s %}{% for b in s %}x{% endfor %}{% endfor %}"
    ),
    "a row of a table": "{% tablerow i in (1..1000000) cols: 1000000 %}{{ customer.text }}{% endtablerow %}",
    "a text doubled": "{% assign a = 'xxxxxxxx' %}{% for i in (1..60) %}" + DOUBLE + "{% endfor %}{{ a }}",
    "a text doubled by hand": "{% assign a = 'xxxxxxxx' %}" + DOUBLE * 60 + "{{ a }}",
    "a text doubled and thrown away": (
        "{% for i in (1..9000) %}{% assign a = customer.text | append: customer.text %}{% endfor %}"
    ),
    "a text caught in a text": (
        "{% assign a = 'x' %}{% for i in (1..60) %}{% capture a %}{{ a }}{{ a }}{% endcapture %}{% endfor %}"
    ),
    "a list doubled": (
        "{% assign a = 'x,y' | split: ',' %}{% for i in (1..60) %}{% assign a = a | concat: a %}{% endfor %}"
        "{{ a | size }}"
    ),
    "a text replaced by itself": (
        "{% assign a = 'aaaaaaaa' %}{% for i in (1..30) %}{% assign a = a | replace: 'a', a %}{% endfor %}"
        "{{ a | size }}"
    ),
    "nothing replaced": "{{ customer.text | replace: '', customer.text }}",
    "a long separator": "{{ customer.text | split: '' | join: customer.text }}",
    "a range joined": "{{ (1..1000000000) | join: ',' }}",
    "a range measured": "{% assign r = (1..1000000000) %}{{ r | size }}{{ r | last }}{{ r | reverse | first }}",
    "a range sorted": "{% assign r = (1..9999999) | sort %}{{ r | uniq | map: 'x' | size }}",
    "a sorted text": (
        "{% for i in (1..2000) %}{{ customer.text | split: '' | sort | uniq | join: '' | size }}{% endfor %}"
    ),
    "a number squared": "{% assign n = 9 %}{% for i in (1..9999) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    "a number of many digits": "{{ '" + "9" * 1_900 + "' | times: 2 | times: 3 | plus: 1 }}",
    "a large exponent": "{{ '1e1000000000' | times: 2 }}{{ '1e400' | plus: 1 }}{{ 1e400 }}",
    "many places": "{{ 1.5 | round: 1000000000 }}{{ 10 | divided_by: 3.0 | round: 999999 }}",
    "by zero": "{{ 1 | divided_by: 0 }}{{ 1 | modulo: 0 }}{{ 1.0 | divided_by: 0.0 }}",
    "a wide date": "{{ event.timestamp | date: '%1000000000d %999999999N %_99999999Y' }}",
    "a long date": "{{ event.timestamp | date: '" + "%c" * 900 + "' }}",
    "a date of nonsense": "{{ customer.text | date: customer.text }}{{ '99999999999999999999' | date: '%s' }}",
    "a text cut": "{{ customer.text | truncate: 1000000000, customer.text | truncatewords: 1000000000 }}",
    "a slice of a slice": "{{ customer.text | slice: -1000000000, 2000000000 | slice: 0, 1000000000 }}",
    "an escape of an escape": "{{ customer.text | escape" + " | escape" * 200 + " }}",
    "encoded many times": "{{ customer.text" + " | url_encode" * 100 + " }}",
    "tags stripped": "{{ customer.angles | strip_html }}" * 200,
    "lines broken": "{{ customer.text | newline_to_br | strip_newlines | escape_once }}" * 300,
    "everything as JSON": "{% for i in (1..9999) %}{{ customer | json }}{% endfor %}",
    "conditions in conditions": "{% if true %}" * 3_000 + "x" + "{% endif %}" * 3_000,
    "many conditions": "{% if " + " and ".join(["customer.vip"] * 140) + " %}x{% endif %}",
    "many cases": "{% case customer.text %}"
    + "".join("{% when 'x" + str(n) + "' %}y" for n in range(3_000))
    + "{% endcase %}",
    "members of members": "{{ customer" + ".a" * 900 + " }}",
    "indexes of indexes": "{{ customer" + "[customer" * 100 + "]" * 100 + " }}",
    "filters after filters": "{{ 'x'" + " | append: 'x'" * 140 + " }}" * 1,
    "another file": "{% include 'x' %}{% render 'y' %}{% layout 'z' %}",
    "tags that never end": "{% for i in (1..3) %}" * 500,
    "a tag that never ends": "{{ " + "x" * 60_000,
    "comments in comments": "{% comment %}" * 3_000 + "{% endcomment %}" * 3_000,
    "raw in raw": "{% raw %}" * 3_000 + "{% endraw %}",
    "counters": "{% for i in (1..9999) %}{% increment a %}{% decrement b %}{% cycle 'x', 'y' %}{% endfor %}",
    "a large output": "{{ customer.text }}" * 1_000,
}
