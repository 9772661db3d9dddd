"""The table of the actions of a step: one verb each, its keys, and what holds between them."""

from __future__ import annotations

from typing import Any, Final

from engine.flow.document import (
    Action,
    ChangeSegments,
    Emit,
    IssuePromoCode,
    Points,
    Send,
    UpdateCustomer,
)
from engine.flow.tables.containers import Key, ListOf, MapOf, Record
from engine.flow.tables.findings import Reader
from engine.flow.tables.pointer import a_kind, did_you_mean, quoted
from engine.flow.tables.scalars import EventName, an_id, matching
from engine.flow.tables.shapes import WRONG, Flag, Json, JsonSchema, NumberOrTemplate, Shape, Text
from engine.limits import MESSAGE_KEYS_MAX, SEGMENTS_PER_ACTION_MAX
from engine.model import CHANNELS, ENGINE_TRAITS

_CHANNEL_PATTERN: Final = "[a-z0-9][a-z0-9_-]{0,63}"
_CODE_PATTERN: Final = "[A-Za-z_][A-Za-z0-9_]{0,63}"


class TraitName(Text):
    """The name of a trait that a flow may change."""

    def __init__(self) -> None:
        super().__init__("the name of a trait")

    def read(self, raw: Any, at: str, reader: Reader) -> Any:
        name = super().read(raw, at, reader)
        if name in ENGINE_TRAITS:
            verb = "points" if name == "points" else "segment"
            detail = f"{name!r} is changed by the engine alone; use the action `{verb}`."
            reader.problem(at, "reserved", detail)
        return name


_channel = matching(
    "a channel", "invalid_id", _CHANNEL_PATTERN, "1 to 64 of a-z, 0-9, _ and -, a letter or digit first"
)
_code_name = matching(
    "a name such as code", "invalid_name", _CODE_PATTERN, "a letter, then letters, digits and _"
)
_traits = MapOf(TraitName(), Json(), MESSAGE_KEYS_MAX)
_segments = ListOf(an_id("a segment"), 1, SEGMENTS_PER_ACTION_MAX, distinct=True)


def _send_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    message = got.get("message")
    if not isinstance(message, dict) or "transactional" not in message:
        return
    place = f"{at}/message/transactional"
    inside = message["transactional"]
    if not isinstance(inside, bool):
        reader.problem(place, "wrong_type", f"true or false is expected here, this is {a_kind(inside)}.")
    elif got.get("transactional", inside) is not inside:
        reader.problem(place, "exclusive", "`transactional` beside the message says otherwise; say it once.")


def _send(got: dict[str, Any]) -> Send:
    message = dict(got["message"])
    inside: bool = message.pop("transactional", False)
    return Send(got["send"], message, bool(got.get("transactional", inside)))


def _code_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if isinstance(got.get("as"), str):
        reader.codes.add(got["as"])


def _update_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if not any(got.get(key) for key in ("set", "unset", "increment")):
        detail = "This changes nothing: give `set`, `unset` or `increment` something to do."
        reader.problem(at, "empty", detail)
    seen: dict[str, str] = {}
    for verb in ("set", "unset", "increment"):
        traits = got.get(verb, ())
        for trait in traits if traits is not WRONG else ():
            if trait in seen and trait is not WRONG:
                detail = f"The trait {quoted(trait)} is also named by {seen[trait]!r}; name it once."
                reader.problem(f"{at}/{verb}", "duplicate", detail)
            seen[trait] = verb


def _update(got: dict[str, Any]) -> UpdateCustomer:
    return UpdateCustomer(got.get("set", {}), got.get("unset", ()), got.get("increment", {}))


def _segment_rule(got: dict[str, Any], at: str, reader: Reader) -> None:
    if not got:
        reader.problem(at, "empty", "This changes nothing: give `add` or `remove` a segment.")
    added, removed = (value if (value := got.get(key)) is not WRONG else () for key in ("add", "remove"))
    for segment in [name for name in added or () if name in (removed or ())]:
        detail = f"The segment {quoted(segment)} is added and removed by the same action."
        reader.problem(at, "exclusive", detail)


ACTIONS: Final[dict[str, Record]] = {
    "send": Record(
        {
            "send": Key(
                matching(
                    "a channel",
                    "invalid_id",
                    _CHANNEL_PATTERN,
                    "1 to 64 of a-z, 0-9, _ and -, a letter or digit first",
                ),
                f"The channel: {', '.join(CHANNELS)}, or one that is configured.",
                required=True,
            ),
            "message": Key(
                MapOf(Text("the name of a message's part"), Json(), MESSAGE_KEYS_MAX),
                "The parts of the message; every string in it is a Liquid template.",
                required=True,
            ),
            "transactional": Key(Flag(), "Whether `unconfirmed` contacts get it, too; `message` may say it."),
        },
        make=_send,
        rule=_send_rule,
    ),
    "issue_promo_code": Record(
        {
            "issue_promo_code": Key(
                Record(
                    {
                        "pool": Key(an_id("a pool"), "The pool the code is taken from.", required=True),
                        "as": Key(
                            matching(
                                "a name such as code",
                                "invalid_name",
                                _CODE_PATTERN,
                                "a letter, then letters, digits and _",
                            ),
                            "Later templates of the run read the code as `codes.<name>`.",
                            required=True,
                        ),
                    },
                    make=lambda got: IssuePromoCode(got["pool"], got["as"]),
                    rule=_code_rule,
                ),
                "Takes a code from a pool, once per run and step, for ever.",
                required=True,
            )
        },
        make=lambda got: got["issue_promo_code"],
    ),
    "points": Record(
        {
            "points": Key(
                Record(
                    {
                        "add": Key(
                            NumberOrTemplate(whole=True),
                            "How many points are added; a negative number takes them away.",
                            required=True,
                        )
                    },
                    make=lambda got: Points(got["add"]),
                ),
                "Changes the contact's points, which never go below zero.",
                required=True,
            )
        },
        make=lambda got: got["points"],
    ),
    "update_customer": Record(
        {
            "update_customer": Key(
                Record(
                    {
                        "set": Key(_traits, "Traits and their new values; strings are Liquid templates."),
                        "unset": Key(
                            ListOf(TraitName(), 0, MESSAGE_KEYS_MAX, distinct=True), "Traits to take away."
                        ),
                        "increment": Key(
                            MapOf(TraitName(), NumberOrTemplate(whole=False), MESSAGE_KEYS_MAX),
                            "Traits that are numbers, and what to add to each.",
                        ),
                    },
                    make=_update,
                    rule=_update_rule,
                ),
                "Changes traits of the contact.",
                required=True,
            )
        },
        make=lambda got: got["update_customer"],
    ),
    "segment": Record(
        {
            "segment": Key(
                Record(
                    {
                        "add": Key(_segments, "Segments the contact enters."),
                        "remove": Key(_segments, "Segments the contact leaves."),
                    },
                    make=lambda got: ChangeSegments(got.get("add", ()), got.get("remove", ())),
                    rule=_segment_rule,
                    extra={"minProperties": 1},
                ),
                "Changes the segments of the contact.",
                required=True,
            )
        },
        make=lambda got: got["segment"],
    ),
    "emit": Record(
        {
            "emit": Key(
                Record(
                    {
                        "event": Key(EventName(), "The event's name.", required=True),
                        "properties": Key(
                            MapOf(Text("the name of a property"), Json(), MESSAGE_KEYS_MAX),
                            "The event's properties; strings are Liquid templates.",
                        ),
                    },
                    make=lambda got: Emit(got["event"], got.get("properties", {})),
                ),
                "Emits an event of the contact, which may launch other flows.",
                required=True,
            )
        },
        make=lambda got: got["emit"],
    ),
}
"""By verb, which is also the key that tells the actions apart."""


class ActionShape(Shape):
    """One action: an object with exactly one of the verbs."""

    words = f"an action with one of {', '.join(ACTIONS)}"

    def read(self, raw: Any, at: str, reader: Reader) -> Action | Any:
        if not isinstance(raw, dict):
            return self.mistyped(raw, at, reader)
        verbs = [verb for verb in ACTIONS if verb in raw]
        if len(verbs) == 1:
            return ACTIONS[verbs[0]].read(raw, at, reader)
        if verbs:
            detail = f"An action does one thing, this has {' and '.join(verbs)}; make each an action."
            reader.problem(at, "exclusive", detail)
            return WRONG
        hint = next((close for key in raw if (close := did_you_mean(key, ACTIONS))), "")
        reader.problem(at, "missing_key", f"An action has one of {', '.join(ACTIONS)}.{hint}")
        return WRONG

    def schema(self) -> JsonSchema:
        return {
            "type": "object",
            "oneOf": [{"$ref": f"#/$defs/{verb}"} for verb in ACTIONS],
        }
