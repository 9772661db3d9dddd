"""The slow twin of expressions: Google's own evaluator, over Python values.

It converts the whole context at every call and gives an object back, which is why the engine has its own; but it is
the same language by other hands, so whatever the two disagree on is a fault in ours or a deviation we wrote down.
"""

from __future__ import annotations

import base64
import datetime
import math
from functools import lru_cache
from typing import Any

from cel_expr_python import cel


class NoValue:
    """An expression without a value, and the reason. All failures are equal, as each evaluator has its own words."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return "NoValue"


@lru_cache(64)
def _environment(names: frozenset[str]) -> Any:
    return cel.NewEnv(variables=dict.fromkeys(sorted(names), cel.Type.DYN))


def reference_value(text: str, variables: dict[str, Any]) -> Any:
    """Return the value in the types of JSON (see `plain`), or NoValue."""
    try:
        value = _environment(frozenset(variables)).compile(text).eval(data=variables)
        if value.type() == cel.Type.ERROR:
            return NoValue(str(value.plain_value()))
        return plain(value.plain_value())
    except (RuntimeError, ValueError) as error:
        return NoValue(str(error))


def plain(value: Any) -> Any:
    """A value as `engine.flow.cel.expression.evaluate` would give it. (Of times, whole seconds: the oracle writes
    fractions of a second in threes.)"""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key).lower(): plain(item) for key, item in value.items()}
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, datetime.timedelta):
        return f"{value // datetime.timedelta(seconds=1)}s"
    return value
