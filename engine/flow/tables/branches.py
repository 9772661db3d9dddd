"""The tables of split and A/B test: branches, shares, goals."""

from __future__ import annotations

from typing import Any, Final

from engine.flow.document import AbTest, Branch, Goal, Split
from engine.flow.tables.containers import Key, ListOf, Record
from engine.flow.tables.findings import Expression, Reader
from engine.flow.tables.pointer import quoted
from engine.flow.tables.scalars import PERIOD, EventName, a_kind_key, an_edge, an_id
from engine.flow.tables.shapes import Between, Cel, Choice, Flag, Hundredths
from engine.limits import BRANCHES_MAX, BRANCHES_MIN
from engine.model import AB_METRICS

WHOLE: Final = 10_000
"""What shares add up to, in hundredths of a per cent."""


_BRANCH_KEYS: Final = {
    "name": Key(an_id("a branch"), "The name of the branch.", required=True),
    "share": Key(Hundredths(0, 100), "Its share in per cent; all shares add up to 100.", required=True),
    "next": an_edge(),
}


def _branch(got: dict[str, Any]) -> Branch:
    return Branch(got["name"], got["share"], got.get("next"), got.get("control", False))


BRANCH: Final = Record(_BRANCH_KEYS, make=_branch)
VARIANT: Final = Record(
    {**_BRANCH_KEYS, "control": Key(Flag(), "true for the one variant the others are compared with.")},
    make=_branch,
)


def _shares_rule(branches: Any, at: str, reader: Reader) -> None:
    if not isinstance(branches, tuple):
        return
    names: set[str] = set()
    for index, branch in enumerate(branches):
        if branch.name in names:
            reader.problem(f"{at}/{index}/name", "duplicate", f"{quoted(branch.name)} is named twice.")
        names.add(branch.name)
    total = sum(branch.share for branch in branches)
    if total != WHOLE:
        detail = f"The shares add up to {total // 100}.{total % 100:02d}, not to 100."
        reader.problem(at, "shares", detail)


def _split_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    _shares_rule(got.get("branches"), f"{at}/branches", reader)


SPLIT: Final = Record(
    {
        "kind": a_kind_key("split"),
        "branches": Key(
            ListOf(BRANCH, BRANCHES_MIN, BRANCHES_MAX),
            "Drawn for each run by their shares (rule 21).",
            required=True,
        ),
    },
    make=lambda got: Split(got["branches"]),
    rule=_split_rule,
)


def _goal_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if isinstance(got.get("event"), str) and isinstance(got.get("revenue"), str):
        place = f"{at}/revenue"
        reader.expressions.append(Expression(reader.node, place, got["revenue"], "value", (got["event"],)))


GOAL: Final = Record(
    {
        "event": Key(EventName(), "The event that is a conversion.", required=True),
        "within": Key(PERIOD, "How long after the contact first arrived it counts.", required=True),
        "revenue": Key(Cel("value", of_launch=False), "What the goal event is worth, such as order.total."),
    },
    make=lambda got: Goal(got["event"], got["within"], got.get("revenue")),
    rule=_goal_rule,
)


def _ab_test_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    variants, goal = got.get("variants"), got.get("goal")
    _shares_rule(variants, f"{at}/variants", reader)
    if isinstance(variants, tuple) and (controls := sum(variant.control for variant in variants)) != 1:
        detail = f"Exactly one variant has `control: true`, here {controls} do."
        reader.problem(f"{at}/variants", "control", detail)
    if isinstance(goal, Goal) and goal.revenue is None and got.get("metric") in AB_METRICS[1:]:
        detail = f"The metric {got['metric']} needs `revenue`, such as revenue: order.total."
        reader.problem(f"{at}/goal/revenue", "missing_key", detail)


AB_TEST: Final = Record(
    {
        "kind": a_kind_key("ab_test"),
        "variants": Key(
            ListOf(VARIANT, BRANCHES_MIN, BRANCHES_MAX),
            "Drawn for each contact, for ever, by their shares; one is the control (rule 21).",
            required=True,
        ),
        "goal": Key(GOAL, "What a variant is measured by (rule 22).", required=True),
        "metric": Key(Choice(*AB_METRICS), "The metric that decides the winner; default conversion_rate."),
        "confidence": Key(Between(0.5, 1), "The confidence of the intervals; default 0.95."),
    },
    make=lambda got: AbTest(
        got["variants"], got["goal"], got.get("metric", AB_METRICS[0]), got.get("confidence", 0.95)
    ),
    rule=_ab_test_rule,
)
