"""The check of the nodes of a flow: triggers, actions, waits, splits, A/B tests, limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.flow.documents import END, found, minimal, only, problems, put, step

# The launch

TRIGGER = "/nodes/start/trigger"


@pytest.mark.parametrize(
    ("trigger", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ({"event": "A", "schedule": {"every": "day", "at": "09:00"}}, "", "exclusive"),
        ("A", "", "wrong_type"),
        ({"event": ""}, "/event", "empty"),
        ({"event": []}, "/event", "out_of_range"),
        ({"event": ["A", "A"]}, "/event/1", "duplicate"),
        ({"event": ["A", 5]}, "/event/1", "wrong_type"),
        ({"event": [f"E{n}" for n in range(33)]}, "/event", "out_of_range"),
        ({"schedule": {"every": "hour", "at": "09:00"}}, "/schedule/every", "invalid_choice"),
        ({"schedule": {"every": "day"}}, "/schedule/at", "missing_key"),
        ({"schedule": {"every": "day", "at": "9:00"}}, "/schedule/at", "invalid_time"),
        ({"schedule": {"every": "day", "at": 540}}, "/schedule/at", "wrong_type"),
        ({"schedule": {"every": "day", "days": ["mon"], "at": "09:00"}}, "/schedule/days", "exclusive"),
        ({"schedule": {"every": "week", "at": "09:00"}}, "/schedule/days", "missing_key"),
        ({"schedule": {"every": "week", "days": [], "at": "09:00"}}, "/schedule/days", "out_of_range"),
        (
            {"schedule": {"every": "week", "days": ["monday"], "at": "09:00"}},
            "/schedule/days/0",
            "invalid_choice",
        ),
        ({"schedule": {"every": "week", "days": [1], "at": "09:00"}}, "/schedule/days/0", "invalid_choice"),
        (
            {"schedule": {"every": "month", "days": [1, "mon"], "at": "09:00"}},
            "/schedule/days/1",
            "invalid_choice",
        ),
        ({"schedule": {"every": "month", "days": [32], "at": "09:00"}}, "/schedule/days/0", "invalid_choice"),
        (
            {"schedule": {"every": "month", "days": [True], "at": "09:00"}},
            "/schedule/days/0",
            "invalid_choice",
        ),
        ({"schedule": {"every": "month", "days": [3, 3], "at": "09:00"}}, "/schedule/days/1", "duplicate"),
    ],
)
def test_triggers(trigger: object, pointer: str, code: str) -> None:
    assert found(put(minimal(a=END), TRIGGER, trigger)) == [("start", TRIGGER + pointer, code)]


# Steps and actions


@pytest.mark.parametrize("count", [0, 21])
def test_a_step_has_1_to_20_actions(count: int) -> None:
    raw = step(*[{"points": {"add": 1}}] * count)
    assert found(raw) == [("a", "/nodes/a/actions", "out_of_range")]
    assert problems(step(*[{"points": {"add": 1}}] * 20)) == ()


@pytest.mark.parametrize("relevance", [24, "tomorrow", "1h1d", True, "None"])
def test_relevance_is_a_duration_or_none(relevance: object) -> None:
    assert [place for _, place, _ in found(step({"points": {"add": 1}}, relevance=relevance))] == [
        "/nodes/a/relevance"
    ]


@pytest.mark.parametrize(
    ("action", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ("email", "", "wrong_type"),
        ({"sent": "email"}, "", "missing_key"),
        ({"send": "email", "message": {}, "points": {"add": 1}}, "", "exclusive"),
        ({"send": "email"}, "/message", "missing_key"),
        ({"send": "e mail", "message": {}}, "/send", "invalid_id"),
        ({"send": "email", "message": "Hi"}, "/message", "wrong_type"),
        ({"send": "email", "message": {}, "to": "x"}, "/to", "unknown_key"),
        ({"send": "email", "message": {"a": float("nan")}}, "/message/a", "out_of_range"),
        ({"send": "email", "message": {"a": 2**63}}, "/message/a", "out_of_range"),
        ({"send": "email", "message": {"a": ["\ud800"]}}, "/message/a/0", "invalid_text"),
        ({"send": "email", "message": {"transactional": "yes"}}, "/message/transactional", "wrong_type"),
        (
            {"send": "email", "message": {"transactional": True}, "transactional": False},
            "/message/transactional",
            "exclusive",
        ),
        ({"issue_promo_code": {"pool": "spring"}}, "/issue_promo_code/as", "missing_key"),
        ({"issue_promo_code": {"pool": "Spring", "as": "code"}}, "/issue_promo_code/pool", "invalid_id"),
        ({"issue_promo_code": {"pool": "spring", "as": "my code"}}, "/issue_promo_code/as", "invalid_name"),
        ({"points": {"add": 1.5}}, "/points/add", "wrong_type"),
        ({"points": {"add": True}}, "/points/add", "wrong_type"),
        ({"points": {"add": " "}}, "/points/add", "empty"),
        ({"points": 5}, "/points", "wrong_type"),
        ({"update_customer": {}}, "/update_customer", "empty"),
        ({"update_customer": {"set": {"points": 5}}}, "/update_customer/set/points", "reserved"),
        ({"update_customer": {"unset": ["segments"]}}, "/update_customer/unset/0", "reserved"),
        ({"update_customer": {"increment": {"a": None}}}, "/update_customer/increment/a", "wrong_type"),
        ({"update_customer": {"set": {"a": 1}, "unset": ["a"]}}, "/update_customer/unset", "duplicate"),
        ({"segment": {}}, "/segment", "empty"),
        ({"segment": {"add": []}}, "/segment/add", "out_of_range"),
        ({"segment": {"add": ["A B"]}}, "/segment/add/0", "invalid_id"),
        ({"segment": {"add": ["a", "a"]}}, "/segment/add/1", "duplicate"),
        ({"segment": {"add": ["a"], "remove": ["a"]}}, "/segment", "exclusive"),
        ({"emit": {"properties": {}}}, "/emit/event", "missing_key"),
        ({"emit": {"event": "{{ customer.x }}"}}, "/emit/event", "invalid_name"),
        ({"emit": {"event": "A", "properties": []}}, "/emit/properties", "wrong_type"),
    ],
)
def test_actions(action: object, pointer: str, code: str) -> None:
    assert found(step(action)) == [("a", f"/nodes/a/actions/0{pointer}", code)]


def test_an_action_with_two_verbs_names_both() -> None:
    detail = only(step({"points": {"add": 1}, "emit": {"event": "A"}})).detail
    assert "points and emit" in detail


def test_values_nest_only_so_deep() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert [code for _, _, code in found(step({"send": "email", "message": {"a": deep}}))] == ["too_deep"]


# Waits


@pytest.mark.parametrize(
    ("keys", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ({"for": "1d", "until": {"date": "customer.day"}}, "/until", "exclusive"),
        ({"for": "1d", "missing": None}, None, None),
        ({"for": "1d", "missing": "end"}, "/missing", "exclusive"),
        ({"for": "11w400w"}, "/for", "invalid_duration"),
        ({"for": "-1d"}, "/for", "invalid_duration"),
        ({"until": {}}, "/until/date", "missing_key"),
        ({"until": {"date": ""}}, "/until/date", "empty"),
        ({"until": {"date": 5}}, "/until/date", "wrong_type"),
        ({"until": {"date": "customer.day", "at": "25:00"}}, "/until/at", "invalid_time"),
        ({"window": {}}, "/window", "empty"),
        ({"window": []}, "/window", "out_of_range"),
        ({"window": [{"from": "08:00"}] * 17}, "/window", "out_of_range"),
        ({"window": {"from": 1200, "to": "20:00"}}, "/window/from", "wrong_type"),
        ({"window": {"days": []}}, "/window/days", "out_of_range"),
        ({"window": {"days": ["mon", "mon"]}}, "/window/days/1", "duplicate"),
        ({"window": [{"days": ["mo"]}]}, "/window/0/days/0", "invalid_choice"),
    ],
)
def test_waits(keys: dict[str, Any], pointer: str | None, code: str | None) -> None:
    raw = minimal(a={"kind": "wait", "next": "end", **keys}, end=END)
    assert found(raw) == ([] if pointer is None else [("a", f"/nodes/a{pointer}", code)])


# Splits, A/B tests, limits


def split(*shares: object) -> dict[str, Any]:
    branches = [{"name": f"b{n}", "share": share} for n, share in enumerate(shares)]
    return minimal(a={"kind": "split", "branches": branches})


@pytest.mark.parametrize(
    "shares",
    [
        (50, 50),
        (33.33, 33.33, 33.34),
        (0, 100),
        (0.01, 99.99),
        (20, 20, 20, 20, 20),
        (12.5, 87.5),
        (1e1, 90.0),
    ],
)
def test_shares_that_add_up(shares: tuple[float, ...]) -> None:
    assert problems(split(*shares)) == ()


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        ((50, 49.99), "shares"),
        ((33.33, 33.33, 33.33), "shares"),
        ((100,), "out_of_range"),
        ((10,) * 10, "out_of_range"),
        ((33.333, 66.667), "too_precise"),
        ((-1, 101), "out_of_range"),
        ((float("nan"), 100), "out_of_range"),
        ((float("inf"), 100), "out_of_range"),
        (("50", 50), "wrong_type"),
        ((True, 99), "wrong_type"),
    ],
)
def test_shares_that_do_not(shares: tuple[object, ...], code: str) -> None:
    assert code in {code for _, _, code in found(split(*shares))}


def test_the_problem_of_shares_has_their_sum() -> None:
    assert "99.99" in only(split(33.33, 33.33, 33.33)).detail


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=5))
def test_shares_are_added_exactly(hundredths: list[int]) -> None:
    raw = split(*(share / 100 for share in hundredths))
    assert (problems(raw) == ()) == (sum(hundredths) == 10_000)


def ab_test(**keys: object) -> dict[str, Any]:
    node = {
        "kind": "ab_test",
        "variants": [{"name": "a", "share": 50, "control": True}, {"name": "b", "share": 50}],
        "goal": {"event": "Order Completed", "within": "7d"},
        **keys,
    }
    return minimal(a=node)


@pytest.mark.parametrize(
    ("keys", "pointer", "code"),
    [
        ({"goal": None}, "/goal", "wrong_type"),
        ({"goal": {"event": "A"}}, "/goal/within", "missing_key"),
        ({"metric": "clicks"}, "/metric", "invalid_choice"),
        ({"metric": "average_order_value"}, "/goal/revenue", "missing_key"),
        ({"confidence": 95}, "/confidence", "out_of_range"),
        ({"confidence": "0.95"}, "/confidence", "wrong_type"),
        ({"variants": [{"name": "a", "share": 50}, {"name": "b", "share": 50}]}, "/variants", "control"),
        (
            {
                "variants": [
                    {"name": "a", "share": 50, "control": True},
                    {"name": "b", "share": 50, "control": True},
                ]
            },
            "/variants",
            "control",
        ),
        (
            {"variants": [{"name": "a", "share": 50, "control": True}, {"name": "a", "share": 50}]},
            "/variants/1/name",
            "duplicate",
        ),
    ],
)
def test_ab_tests(keys: dict[str, object], pointer: str, code: str) -> None:
    assert found(ab_test(**keys)) == [("a", f"/nodes/a{pointer}", code)]


@pytest.mark.parametrize(
    ("keys", "pointer", "code"),
    [
        ({}, "/max", "missing_key"),
        ({"max": 0}, "/max", "out_of_range"),
        ({"max": "2"}, "/max", "wrong_type"),
        ({"max": 1, "per": "0s"}, "/per", "invalid_duration"),
        ({"max": 1, "by": "1d"}, "/by", "unknown_key"),
    ],
)
def test_limits(keys: dict[str, object], pointer: str, code: str) -> None:
    assert found(minimal(a={"kind": "limit", **keys})) == [("a", f"/nodes/a{pointer}", code)]
