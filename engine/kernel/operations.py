"""Operations on the engine: the inputs of type `control`, by name.

Each takes the state and its arguments and returns the answer, or raises Refused before it has changed anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.errors import Refused
from engine.flow.schema import parse_schema
from engine.flow.values import is_id
from engine.kernel import contacts, flows, reads
from engine.kernel.state import FlowState, State
from engine.limits import CONTACT_ID_BYTES_MAX, JSON_DEPTH_MAX, PROBLEM_DETAIL_CHARS_MAX
from engine.model import Receipt
from ext.wire.event import depth_of

Args = dict[str, Any]
Answer = dict[str, Any]


def _get(args: Args, name: str, kind: type, *, optional: bool = False) -> Any:
    value = args.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused("invalid_argument", f"`{name}` is missing or of the wrong type.")
    return value


def _flow(state: State, args: Args) -> FlowState:
    return flows.known(state, _get(args, "flow", str))


def _contact_id(args: Args) -> str:
    contact: str = _get(args, "contact", str)
    if not 0 < len(contact.encode("utf-8", "replace")) <= CONTACT_ID_BYTES_MAX:
        raise Refused("invalid_contact", f"A contact id has 1 to {CONTACT_ID_BYTES_MAX} bytes.")
    return contact


def _traits(args: Args) -> dict[str, Any]:
    traits: dict[str, Any] = _get(args, "traits", dict)
    if depth_of(msgspec.json.encode(traits)) > JSON_DEPTH_MAX:
        raise Refused("too_deep", f"Traits nest at most {JSON_DEPTH_MAX} levels deep.")
    return traits


# Flows


def launch(state: State, args: Args) -> Answer:
    """Launch `flow`: a document, or the id of the flow whose draft is to be launched."""
    if isinstance(args.get("flow"), dict):
        return flows.launch_document(state, args["flow"])
    flow = _flow(state, args)
    flows.check_revision(flow, _get(args, "revision", int, optional=True))
    return flows.launch_draft(state, flow)


def create_flow(state: State, args: Args) -> Answer:
    return reads.draft(state, flows.create(state, _get(args, "document", dict)))


def save_draft(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    revision = _get(args, "revision", int, optional=True)
    flows.save_draft(state, flow, _get(args, "document", dict), revision)
    return reads.draft(state, flow)


def start_draft(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    version = _get(args, "version", int, optional=True)
    flows.start_draft(state, flow, replace=bool(args.get("replace")), version=version)
    return reads.draft(state, flow)


def delete_draft(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    flows.check_revision(flow, _get(args, "revision", int, optional=True))
    flows.delete_draft(state, flow)
    return {"flow": flow.id, "deleted": "draft" if flow.core is not None else "flow"}


def delete_flow(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    flows.delete(state, flow)
    return {"flow": flow.id, "deleted": "flow"}


def duplicate_flow(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    new_id = _get(args, "id", str, optional=True)
    name = _get(args, "name", str, optional=True)
    return reads.draft(state, flows.duplicate(state, flow, new_id, name))


def pause(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    flows.pause(state, flow)
    return reads.flow_detail(state, flow)


def resume(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    flows.resume(state, flow)
    return reads.flow_detail(state, flow)


def schedule(state: State, args: Args) -> Answer:
    flow = _flow(state, args)
    flows.set_schedule(state, flow, args)
    return reads.flow_detail(state, flow)


# Contacts


def set_contact(state: State, args: Args) -> Answer:
    contact = contacts.replace_traits(state, _contact_id(args), _traits(args))
    return reads.contact(state, contact.id)


def patch_contact(state: State, args: Args) -> Answer:
    contact = contacts.patch_traits(state, _contact_id(args), _traits(args))
    return reads.contact(state, contact.id)


def delete_contact(state: State, args: Args) -> Answer:
    return {"contact": contacts.delete(state, _contact_id(args)), "deleted": "contact"}


def segment_add(state: State, args: Args) -> Answer:
    segment, ids = _segment(args)
    changed = [
        contacts.change_segments(state, state.core.contact_or_new(id), [segment], [], depth=1) for id in ids
    ]
    return {"segment": segment, "changed": sum(changed)}


def segment_remove(state: State, args: Args) -> Answer:
    segment, ids = _segment(args)
    existing = [contact for contact in map(state.core.registry.contact, ids) if contact is not None]
    changed = [contacts.change_segments(state, contact, [], [segment], depth=1) for contact in existing]
    return {"segment": segment, "changed": sum(changed)}


def _segment(args: Args) -> tuple[str, list[str]]:
    segment: str = _get(args, "segment", str)
    if not is_id(segment):
        detail = "A segment's id has lower-case letters, digits and dashes."
        raise Refused("invalid_segment", detail)
    ids: list[str] = _get(args, "contacts", list)
    return segment, [_contact_id({"contact": id}) for id in ids]


# The rest


def add_codes(state: State, args: Args) -> Answer:
    pool: str = _get(args, "pool", str)
    if not is_id(pool):
        detail = "A pool's id has lower-case letters, digits and dashes."
        raise Refused("invalid_pool", detail)
    return state.pools.add(pool, _get(args, "codes", list))


def receipts(state: State, args: Args) -> Answer:
    """Settle effects by their receipts (rule 18). The frequency of contacts does not change."""
    try:
        reports = msgspec.convert(_get(args, "receipts", list), list[Receipt])
    except msgspec.ValidationError as error:
        raise Refused("invalid_receipt", f"{error}.") from None
    unknown = []
    for receipt in reports:
        effect = state.outbox.settle(receipt.effect)
        if effect is None:
            unknown.append(receipt.effect)
            continue
        state.receipts[receipt.status] = state.receipts.get(receipt.status, 0) + 1
        if receipt.status != "delivered":
            detail = receipt.detail or f"The message was reported as {receipt.status}."
            if receipt.status == "failed":
                state.dead_letters.add(state.now_ms, detail[:PROBLEM_DETAIL_CHARS_MAX], effect)
            state.monitor.add(
                state.now_ms,
                "not_delivered",
                detail,
                contact=effect.contact,
                flow=effect.flow,
                node=effect.node,
            )
    return {"accepted": len(reports) - len(unknown), "unknown": unknown}


def retry(state: State, args: Args) -> Answer:
    """Move dead letters to the end of the outbox, under the same ids: those in `effects`, or all."""
    named: list[str] | None = _get(args, "effects", list, optional=True)
    ids = state.dead_letters.ids() if named is None else [str(id) for id in named]
    unknown = []
    for id in ids:
        effect = state.dead_letters.take(id)
        if effect is None:
            unknown.append(id)
            continue
        effect = msgspec.structs.replace(effect, seq=state.outbox.next_seq())
        state.outbox.add(effect)
        state.core.effects.append(effect)
    return {"accepted": len(ids) - len(unknown), "unknown": unknown}


def set_schema(state: State, args: Args) -> Answer:
    schema, problems = parse_schema(args.get("schema"))
    if schema is None:
        raise Refused("invalid_schema", problems[0].detail, problems=tuple(problems))
    state.schema = schema
    return schema.document()


def set_channels(state: State, args: Args) -> Answer:
    """Set the configured channels; a message for any other channel fails (rule 17)."""
    state.core.channels = tuple(sorted(str(name) for name in _get(args, "channels", list)))
    return {"channels": list(state.core.channels)}


OPERATIONS: dict[str, Callable[[State, Args], Answer]] = {
    "launch": launch,
    "create_flow": create_flow,
    "save_draft": save_draft,
    "start_draft": start_draft,
    "delete_draft": delete_draft,
    "delete_flow": delete_flow,
    "duplicate_flow": duplicate_flow,
    "pause": pause,
    "resume": resume,
    "schedule": schedule,
    "set_contact": set_contact,
    "patch_contact": patch_contact,
    "delete_contact": delete_contact,
    "segment_add": segment_add,
    "segment_remove": segment_remove,
    "add_codes": add_codes,
    "receipts": receipts,
    "retry": retry,
    "schema": set_schema,
    "channels": set_channels,
}
