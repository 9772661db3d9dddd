"""Contacts from outside the flows: traits, aliases, segments, deletion (rules 7, 30).

Every function changes the contact through `State.core`, so that a snapshot in progress and the expressions see it,
and queues the engine's own events: `Contact Updated`, `Subscription Changed`, `Segment Entered`, `Segment Left`,
`Points Changed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.errors import NotFound, Refused
from engine.kernel.state import State
from engine.limits import TRAITS_BYTES_MAX
from engine.model import END_REASONS, ENGINE_TRAITS
from ext.kernel import walk
from ext.kernel.contact import Contact

_unpack = msgspec.msgpack.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode


def traits_of(contact: Contact) -> dict[str, Any]:
    """Return a copy of the traits as a dict."""
    traits: dict[str, Any] = _unpack(contact.traits)
    return traits


def identify(state: State, contact: Contact, packed: bytes) -> None:
    """Set traits from outside, a MessagePack map; null removes a trait."""
    change_traits(state, contact, _unpack(packed), depth=1)


def change_traits(state: State, contact: Contact, changes: dict[str, Any], *, depth: int) -> bool:
    """Set traits (None removes one) and queue the events that follow, at chain depth `depth`.

    Return False, and change nothing, if the contact's traits would exceed TRAITS_BYTES_MAX.
    """
    before = traits_of(contact)
    changed = [
        name
        for name, value in changes.items()
        if name not in ENGINE_TRAITS and not same(before.get(name), value)
    ]
    if not changed:
        return True
    after = _after(before, changes)
    packed = _pack(after)
    if len(packed) > TRAITS_BYTES_MAX:
        detail = f"The traits would take {len(packed)} bytes; a contact has at most {TRAITS_BYTES_MAX}."
        state.monitor.add(state.now_ms, "traits_too_large", detail, contact=contact.id)
        return False
    state.core.touch(contact)
    contact.traits = packed
    if state.core.wants("Contact Updated"):
        state.core.emit(contact, "Contact Updated", _pack({"changed": sorted(changed)}), depth, False)
    if "subscriptions" in changed:
        _subscriptions_changed(state, contact, before.get("subscriptions"), after.get("subscriptions"), depth)
    return True


def _after(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in changes.items() if name not in ENGINE_TRAITS}
    return {name: value for name, value in {**before, **changed}.items() if value is not None}


def same(left: object, right: object) -> bool:
    """Whether two JSON values are equal, where true is not 1 and 1 is not 1.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def _subscriptions_changed(state: State, contact: Contact, before: object, after: object, depth: int) -> None:
    old = before if isinstance(before, dict) else {}
    new = after if isinstance(after, dict) else {}
    for channel in sorted(old.keys() | new.keys()):
        if old.get(channel) != new.get(channel):
            detail = {"channel": channel, "from": old.get(channel), "to": new.get(channel)}
            state.core.emit(contact, "Subscription Changed", _pack(detail), depth, False)


def change_segments(
    state: State, contact: Contact, add: Iterable[str], remove: Iterable[str], *, depth: int
) -> int:
    """Add the contact to segments, remove it from others. Return how many memberships changed."""
    members = set(contact.segments)
    entered = [segment for segment in dict.fromkeys(add) if segment not in members]
    members.update(entered)
    removed = [segment for segment in dict.fromkeys(remove) if segment in members]
    members.difference_update(removed)
    if entered or removed:
        state.core.touch(contact)
        contact.segments = tuple(sorted(members))
    for segment in entered:
        state.core.emit(contact, "Segment Entered", _pack({"segment": segment}), depth, False)
    for segment in removed:
        state.core.emit(contact, "Segment Left", _pack({"segment": segment}), depth, False)
    return len(entered) + len(removed)


def add_points(state: State, contact: Contact, change: int, *, depth: int) -> bool:
    """Add to the points, or subtract. Return False, and change nothing, if they would leave 0 to 2⁶³ - 1."""
    points = contact.points + change
    if not 0 <= points < 1 << 63:
        return False
    if change:
        state.core.touch(contact)
        contact.points = points
        detail = {"change": change, "points": points}
        state.core.emit(contact, "Points Changed", _pack(detail), depth, False)
    return True


def alias(state: State, contact: Contact, previous_id: str) -> None:
    """Make `previous_id` an alias of the contact. The contact takes over history, frequency, runs, segments, points,
    and the traits that it does not have itself."""
    previous = state.core.registry.contact(previous_id)
    if previous is None:
        state.core.registry.lead((previous_id,), contact)
    elif previous is not contact:
        own = traits_of(contact)
        missing = {name: value for name, value in traits_of(previous).items() if name not in own}
        state.core.registry.merge(contact, previous)
        if missing:
            change_traits(state, contact, missing, depth=1)


def known(state: State, contact_id: str) -> Contact:
    """Return the contact. Raise NotFound if there is none of this id."""
    contact = state.core.registry.contact(contact_id)
    if contact is None:
        raise NotFound("no_such_contact", f"There is no contact {contact_id!r}.", named=contact_id)
    return contact


def replace_traits(state: State, contact_id: str, traits: dict[str, Any]) -> Contact:
    """Replace all traits of a contact, which is created if it does not exist. Raise Refused `traits_too_large`."""
    return _changed_or_refused(state, contact_id, traits, keep=False)


def patch_traits(state: State, contact_id: str, traits: dict[str, Any]) -> Contact:
    """Set these traits of a contact, keep its others; null removes one. Raise Refused `traits_too_large`."""
    return _changed_or_refused(state, contact_id, traits, keep=True)


def _changed_or_refused(state: State, contact_id: str, traits: dict[str, Any], *, keep: bool) -> Contact:
    """Check that the traits fit, then create the contact if need be and change it."""
    existing = state.core.registry.contact(contact_id)
    before = {} if existing is None else traits_of(existing)
    changes = traits if keep else {**dict.fromkeys(before), **traits}
    if len(_pack(_after(before, changes))) > TRAITS_BYTES_MAX:
        detail = f"A contact's traits take at most {TRAITS_BYTES_MAX} bytes."
        raise Refused("traits_too_large", detail)
    contact = state.core.contact_or_new(contact_id)
    change_traits(state, contact, changes, depth=1)
    return contact


def delete(state: State, contact_id: str) -> str:
    """End the runs of a contact and erase its data; counts stay (rule 30). Return its id, also for an alias.

    The line in the journal names the contact, so the store owes an erasure even if the contact does not exist.
    """
    state.erasures += 1
    contact = known(state, contact_id)
    walk.end_runs(state.core, contact, END_REASONS.index("deleted"))
    state.core.registry.forget(contact)
    ids = frozenset((contact.id, *contact.aliases))
    state.outbox.forget_contact(ids)
    state.dead_letters.forget_contact(ids)
    state.monitor.forget_contact(ids)
    for sweep in state.sweeps:
        if sweep.after in ids:
            place = state.core.registry.ids.bisect_left(sweep.after)
            sweep.after = state.core.registry.ids[place - 1] if place else None
    return contact.id
