"""The filters of templates: python-liquid's own under guard, and those that are written anew.

`date` is written anew because the original reads the machine's clock and zone; `strip_html` because the original's
parser takes quadratic time over text that a customer may have chosen; `replace` and `join` are measured before
they run, as their results may be large where their arguments are not. `json` is an addition, for webhooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from liquid import soft_str
from liquid.exceptions import FilterArgumentError
from liquid.filter import with_context
from liquid.undefined import is_undefined

from engine.flow.liquid.date_format import format_moment, moment
from engine.flow.values import parse_date
from engine.flow.zone import is_zone, local_to_ms, zone
from engine.limits import TEMPLATE_OUTPUT_BYTES_MAX
from ext.wire.instant import parse as parse_instant

Filter = Callable[..., Any]

_INTEGER_BITS_MAX: Final = 128
_ITEM_WORK: Final = 32
_VALUE_MAX: Final = 4 * TEMPLATE_OUTPUT_BYTES_MAX
_EPOCH_MS_MAX: Final = 253_402_300_799_000  # the end of the year 9999
_encode = msgspec.json.Encoder(enc_hook=lambda value: None).encode


def weight(value: Any) -> int:
    """About how many bytes a value has; FilterArgumentError where it is too large to work with."""
    return _measure(value)[0]


def work(value: Any) -> int:
    """About how many bytes of work a value is: an item of a list takes a filter such as `sort` longer than the byte
    that may be in it."""
    size, items = _measure(value)
    return size + _ITEM_WORK * (items - 1)


def _measure(value: Any) -> tuple[int, int]:
    """Bytes and items, the value itself counted."""
    total = items = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        total += 1
        items += 1
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, int) and item.bit_length() > _INTEGER_BITS_MAX:
            raise FilterArgumentError("the number is too large", token=None)
        if total + len(waiting) > _VALUE_MAX:
            raise FilterArgumentError("the value is too large", token=None)
    return total, items


def guarded(inner: Filter) -> Filter:
    """The filter, its arguments and its result weighed and charged to the rendering."""
    wants_context = getattr(inner, "with_context", False)
    wants_environment = getattr(inner, "with_environment", False)

    def outer(value: Any, *args: Any, context: Any, **options: Any) -> Any:
        context.charge(work(value) + sum(map(work, args)))
        if wants_context:
            options["context"] = context
        if wants_environment:
            options["environment"] = context.env
        result = inner(value, *args, **options)
        context.charge(work(result))
        return result

    return with_context(outer)


def replace(value: object, old: object, new: object = "") -> str:
    """Every occurrence of a text replaced by another."""
    text, sought, put = as_text(value), as_text(old), as_text(new)
    if text.count(sought) * len(put) > _VALUE_MAX:
        raise FilterArgumentError("the result would be too large", token=None)
    return text.replace(sought, put)


def as_text(value: object) -> str:
    """What the output of a value would look like, for what takes text."""
    return "" if value is None or is_undefined(value) else soft_str(value)


def measured_join(inner: Filter) -> Filter:
    """`join`, refused where separators would make a large result of a small list."""

    def join(value: Any, separator: object = " ", **options: Any) -> Any:
        if isinstance(value, list | tuple) and weight(value) * len(str(separator)) > _VALUE_MAX:
            raise FilterArgumentError("the result would be too large", token=None)
        return inner(value, separator, **options)

    join.with_environment = True  # type: ignore[attr-defined]
    return join


def strip_html(value: object) -> str:
    """The text without tags and comments, and without what is inside script and style; in linear time."""
    text = as_text(value)
    lowered = text.lower() if len(text.lower()) == len(text) else text
    kept: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        kept.append(text[at:start])
        closing = next(
            (end for tag, end in _HIDDEN if lowered.startswith(tag, start)),
            ">",
        )
        end = lowered.find(closing, start)
        if end < 0:
            at = start if closing == ">" else len(text)
            break
        at = end + len(closing)
    kept.append(text[at:])
    return "".join(kept)


_HIDDEN: Final = (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"))


def json(value: object) -> str:
    """The value as JSON."""
    return _encode(None if is_undefined(value) else value).decode()


@with_context
def date(value: Any, pattern: Any = None, place: Any = None, *, context: Any) -> Any:
    """A date or an instant by a pattern, in a zone: the one given, else the zone of the run.

    Takes RFC 3339 instants, dates (YYYY-MM-DD), seconds since 1970, and "now" or "today"; anything else comes back
    unchanged, as in Liquid.
    """
    if value is None or is_undefined(value):
        return ""
    if pattern is None or is_undefined(pattern) or pattern == "":
        return value
    if value in ("now", "today"):
        value = context.globals.get("now")
    where = _zone(place, context.globals)
    ms = _instant(value, where)
    return value if ms is None else format_moment(as_text(pattern), moment(where, ms))


def _zone(place: Any, names: Mapping[str, Any]) -> ZoneInfo:
    """The zone asked for, that of the run, that of the customer, or UTC: the first that is one."""
    customer = names.get("customer")
    own = customer.get("timezone") if isinstance(customer, dict) else None
    return zone(next((name for name in (place, names.get("zone"), own) if is_zone(name)), "UTC"))


def _instant(value: Any, where: ZoneInfo) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and not value.isascii():
        return None
    if isinstance(value, str) and not value.isdigit():
        try:
            if (day := parse_date(value)) is not None:
                return local_to_ms(where, day, 0)
            return parse_instant(value)
        except ValueError:
            return None
    if isinstance(value, str | int | float):
        seconds = float(value) if len(str(value)) <= 32 else float("inf")
        ms = seconds * 1000
        return int(ms) if isfinite(ms) and abs(ms) <= _EPOCH_MS_MAX else None
    return None
