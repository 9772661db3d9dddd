"""The table of `exit_when` and `until_event`: an event to look for, and what has to hold at it."""

from __future__ import annotations

from typing import Any, Final

from engine.flow.document import EventMatch
from engine.flow.tables.containers import Key, ListOf, Record
from engine.flow.tables.findings import Expression, Reader
from engine.flow.tables.scalars import EventName
from engine.flow.tables.shapes import WRONG, Cel, JsonSchema, Shape
from engine.limits import TRIGGER_EVENTS_MAX


def _match_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if not got:
        reader.problem(at, "empty", "Which event, or which condition? `event: Order Completed`, `where: …`.")
    if isinstance(got.get("where"), str):
        events = got.get("event", ())
        reader.expressions.append(
            Expression(
                reader.node,
                f"{at}/where",
                got["where"],
                "condition",
                events if isinstance(events, tuple) else (),
            )
        )


MATCH: Final = Record(
    {
        "event": Key(
            ListOf(EventName(), 1, TRIGGER_EVENTS_MAX, or_one=True, distinct=True),
            "The event, or a list of them; left out: any event of the contact.",
        ),
        "where": Key(Cel("condition", of_launch=False), "What has to hold at the event."),
    },
    make=lambda got: EventMatch(got.get("event", ()), got.get("where")),
    rule=_match_rule,
    extra={"minProperties": 1},
)


class ExitShape(Shape):
    """`exit_when`: an expression alone, or an event with or without one."""

    words = "a condition such as customer.points > 100, or {event: Order Completed}"
    _alone = Cel("condition", of_launch=False)

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        if isinstance(raw, dict):
            return MATCH.read(raw, at, reader)
        text = self._alone.read(raw, at, reader)
        if text is WRONG:
            return WRONG
        reader.expressions.append(Expression(reader.node, at, text, "condition", ()))
        return EventMatch((), text)

    def schema(self) -> JsonSchema:
        return {"anyOf": [self._alone.schema(), MATCH.schema()]}
