"""The tables of the flow document: every key, its shape, what it is for, and what holds between keys.

`validate` reads documents by these tables and `jsonschema` describes them to editors.
"""

from __future__ import annotations

from typing import Any, Final

from engine.flow.document import Condition, Frequency, Limit, Schedule, Step, Until, Wait, Window
from engine.flow.tables.actions import ActionShape
from engine.flow.tables.branches import AB_TEST, SPLIT
from engine.flow.tables.containers import Key, ListOf, Record
from engine.flow.tables.findings import Reader
from engine.flow.tables.launch import LAUNCH
from engine.flow.tables.matches import MATCH, ExitShape
from engine.flow.tables.scalars import (
    DURATION,
    INSTANT,
    OFFSET,
    PERIOD,
    RELEVANCE,
    TIME,
    ZONE,
    a_kind_key,
    an_edge,
    an_id,
)
from engine.flow.tables.shapes import Cel, Choice, Text, Whole
from engine.flow.values import DAY_NAMES
from engine.limits import ACTIONS_PER_STEP_MAX, LIMIT_PASSAGES_MAX, TAGS_PER_FLOW_MAX, WINDOWS_PER_WAIT_MAX

_COUNT_MAX: Final = 1_000_000_000


# Steps, waits, conditions, limits

STEP: Final = Record(
    {
        "kind": a_kind_key("step"),
        "title": Key(Text("a title"), "What people call it."),
        "relevance": Key(
            RELEVANCE,
            "Later than this after its logical time the step expires; `none`: never (rule 3).",
        ),
        "actions": Key(
            ListOf(ActionShape(), 1, ACTIONS_PER_STEP_MAX), "What it does, in order.", required=True
        ),
        "next": an_edge(),
    },
    make=lambda got: Step(
        got["actions"], got.get("title", ""), got.get("relevance", Step((), "").relevance_ms), got.get("next")
    ),
)


def _window_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if not got:
        reader.problem(at, "empty", "A window says `from` and `to`, or `days`, or all three.")


def _window(got: dict[str, Any]) -> Window:
    days = sorted(DAY_NAMES.index(day) for day in got.get("days", DAY_NAMES))
    return Window(tuple(days), got.get("from", 0), got.get("to", 0))


WINDOW: Final = Record(
    {
        "days": Key(
            ListOf(Choice(*DAY_NAMES), 1, 7, distinct=True),
            "The days on which it opens; left out: every day.",
        ),
        "from": Key(TIME, "When it opens; left out: midnight."),
        "to": Key(
            TIME, "When it closes, no longer inside; before `from`: on the next day. Left out: midnight."
        ),
    },
    make=_window,
    rule=_window_rule,
    extra={"minProperties": 1},
)

UNTIL: Final = Record(
    {
        "date": Key(Cel("date"), "An expression giving a date or a timestamp.", required=True),
        "offset": Key(
            OFFSET,
            "How long after the date; before it with a `-`.",
        ),
        "at": Key(TIME, "The time of that day, in the zone; left out: the date's own."),
    },
    make=lambda got: Until(got["date"], got.get("offset", 0), got.get("at")),
)


def _wait_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if not any(key in got for key in ("for", "until", "window", "until_event")):
        detail = "A wait has `for`, `until`, `until_event` or `window`: what does it wait for?"
        reader.problem(at, "missing_key", detail)
    if "for" in got and "until" in got:
        detail = "`for` and `until` exclude each other; make two waits, or use the offset of `until`."
        reader.problem(f"{at}/until", "exclusive", detail)
    if "missing" in got and "until" not in got:
        detail = "Only a wait with `until` can miss its date; take `missing` away."
        reader.problem(f"{at}/missing", "exclusive", detail)
    if "until_event" in got:
        _until_event_rule(got, at, reader)
    elif "else" in got:
        detail = "Only a wait with `until_event` can wait in vain; take `else` away."
        reader.problem(f"{at}/else", "exclusive", detail)


def _until_event_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if "for" not in got:
        detail = "How long at most does it wait for the event? For example for: 3d."
        reader.problem(f"{at}/for", "missing_key", detail)
    for key in ("until", "window"):
        if key in got:
            detail = f"`until_event` goes with `for` alone; put a wait with `{key}` behind this one."
            reader.problem(f"{at}/{key}", "exclusive", detail)


WAIT: Final = Record(
    {
        "kind": a_kind_key("wait"),
        "for": Key(DURATION, "A fixed time; with `until_event` the longest."),
        "until": Key(UNTIL, "Until a date of the contact or the event (rule 5)."),
        "until_event": Key(MATCH, "Until an event comes, at most `for`: then `next`, else `else`."),
        "window": Key(
            ListOf(WINDOW, 1, WINDOWS_PER_WAIT_MAX, or_one=True),
            "When leaving is allowed, in the zone; one window or a list (rule 4).",
        ),
        "missing": an_edge("With `until`: where to go if there is no date; without it the run ends."),
        "else": an_edge("With `until_event`: where to go if it does not come; without it the run ends."),
        "next": an_edge(),
    },
    make=lambda got: Wait(
        for_ms=got.get("for"),
        until=got.get("until"),
        windows=got.get("window", ()),
        until_event=got.get("until_event"),
        next=got.get("next"),
        missing=got.get("missing"),
        otherwise=got.get("else"),
    ),
    rule=_wait_rule,
    extra={
        "anyOf": [{"required": [key]} for key in ("for", "until", "window")],
        "not": {"required": ["for", "until"]},
        "dependentRequired": {"missing": ["until"], "until_event": ["for"], "else": ["until_event"]},
    },
)

CONDITION: Final = Record(
    {
        "kind": a_kind_key("condition"),
        "when": Key(
            Cel("condition"), "The condition; an error in it counts as false (rule 20).", required=True
        ),
        "then": an_edge("Where to go if it holds; without it the run ends."),
        "else": an_edge("Where to go if it does not hold; without it the run ends."),
    },
    make=lambda got: Condition(got["when"], got.get("then"), got.get("else")),
)

LIMIT: Final = Record(
    {
        "kind": a_kind_key("limit"),
        "max": Key(Whole(1, LIMIT_PASSAGES_MAX), "How many may pass.", required=True),
        "per": Key(PERIOD, "In any stretch of this length; left out: over all time (rule 23)."),
        "next": an_edge("Where those who pass go; without it the run ends."),
        "over": an_edge("Where the others go; without it their run ends."),
    },
    make=lambda got: Limit(got["max"], got.get("per"), got.get("next"), got.get("over")),
)

NODES: Final[dict[str, Record]] = {
    "launch": LAUNCH,
    "step": STEP,
    "wait": WAIT,
    "condition": CONDITION,
    "split": SPLIT,
    "ab_test": AB_TEST,
    "limit": LIMIT,
}

# The flow


def _frequency_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    mode = got.get("mode")
    if mode == "periodically" and "every" not in got:
        reader.problem(f"{at}/every", "missing_key", "Periodically, but how often? For example every: 7d.")
    elif mode in ("once", "every_time") and "every" in got:
        reader.problem(f"{at}/every", "exclusive", f"`every` goes with mode periodically, not with {mode}.")


FREQUENCY: Final = Record(
    {
        "mode": Key(
            Choice("once", "every_time", "periodically"),
            "How often a contact may be launched.",
            required=True,
        ),
        "every": Key(
            PERIOD, "With periodically: how long after the last launch the next may come (rule 13)."
        ),
        "max": Key(Whole(1, _COUNT_MAX), "At most so many launches of a contact, ever."),
    },
    make=lambda got: Frequency(got["mode"], got.get("every"), got.get("max")),
    rule=_frequency_rule,
)


def _schedule_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    start, end = got.get("start"), got.get("end")
    if isinstance(start, int) and isinstance(end, int) and start >= end:
        reader.problem(f"{at}/end", "schedule", "The end is not after the start; exchange them?")


SCHEDULE: Final = Record(
    {
        "start": Key(INSTANT, "Only events from this instant on launch the flow (rule 9).", nullable=True),
        "end": Key(INSTANT, "From this instant on the flow is as if paused (rule 9).", nullable=True),
    },
    make=lambda got: Schedule(got.get("start"), got.get("end")),
    rule=_schedule_rule,
)

FLOW: Final[dict[str, Key]] = {
    "id": Key(an_id("the flow"), "The id of the flow; it never changes.", required=True),
    "name": Key(Text("a name"), "What people call the flow.", required=True),
    "folder": Key(Text("a folder"), "Where it is filed; default main."),
    "brand": Key(Text("a brand"), "The brand it belongs to.", nullable=True),
    "timezone": Key(
        ZONE,
        "The zone for contacts who have none of their own; default UTC.",
    ),
    "frequency": Key(FREQUENCY, "How often a contact may be launched; default every_time."),
    "schedule": Key(SCHEDULE, "When the flow begins and ends."),
    "tags": Key(ListOf(Text("a tag"), 0, TAGS_PER_FLOW_MAX, distinct=True), "Words to find it by."),
    "exit_when": Key(
        ExitShape(),
        "Ends a contact's run at once: an expression, checked on every event, or an event and `where`.",
    ),
    "when_paused": Key(
        Choice("leave", "hold"),
        "A wait that ends while the flow is paused: `leave` ends the run (default), `hold` keeps it.",
    ),
}
"""The keys of the flow itself, but for `nodes`."""
