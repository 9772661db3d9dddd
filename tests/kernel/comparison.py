"""Play a random case in the kernel and in the slow reference, and compare the traces record by record.

`python -m tests.kernel.comparison SEED…` prints the smallest part of each case in which the two still differ. Texts of
errors are not compared; their presence is.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import TidemillError
from engine.simulation import scenario
from tests.reference import interpreter
from tests.reference.journeys import Case, case

EVENTS_MAX = 600
"""Flows that launch each other multiply for sixteen generations; a case with more events is skipped."""


def plain(trace: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a trace without the texts of errors, and with the removals of one launch in order of their runs.

    The rules leave the order of those removals open.
    """
    shown = []
    for record in trace:
        detail = _without_text(record["detail"])
        if "actions" in detail:
            detail["actions"] = [_without_text(action) for action in detail["actions"]]
        shown.append(record | {"detail": detail})
    ordered: list[dict[str, Any]] = []
    for removed, group in groupby(shown, key=lambda record: record["detail"].get("reason") == "removed"):
        records = list(group)
        ordered += sorted(records, key=lambda record: record["run"]) if removed else records
    return ordered


def _without_text(detail: dict[str, Any]) -> dict[str, Any]:
    return detail | {"error": "…"} if "error" in detail else dict(detail)


def by_kernel(of: Case) -> list[dict[str, Any]]:
    raw = {"start": of.start, "until": of.until, "flows": of.flows, "input": of.lines}
    trace: list[dict[str, Any]] = []
    scenario.run(scenario.parse(raw, place=f"case {of.seed}", folder=Path()), trace.append)
    return plain(trace)


def by_reference(of: Case) -> list[dict[str, Any]] | None:
    """Return the reference's trace, or None where the case has more than EVENTS_MAX events."""
    try:
        return plain(interpreter.play(of.flows, of.lines, of.start, of.until, events_max=EVENTS_MAX))
    except interpreter.CaseTooLarge:
        return None


def disagreement(of: Case) -> str | None:
    expected = by_reference(of)
    if expected is None:
        return None
    happened = by_kernel(of)
    if happened == expected:
        return None
    pairs = zip(expected, happened, strict=False)
    first = next(((one, other) for one, other in pairs if one != other), ("more", "or fewer"))
    return f"{scenario.difference(expected, happened)}\nfirst: {first[0]}\n  not: {first[1]}"


def smallest(of: Case) -> Case:
    """Return the case without the lines and flows whose absence leaves the disagreement."""
    for part in ("lines", "flows"):
        at = 0
        while at < len(items := getattr(of, part)):
            fewer = msgspec.structs.replace(of, **{part: items[:at] + items[at + 1 :]})
            if fails(fewer):
                of = fewer
            else:
                at += 1
    return of


def fails(of: Case) -> bool:
    """Whether kernel and reference still disagree; a line that refers to a removed flow does not count."""
    try:
        return disagreement(of) is not None
    except (KeyError, TidemillError):
        return False
    except Exception:
        return True


def report(of: Case) -> str:
    of = smallest(of)
    lines = [msgspec.json.encode(part).decode() for part in (*of.flows, *of.lines)]
    try:
        found = disagreement(of)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    return "\n".join([f"seed {of.seed}: {of.start} to {of.until}", *lines, str(found)])


if __name__ == "__main__":
    for number in sys.argv[1:]:
        print(report(case(int(number))))
