"""Preparation of the actions that run without Python (`ext.kernel.steps`).

An action qualifies if it holds no template and its effect on a contact follows from a few fields of the contact. Promo
codes come from pools, and subscriptions have events of their own: both stay in `engine.kernel.actions`. So does an
action that turns out to be unusual when the step runs.
"""

from __future__ import annotations

import msgspec

from engine.flow.document import ChangeSegments, Emit, Points, Send, UpdateCustomer
from engine.flow.program import PlannedAction, PlannedNode
from engine.kernel.actions import ADDRESS_TRAIT, is_empty, number_of
from engine.limits import MESSAGE_BYTES_MAX
from engine.model import STANDING_TRAITS
from ext.kernel.fast_action import Deed
from ext.kernel.trait_edits import EDITS_MAX, Edits

NAME_BYTES_MAX = 255
WHOLE_MIN, WHOLE_MAX = -(1 << 63), (1 << 63) - 1

_pack = msgspec.msgpack.Encoder().encode


def deeds_of(planned: PlannedNode) -> tuple[Deed, ...]:
    """Return the actions of a step, prepared; an empty tuple for any other node."""
    return tuple(deed_of(planned.id, place, action) for place, action in enumerate(planned.actions))


def deed_of(node: str, place: int, planned: PlannedAction) -> Deed:
    """Return the action at a place of a step, prepared."""
    action = planned.action
    deed = for_python(node, place, planned)
    if not planned.filled:
        return deed
    if isinstance(action, Send):
        return deed.send(
            action.channel,
            planned.body,
            node,
            address=ADDRESS_TRAIT.get(action.channel),
            transactional=action.transactional,
            empty=is_empty(planned.body),
        )
    if isinstance(action, Points) and type(planned.body) is int and WHOLE_MIN < planned.body <= WHOLE_MAX:
        return deed.points(planned.body)
    if isinstance(action, ChangeSegments):
        return deed.segment(action.add, action.remove)
    if isinstance(action, UpdateCustomer) and (edits := _edits_of(action)) is not None:
        return deed.update(edits)
    if isinstance(action, Emit) and len(packed := _pack(planned.body)) <= MESSAGE_BYTES_MAX:
        return deed.emit(action.event, packed)
    return deed


def for_python(node: str, place: int, planned: PlannedAction) -> Deed:
    """Return any action as one that runs in Python."""
    channel = {"channel": planned.action.channel} if isinstance(planned.action, Send) else {}
    return Deed(place, {"action": planned.verb, **channel})


def _edits_of(action: UpdateCustomer) -> Edits | None:
    """Return the trait edits of this action, or None if it has other effects or exceeds the bounds."""
    changes = {**action.set, **dict.fromkeys(action.unset)}
    sums = {name: number_of(by) for name, by in action.increment.items()}
    names = changes.keys() | sums.keys()
    if len(changes) + len(sums) > EDITS_MAX or len(names) < len(changes) + len(sums):
        return None
    if names & STANDING_TRAITS or any(len(name.encode()) > NAME_BYTES_MAX for name in names):
        return None
    if not all(
        type(by) is float or (type(by) is int and WHOLE_MIN <= by <= WHOLE_MAX) for by in sums.values()
    ):
        return None
    return Edits(changes, sums)


__all__ = ["deed_of", "deeds_of", "for_python"]
