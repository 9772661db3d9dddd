"""Actions of a step (rules 16, 17). Most actions without templates take a shorter way, `ext.kernel.steps`.

An action returns None when it was executed, else (`not_sent` | `failed`, reason). It changes the state at once and for
good; a message becomes an effect, which `engine.delivery` sends later.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from engine.flow.document import ChangeSegments, Emit, IssuePromoCode, Points, Send, UpdateCustomer
from engine.flow.liquid.template import TemplateError
from engine.flow.program import PlannedNode, Program, fill
from engine.kernel.contacts import add_points, change_segments, change_traits, traits_of
from engine.kernel.state import State
from engine.kernel.wait_ends import zone_name
from engine.limits import MESSAGE_BYTES_MAX
from engine.model import Effect
from ext.kernel.run import Run
from ext.wire import instant

Failure = tuple[str, str] | None
"""Outcome of an action and its reason, a sentence; None means executed."""

EXECUTED, NOT_SENT, FAILED = "executed", "not_sent", "failed"

ADDRESS_TRAIT = {"email": "email", "sms": "phone", "mobile_push": "push_tokens", "web_push": "web_push"}
"""Channel -> the trait that holds the address for it; a webhook and configured channels need no address."""

NO_PROPERTIES = b"\x80"
HEADINGS = frozenset({"subject", "title"})
"""Parts of a message that alone do not make a message."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class Act:
    """Execution of the actions of one step of one run."""

    def __init__(self, state: State, run: Run, planned: PlannedNode, program: Program) -> None:
        self.state = state
        self.run = run
        self.planned = planned
        self.entities = program.entities
        self.flow_zone = program.flow.timezone

    def entry(self, place: int) -> dict[str, str]:
        """Carry out the action at this place and return its entry in the trace."""
        planned = self.planned.actions[place]
        entry = {"action": planned.verb}
        if isinstance(planned.action, Send):
            entry["channel"] = planned.action.channel
        try:
            body = planned.body if planned.filled else fill(planned.body, self.context())
            failure = _DO[planned.verb](self, place, planned.action, body)
        except TemplateError as error:
            failure = (FAILED, f"The template could not be filled in: {error}")
        if failure is None:
            entry["outcome"] = EXECUTED
        else:
            entry["outcome"], entry["error"] = failure
            if failure[0] == FAILED:
                self.state.monitor.add(
                    self.state.now_ms,
                    FAILED,
                    failure[1],
                    contact=self.run.contact.id,
                    flow=self.run.flow.id,
                    node=self.planned.id,
                )
        return entry

    def context(self) -> dict[str, Any]:
        """Return the variables of templates: the contact as it is now, the run's event, its codes."""
        run, contact = self.run, self.run.contact
        customer = traits_of(contact)
        customer.setdefault("subscriptions", {})
        customer["segments"] = list(contact.segments)
        customer["points"] = contact.points
        context: dict[str, Any] = {
            "customer": customer,
            "codes": dict(run.codes or {}),
            "zone": zone_name(customer, self.flow_zone),
            "now": instant.format(self.state.now_ms),
        }
        if run.event_name is not None:
            properties = _unpack(run.properties or NO_PROPERTIES)
            stamp = instant.format(run.event_ms)
            context["event"] = {"name": run.event_name, "timestamp": stamp, "properties": properties}
            context.update((entity, properties) for entity in self.entities)
        return context

    # The actions

    def send(self, place: int, action: Send, body: dict[str, Any]) -> Failure:
        """Turn the message into an effect, or return why it is not sent (rule 17)."""
        channel = action.channel
        channels = self.state.core.channels
        if channels is not None and channel not in channels:
            return FAILED, f"The channel {channel} is not configured."
        traits = traits_of(self.run.contact)
        address = None
        if (trait := ADDRESS_TRAIT.get(channel)) is not None:
            address = traits.get(trait)
            if not address:
                return NOT_SENT, f"The contact has no address for {channel} (trait {trait})."
        if (refusal := self._unsubscribed(action, traits.get("subscriptions"))) is not None:
            return NOT_SENT, refusal
        if is_empty(body):
            return NOT_SENT, "The message is empty."
        self._effect(place, channel, address, body)
        return None

    def _unsubscribed(self, action: Send, subscriptions: object) -> str | None:
        status = subscriptions.get(action.channel) if isinstance(subscriptions, dict) else None
        if status == "unsubscribed":
            return f"The contact has unsubscribed from {action.channel}."
        if status == "unconfirmed" and not action.transactional:
            return f"The contact has not confirmed {action.channel}; only transactional messages are sent."
        return None

    def _effect(self, place: int, channel: str, address: Any, message: dict[str, Any]) -> None:
        """Add an effect whose id consists of run, node and place, hence is the same on every replay (rule 16)."""
        state, run = self.state, self.run
        effect = Effect(
            seq=state.outbox.next_seq(),
            id=f"{run.flow.id}.{run.id}.{self.planned.id}.{place}",
            at=state.now_ms,
            contact=run.contact.id,
            flow=run.flow.id,
            version=run.flow.version,
            run=run.id,
            node=self.planned.id,
            channel=channel,
            address=address,
            message=message,
        )
        state.outbox.add(effect)
        state.core.effects.append(effect)

    def issue_promo_code(self, place: int, action: IssuePromoCode, body: None) -> Failure:
        code = self.state.pools.issue(action.pool)
        if code is None:
            return FAILED, f"The pool {action.pool} has no codes left."
        self.run.codes = {**(self.run.codes or {}), action.name: code}
        return None

    def points(self, place: int, action: Points, body: int | str) -> Failure:
        try:
            change = int(body.strip()) if isinstance(body, str) else body
        except ValueError:
            return FAILED, f"{body[:40]!r} is not a whole number of points." if isinstance(body, str) else ""
        if not add_points(self.state, self.run.contact, change, depth=self.run.depth + 1):
            return FAILED, f"{change} points from {self.run.contact.points} would leave a negative balance."
        return None

    def update_customer(self, place: int, action: UpdateCustomer, body: dict[str, Any]) -> Failure:
        traits = traits_of(self.run.contact)
        changes: dict[str, Any] = {**body["set"], **dict.fromkeys(action.unset)}
        for name, by in body["increment"].items():
            value = changes.get(name, traits.get(name))
            total = _sum(0 if value is None else value, number_of(by))
            if total is None:
                return FAILED, f"The trait {name} cannot be incremented: not a number, or too large."
            changes[name] = total
        if not change_traits(self.state, self.run.contact, changes, depth=self.run.depth + 1):
            return FAILED, "The contact's traits would grow beyond their bound."
        return None

    def segment(self, place: int, action: ChangeSegments, body: None) -> Failure:
        change_segments(self.state, self.run.contact, action.add, action.remove, depth=self.run.depth + 1)
        return None

    def emit(self, place: int, action: Emit, body: dict[str, Any]) -> Failure:
        packed = _pack(body)
        if len(packed) > MESSAGE_BYTES_MAX:
            return FAILED, f"The event would take {len(packed)} bytes; one has at most {MESSAGE_BYTES_MAX}."
        self.state.core.emit(self.run.contact, action.event, packed, self.run.depth + 1, True)
        return None


_DO: dict[str, Callable[[Act, int, Any, Any], Failure]] = {
    "send": Act.send,
    "issue_promo_code": Act.issue_promo_code,
    "points": Act.points,
    "update_customer": Act.update_customer,
    "segment": Act.segment,
    "emit": Act.emit,
}


def number_of(value: Any) -> Any:
    """Return the number in a text that a template produced; any other value unchanged."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value.strip())
        except ValueError:
            continue
    return value


def _sum(value: Any, change: Any) -> int | float | None:
    """Return the sum; None if a value is not a number, or the sum exceeds 64 bits or the range of doubles."""
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (value, change)):
        return None
    total: int | float = value + change
    if isinstance(total, int):
        return total if -(1 << 63) <= total < 1 << 63 else None
    return total if isfinite(total) else None


def is_empty(message: dict[str, Any]) -> bool:
    """Whether the body is blank; a subject or title counts only if the message has no other part."""
    parts = {key: value for key, value in message.items() if key not in HEADINGS} or message
    return all(isinstance(value, str) and not value.strip() for value in parts.values())


__all__ = ["ADDRESS_TRAIT", "Act", "is_empty", "number_of"]
