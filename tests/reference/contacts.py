"""Contacts of the reference: traits, history, aliases, and the answers to what expressions ask."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.reference import local_time
from tests.reference.part import ReferencePart

CHAIN_DEPTH_MAX = 16
EVENTS_PER_NAME_MAX = 256
ENTITIES = ("order", "session", "product")


class ReferenceContacts(ReferencePart):
    """Contacts: traits, history, aliases, and the answers to what expressions ask."""

    def touch(self, contact: str, depth: int) -> bool:
        """Create a contact if it is unknown (rule 10). Return whether it was."""
        if contact in self.contacts:
            return False
        self.contacts[contact] = {"traits": {}, "segments": set(), "points": 0, "events": {}}
        self.queue_own("Contact Created", contact, {}, depth)
        return True

    def queue_own(self, name: str, contact: str, properties: dict[str, Any], depth: int) -> None:
        """Queue one of the six events that the engine itself emits; `depth` is that of its cause."""
        self.queue_event(name, contact, properties, depth, kept=False)

    def queue_event(
        self, name: str, contact: str, properties: dict[str, Any], depth: int, *, kept: bool
    ) -> None:
        if depth + 1 <= CHAIN_DEPTH_MAX:  # rule 19
            self.queue.append(
                {
                    "name": name,
                    "contact": contact,
                    "timestamp": self.now,
                    "properties": properties,
                    "depth": depth + 1,
                    "kept": kept,
                }
            )

    def drain(self) -> None:
        while self.queue:
            self.happen(self.queue.popleft())

    def change_traits(self, contact: str, traits: dict[str, Any], depth: int) -> None:
        """Set traits, null removing one. Decided: Contact Updated, then Subscription Changed by channel."""
        of = self.contacts[contact]["traits"]
        before = of.get("subscriptions")
        changed = []
        for name, value in traits.items():
            if name in ("segments", "points"):
                continue
            if value is None:
                if name in of:
                    del of[name]
                    changed.append(name)
            elif name not in of or not same(of[name], value):
                of[name] = value
                changed.append(name)
        if changed:
            self.queue_own("Contact Updated", contact, {"changed": sorted(changed)}, depth)
        if "subscriptions" in changed:
            was = before if isinstance(before, dict) else {}
            now = of.get("subscriptions")
            now = now if isinstance(now, dict) else {}
            for channel in sorted(was | now):
                if was.get(channel) != now.get(channel):
                    change = {"channel": channel, "from": was.get(channel), "to": now.get(channel)}
                    self.queue_own("Subscription Changed", contact, change, depth)

    def alias(self, contact: str, previous: str) -> None:
        """Make two contacts one, under the id `contact`.

        Decided: everything moves over, traits only where the contact has no value of its own; launches and points
        add up.
        """
        previous = self.name_of(previous)
        self.touch(contact, depth=0)
        if previous == contact:
            return
        for other, target in list(self.other_names.items()):
            if target == previous:
                self.other_names[other] = contact
        self.other_names[previous] = contact
        if previous in self.contacts:
            self.absorb(contact, previous)

    def absorb(self, contact: str, previous: str) -> None:
        one, other = self.contacts[contact], self.contacts.pop(previous)
        for name, events in other["events"].items():
            merged = sorted([*one["events"].get(name, []), *events], key=lambda event: event[0])
            one["events"][name] = merged[-EVENTS_PER_NAME_MAX:]
        one["segments"] |= other["segments"]
        one["points"] += other["points"]
        for run in self.runs:
            if run["contact"] == previous:
                run["contact"] = contact
        for flow, _ in [place for place in self.gates if place[1] == previous]:
            theirs = self.gates.pop((flow, previous))
            ours = self.gates.setdefault((flow, contact), {"launches": 0, "last": None, "once": False})
            ours["launches"] += theirs["launches"]
            ours["once"] |= theirs["once"]
            ours["last"] = max((at for at in (ours["last"], theirs["last"]) if at is not None), default=None)
        for flow, node, _ in [place for place in self.assigned if place[2] == previous]:
            variant = self.assigned.pop((flow, node, previous))
            self.assigned.setdefault((flow, node, contact), variant)
        missing = {name: value for name, value in other["traits"].items() if name not in one["traits"]}
        self.change_traits(contact, missing, depth=0)

    # ---- what expressions ask

    def count(self, name: str, within: timedelta | None) -> int:
        return len(self.events_within(name, within))

    def sum(self, name: str, field: str, within: timedelta | None) -> float:
        values = [properties.get(field) for _, properties in self.events_within(name, within)]
        return float(sum(v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)))

    def last(self, name: str) -> datetime:
        events = self.contacts[self.asked]["events"].get(name)
        if not events:
            raise LookupError("no such event")
        return local_time.to_datetime(max(at for at, _ in events))

    def in_segment(self, segment: str) -> bool:
        return segment in self.contacts[self.asked]["segments"]

    def available(self, pool: str) -> int:
        return len(self.pools.get(pool, []))

    def events_within(self, name: str, within: timedelta | None) -> list[tuple[int, dict[str, Any]]]:
        """Return the events of a name in (now − within, now] (rule 10)."""
        events: list[tuple[int, dict[str, Any]]] = self.contacts[self.asked]["events"].get(name, [])
        if within is None:
            return events
        since = self.now - within // local_time.MS
        return [event for event in events if since < event[0] <= self.now]

    def variables(self, contact: str, event: dict[str, Any]) -> dict[str, Any]:
        """Return the variables of an expression or a template about `contact`."""
        self.asked = contact
        about = self.contacts[contact]
        customer = about["traits"] | {"segments": sorted(about["segments"]), "points": about["points"]}
        properties = event["properties"]
        return {
            "customer": customer,
            "event": {"name": event["name"], "properties": properties},
            "event_timestamp": local_time.to_datetime(event["timestamp"]),
            "now": local_time.to_datetime(self.now),
            **dict.fromkeys(ENTITIES, properties),
        }


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON: true is not 1."""
    return type(one) is type(other) and one == other
