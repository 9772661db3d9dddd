"""Actions of a step, for the reference (rules 16, 17, 19)."""

from __future__ import annotations

import re
from typing import Any

from tests.reference.part import ReferencePart, Run

ADDRESS_OF = {"email": "email", "sms": "phone", "mobile_push": "push_tokens", "web_push": "web_push"}


class ReferenceActions(ReferencePart):
    """The actions of a step: each method returns an outcome and an error."""

    def act_send(self, run: Run, action: dict[str, Any]) -> tuple[str, str | None]:
        channel, traits = action["send"], self.contacts[run["contact"]]["traits"]
        message = {key: value for key, value in action["message"].items() if key != "transactional"}
        if channel in ADDRESS_OF and not traits.get(ADDRESS_OF[channel]):
            return "not_sent", "no address"
        subscriptions = traits.get("subscriptions")
        state = subscriptions.get(channel) if isinstance(subscriptions, dict) else None
        transactional = action["message"].get("transactional", False) or action.get("transactional", False)
        if state == "unsubscribed" or (state == "unconfirmed" and not transactional):
            return "not_sent", state
        if empty(self.render(run, message)):
            return "not_sent", "empty message"
        return "executed", None

    def act_issue_promo_code(self, run: Run, action: dict[str, Any]) -> tuple[str, str | None]:
        wanted = action["issue_promo_code"]
        pool = self.pools.get(wanted["pool"])
        if not pool:
            return "failed", "the pool is empty"
        run["codes"][wanted["as"]] = pool.pop(0)
        return "executed", None

    def act_points(self, run: Run, action: dict[str, Any]) -> tuple[str, str | None]:
        change = action["points"]["add"]
        if isinstance(change, str):
            try:
                change = int(self.render(run, change))
            except ValueError:
                return "failed", "not a number"
        contact = self.contacts[run["contact"]]
        if contact["points"] + change < 0:
            return "failed", "points below zero"
        contact["points"] += change
        if change:
            detail = {"change": change, "points": contact["points"]}
            self.queue_own("Points Changed", run["contact"], detail, run["depth"])
        return "executed", None

    def act_update_customer(self, run: Run, action: dict[str, Any]) -> tuple[str, str | None]:
        """Change traits. Decided: set, unset, then increment; a value of the wrong type undoes the whole action."""
        update = action["update_customer"]
        traits = self.contacts[run["contact"]]["traits"]
        new = dict(self.render(run, update.get("set", {})))
        new.update(dict.fromkeys(update.get("unset", ())))
        for name, by in self.render(run, update.get("increment", {})).items():
            base = new[name] if name in new else traits.get(name)
            base = 0 if base is None else base
            if not number(base) or not number(by):
                return "failed", f"{name} is not a number"
            new[name] = base + by
        self.change_traits(run["contact"], new, run["depth"])
        return "executed", None

    def act_segment(self, run: Run, action: dict[str, Any]) -> tuple[str, str | None]:
        segments = self.contacts[run["contact"]]["segments"]
        for name in action["segment"].get("add", ()):
            if name not in segments:
                segments.add(name)
                self.queue_own("Segment Entered", run["contact"], {"segment": name}, run["depth"])
        for name in action["segment"].get("remove", ()):
            if name in segments:
                segments.remove(name)
                self.queue_own("Segment Left", run["contact"], {"segment": name}, run["depth"])
        return "executed", None

    def act_emit(self, run: Run, action: dict[str, Any]) -> tuple[str, str | None]:
        emitted = action["emit"]
        properties = self.render(run, emitted.get("properties", {}))
        self.queue_event(emitted["event"], run["contact"], properties, run["depth"], kept=True)
        return "executed", None

    def render(self, run: Run, value: Any) -> Any:
        """Replace `{{ a.path }}` in every string; the reference has no more of Liquid."""
        if isinstance(value, dict):
            return {key: self.render(run, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.render(run, item) for item in value]
        if not isinstance(value, str):
            return value
        scope = self.variables(run["contact"], run["event"]) | {"codes": run["codes"]}
        return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", lambda found: text_at(scope, found[1]), value)


def number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def empty(message: dict[str, Any]) -> bool:
    """Whether a message is empty. Decided: a heading alone is a message only if the flow asks for no other part."""
    parts = [value for key, value in message.items() if key not in ("subject", "title")] or [
        *message.values()
    ]
    return all(isinstance(part, str) and not part.strip() for part in parts)


def text_at(scope: dict[str, Any], path: str) -> str:
    value: Any = scope
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
