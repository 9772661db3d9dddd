"""The table of the launch node: what starts a flow, and who enters."""

from __future__ import annotations

from typing import Any, Final

from engine.flow.document import EventTrigger, Launch, ScheduleTrigger
from engine.flow.tables.containers import Key, ListOf, Record
from engine.flow.tables.findings import Reader
from engine.flow.tables.pointer import quoted
from engine.flow.tables.scalars import TIME, EventName, a_kind_key, an_edge
from engine.flow.tables.shapes import WRONG, Cel, Choice, JsonSchema, Shape
from engine.flow.values import DAY_NAMES
from engine.limits import TRIGGER_EVENTS_MAX


class ScheduleDay(Shape):
    """A day of the week by name, a day of the month by number, or `last`; read as ("week", 0)…"""

    words = "a day: mon to sun, or 1 to 31, or last"

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, str) and raw in DAY_NAMES:
            return "week", DAY_NAMES.index(raw)
        if raw == "last":
            return "month", 0
        if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= 31:
            return "month", raw
        reader.problem(at, "invalid_choice", f"{self.words} is expected here, this is {quoted(raw)}.")
        return WRONG

    def schema(self) -> JsonSchema:
        return {"anyOf": [{"enum": [*DAY_NAMES, "last"]}, {"type": "integer", "minimum": 1, "maximum": 31}]}


def _occurrence_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    every, days = got.get("every"), got.get("days")
    if every == "day" and "days" in got:
        reader.problem(f"{at}/days", "exclusive", "Every day has no days to choose; use `every: week`.")
    elif every in ("week", "month") and "days" not in got:
        example = "[mon, thu]" if every == "week" else "[1, 15, last]"
        reader.problem(
            f"{at}/days", "missing_key", f"Which days of the {every}? For example days: {example}."
        )
    elif every in ("week", "month") and isinstance(days, tuple):
        for index, (kind, _) in enumerate(days):
            if kind != every:
                meant = "mon to sun" if every == "week" else "1 to 31, or last"
                detail = f"This is not a day of a {every}: {meant}."
                reader.problem(f"{at}/days/{index}", "invalid_choice", detail)


def _occurrence(got: dict[str, Any]) -> ScheduleTrigger:
    days = tuple(sorted(number for _, number in got.get("days", ())))
    return ScheduleTrigger(got["every"], got["at"], days)


OCCURRENCE: Final = Record(
    {
        "every": Key(Choice("day", "week", "month"), "How often.", required=True),
        "days": Key(
            ListOf(ScheduleDay(), 1, 32, distinct=True),
            "For a week [mon, thu], for a month [1, 15, last]; days that a month lacks are skipped.",
        ),
        "at": Key(TIME, "The time of day, in the flow's zone.", required=True),
    },
    make=_occurrence,
    rule=_occurrence_rule,
)


def _trigger_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if "event" in got and "schedule" in got:
        reader.problem(at, "exclusive", "A flow launches on an event or by a schedule, not on both.")
    elif "event" not in got and "schedule" not in got:
        detail = "What launches the flow? `event: Cart Viewed`, or `schedule: {every: day, at: …}`."
        reader.problem(at, "missing_key", detail)


TRIGGER: Final = Record(
    {
        "event": Key(
            ListOf(EventName(), 1, TRIGGER_EVENTS_MAX, or_one=True, distinct=True),
            "The event that launches the flow, or a list of them.",
        ),
        "schedule": Key(
            OCCURRENCE, "When the flow launches by itself, for everybody for whom `where` holds."
        ),
    },
    make=lambda got: EventTrigger(got["event"]) if "event" in got else got["schedule"],
    rule=_trigger_rule,
    extra={"oneOf": [{"required": ["event"]}, {"required": ["schedule"]}]},
)


def _launch_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if "run_key" in got and isinstance(got.get("trigger"), ScheduleTrigger):
        detail = "A schedule has no event to take a key from; take `run_key` away."
        reader.problem(f"{at}/run_key", "exclusive", detail)


LAUNCH: Final = Record(
    {
        "kind": a_kind_key("launch"),
        "trigger": Key(TRIGGER, "What launches the flow.", required=True),
        "where": Key(Cel("condition"), "Who enters; for a schedule, the audience."),
        "run_key": Key(
            Cel("value"),
            "One run at a time per value of this, such as order.order_id; other values do not touch that run.",
        ),
        "next": an_edge(),
    },
    make=lambda got: Launch(got["trigger"], got.get("where"), got.get("run_key"), got.get("next")),
    rule=_launch_rule,
)
