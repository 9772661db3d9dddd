"""The life of a flow: draft, launch, versions, pause, schedule (rules 9, 24 to 29).

A document is checked whenever it is saved and once more when it is launched, because the schema may have
changed in between. What runs is `ext.kernel.core.FlowCore`; what is shown is kept in `FlowState`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import Conflict, NotFound, Problem, Refused
from engine.flow.document import Launch, ScheduleTrigger
from engine.flow.occurrences import next_occurrence
from engine.flow.program import plan
from engine.flow.schema import parse_schema
from engine.flow.validate import check
from engine.flow.values import is_id
from engine.flow.zone import zone
from engine.kernel import fast_actions
from engine.kernel.state import FlowDraft, FlowState, State, Version
from engine.limits import FLOWS_MAX, REAPED_PER_BATCH_MAX, VERSIONS_PER_FLOW_MAX
from engine.model import END_REASONS
from ext.kernel import batch
from ext.kernel.flow import FlowCore
from ext.structures.siphash import siphash24
from ext.wire import instant

NOT_PAUSED = (1 << 63) - 1
IMPACT_CONTACTS_MAX = 1_000


def salt_of(key: bytes, flow: str, node: str) -> bytes:
    """Return the 16 bytes that belong to a node for ever: edits keep it, another flow's node has another (rule 21)."""
    place = flow.encode() + b"\0" + node.encode()
    halves = (siphash24(key, prefix + place).to_bytes(8, "little") for prefix in (b"salt-a\0", b"salt-b\0"))
    return b"".join(halves)


def known(state: State, flow_id: object) -> FlowState:
    """Return the flow. Raise NotFound if there is none of this id."""
    flow = state.flows.get(flow_id) if isinstance(flow_id, str) else None
    if flow is None:
        raise NotFound("no_such_flow", f"There is no flow {flow_id!r}.", named=str(flow_id))
    return flow


def status_of(state: State, flow: FlowState) -> tuple[str, str | None]:
    """Return `(status, reason)` of rule 24. A launched flow past its end counts as paused, `schedule_end`."""
    if flow.core is None:
        return ("draft" if flow.draft is None or flow.draft.problems else "ready"), None
    if flow.core.ending():
        return "launching", None
    if flow.core.paused_ms != NOT_PAUSED:
        return "paused", "manual"
    if state.now_ms >= flow.core.end_ms:
        return "paused", "schedule_end"
    return "active", None


# Drafts


def create(state: State, document: dict[str, Any]) -> FlowState:
    """Create a flow with this document as its draft; problems do not hinder that, only an unusable id does."""
    flow_id = document.get("id")
    if not isinstance(flow_id, str) or not is_id(flow_id):
        problem = Problem(
            "", "/id", "invalid_id", "A flow needs an id of lower-case letters, digits and dashes."
        )
        raise Refused("invalid_flow", problem.detail, problems=(problem,))
    if flow_id in state.flows:
        detail = f"There is a flow {flow_id!r} already."
        raise Conflict("flow_exists", detail, remedy="Edit its draft, or choose another id.")
    if len(state.flows) >= FLOWS_MAX:
        raise Conflict("too_many_flows", f"An engine holds at most {FLOWS_MAX} flows.")
    flow = FlowState(flow_id, state.now_ms, state.now_ms)
    _save(state, flow, document)
    state.flows[flow_id] = flow
    return flow


def save_draft(state: State, flow: FlowState, document: dict[str, Any], revision: int | None) -> None:
    """Keep what was typed, whatever is wrong with it (rule 24)."""
    if flow.draft is None:
        raise Conflict("no_draft", f"The flow {flow.id!r} has no draft.", named=flow.id)
    check_revision(flow, revision)
    if document.get("id") != flow.id:
        problem = Problem(
            "", "/id", "id_changed", f"The id of this flow is {flow.id!r} and cannot be changed."
        )
        raise Refused("id_changed", problem.detail, problems=(problem,))
    _save(state, flow, document)


def check_revision(flow: FlowState, revision: int | None) -> None:
    """Raise Refused `stale_revision` if `revision` is given and is not the draft's."""
    if revision is not None and flow.draft is not None and revision != flow.draft.revision:
        detail = f"The draft was saved by somebody else meanwhile (revision {flow.draft.revision})."
        raise Refused("stale_revision", detail, remedy="Read it again and repeat your change.")


def _save(state: State, flow: FlowState, document: dict[str, Any]) -> None:
    problems = check(document, state.schema).problems
    state.frozen.touch(flow)
    flow.revisions += 1
    flow.updated_ms = state.now_ms
    flow.draft = FlowDraft(document, flow.revisions, state.now_ms, problems)


def start_draft(state: State, flow: FlowState, *, replace: bool, version: int | None = None) -> None:
    """Begin to edit a launched flow: a copy of the active version, or of an old one to restore (rule 25)."""
    if flow.active is None:
        detail = f"The flow {flow.id!r} was never launched, so its draft is all there is."
        raise Conflict("not_launched", detail, remedy="Save the draft, or launch it.")
    if flow.draft is not None and not replace:
        raise Conflict("draft_exists", f"The flow {flow.id!r} has a draft already.", named=flow.id)
    source = flow.active if version is None else version_of(flow, version)
    _save(state, flow, source.document)


def version_of(flow: FlowState, number: int) -> Version:
    """Return a launched version. Raise NotFound if there is none of this number."""
    for version in flow.versions:
        if version.version == number:
            return version
    raise NotFound("no_such_version", f"The flow {flow.id!r} has no version {number}.")


def delete_draft(state: State, flow: FlowState) -> None:
    """Throw the draft away; a flow never launched goes with it."""
    if flow.draft is None:
        raise NotFound("no_draft", f"The flow {flow.id!r} has no draft.", named=flow.id)
    state.frozen.touch(flow)
    flow.draft = None
    flow.updated_ms = state.now_ms
    if flow.core is None:
        del state.flows[flow.id]


def duplicate(state: State, flow: FlowState, new_id: str | None, name: str | None) -> FlowState:
    """Copy a flow as a draft of its own: new id, hence new salts, no history (rules 15, 21)."""
    source = flow.active.document if flow.active is not None else flow.draft.document if flow.draft else {}
    document = dict(source)
    document["id"] = new_id if new_id is not None else _free_id(state, flow.id)
    document["name"] = name if name is not None else f"{source.get('name', flow.id)} (copy)"
    return create(state, document)


def _free_id(state: State, flow_id: str) -> str:
    for number in range(1, FLOWS_MAX + 2):
        suffix = "-copy" if number == 1 else f"-copy-{number}"
        found = flow_id[: 64 - len(suffix)] + suffix
        if found not in state.flows:
            return found
    raise AssertionError("more copies than flows")


def delete(state: State, flow: FlowState) -> None:
    """Take a flow out, its runs ended as `deleted`."""
    if status_of(state, flow)[0] in ("active", "launching"):
        detail = f"The flow {flow.id!r} is active."
        raise Conflict("flow_active", detail, remedy="Pause it first.")
    state.frozen.touch(flow)
    if flow.core is not None:
        batch.remove_flow(state.core, flow.core, END_REASONS.index("deleted"))
        batch.reap(state.core, REAPED_PER_BATCH_MAX)
    state.sweeps = [sweep for sweep in state.sweeps if sweep.flow != flow.id]
    del state.flows[flow.id]


# Launching


def launch_draft(state: State, flow: FlowState) -> dict[str, Any]:
    """Make the draft the active version (rule 25); the same figures as `impact`."""
    if flow.draft is None:
        detail = f"The flow {flow.id!r} has no draft to launch."
        raise Conflict("no_draft", detail, remedy="Start one, or resume the flow.")
    answer = launch_document(state, flow.draft.document, flow)
    flow.draft = None
    return answer


def launch_document(state: State, document: dict[str, Any], flow: FlowState | None = None) -> dict[str, Any]:
    """Launch a document at once: as a new flow, or as the next version of the flow with its id."""
    checked = check(document, state.schema)
    if checked.flow is None or checked.problems:
        detail = f"The flow has {len(checked.problems)} problem(s), the first: {checked.problems[0].detail}"
        raise Refused("flow_has_problems", detail, problems=checked.problems)
    if flow is None:
        flow = state.flows.get(checked.flow.id)
    if flow is None:
        flow = create(state, document)
        flow.draft = None
    if len(flow.versions) >= VERSIONS_PER_FLOW_MAX:
        detail = f"A flow has at most {VERSIONS_PER_FLOW_MAX} versions."
        raise Conflict("too_many_versions", detail, remedy="Duplicate it and go on with the copy.")
    state.frozen.touch(flow)
    if flow.active is not None:
        flow.active.stopped_ms = state.now_ms
    number = 1 if flow.active is None else flow.active.version + 1
    flow.versions.append(Version(number, document, state.schema.document(), state.now_ms))
    flow.updated_ms = state.now_ms
    removed = _run_version(state, flow)
    assert flow.core is not None
    stays = flow.core.waiting_by_node()
    status, reason = status_of(state, flow)
    return {
        "flow": flow.id,
        "version": number,
        "status": status,
        "reason": reason,
        "stay": {"total": sum(stays.values()), "nodes": stays},
        "removed": removed,
    }


def _run_version(state: State, flow: FlowState) -> dict[str, Any]:
    """Install the newest version, doom the runs whose wait is gone from it (rule 27)."""
    core = flow.core
    if core is None:
        core = FlowCore(state.flow_numbers, flow.id)
        state.flow_numbers += 1
        state.core.add_flow(core)
    gone = install(state, flow, core)
    state.core.plan()
    removed = _count_removed(core, gone)
    for node in gone:
        batch.end_runs_at(state.core, core, node, END_REASONS.index("removed"))
    batch.reap(state.core, REAPED_PER_BATCH_MAX)
    core.paused_ms = NOT_PAUSED
    plan_occurrence(state, flow)
    return removed


def install(state: State, flow: FlowState, core: FlowCore) -> list[int]:
    """Plan the newest version and install it; `Core.plan` has to follow. Return the numbers of waits gone from it."""
    assert flow.active is not None
    schema, _ = parse_schema(flow.active.schema)
    assert schema is not None
    checked = check(flow.active.document, schema)
    assert checked.flow is not None, f"version {flow.active.version} of {flow.id} no longer passes its check"
    program = plan(checked.flow, schema)
    gone: list[int] = core.install(
        program, flow.active.version, lambda f, n: salt_of(state.core.key, f, n), fast_actions.deeds_of
    )
    flow.core = core
    flow.program = program
    return gone


def plan_occurrence(state: State, flow: FlowState, from_ms: int | None = None) -> None:
    """Find the next occurrence of a scheduled launch (rule 11), at or after `from_ms` (None: now); none a second
    time."""
    flow.next_ms = None
    if flow.program is None:
        return
    launch = flow.program.flow.nodes[flow.program.flow.start]
    assert isinstance(launch, Launch)
    if isinstance(launch.trigger, ScheduleTrigger):
        after = state.now_ms if from_ms is None else from_ms
        if flow.occurred_ms is not None:
            after = max(after, flow.occurred_ms + 1)
        flow.next_ms = next_occurrence(launch.trigger, zone(flow.program.flow.timezone), after)


def _count_removed(core: FlowCore, gone: list[int]) -> dict[str, Any]:
    """Count the runs that wait at each node, with the first contacts among them, in order of arrival."""
    waiting = core.waiting_by_node()
    runs = (run for node in gone for run in core.runs_waiting(node, 0, IMPACT_CONTACTS_MAX))
    contacts = (run.contact.id for run in runs)
    nodes = {core.ids[node]: waiting[core.ids[node]] for node in gone}
    return {
        "total": sum(nodes.values()),
        "nodes": nodes,
        "contacts": list(dict.fromkeys(contacts))[:IMPACT_CONTACTS_MAX],
    }


def impact(state: State, flow: FlowState) -> dict[str, Any]:
    """Return what launching the draft would do to waiting runs (rule 26). Changes nothing."""
    if flow.draft is None:
        raise Conflict("no_draft", f"The flow {flow.id!r} has no draft to launch.", named=flow.id)
    nodes = flow.draft.document.get("nodes")
    kinds = (
        {id: node.get("kind") for id, node in nodes.items() if isinstance(node, dict)}
        if isinstance(nodes, dict)
        else {}
    )
    core = flow.core
    stays: dict[str, int] = {}
    gone: list[int] = []
    if core is not None:
        for id, waiting in core.waiting_by_node().items():
            if kinds.get(id) == "wait":
                stays[id] = waiting
            else:
                gone.append(core.numbers[id])
    return {
        "flow": flow.id,
        "version": 1 if flow.active is None else flow.active.version + 1,
        "problems": [msgspec.to_builtins(problem) for problem in flow.draft.problems],
        "stay": {"total": sum(stays.values()), "nodes": stays},
        "removed": {"total": 0, "nodes": {}, "contacts": []} if core is None else _count_removed(core, gone),
    }


# While it runs


def _launched(flow: FlowState) -> FlowCore:
    if flow.core is None:
        detail = f"The flow {flow.id!r} has not been launched."
        raise Conflict("not_launched", detail, remedy="Launch it first.")
    return flow.core


def pause(state: State, flow: FlowState) -> None:
    """Stop entries, and let no wait end into a step (rule 28). Pausing a paused flow changes nothing."""
    core = _launched(flow)
    if core.paused_ms == NOT_PAUSED:
        state.frozen.touch(flow)
        core.paused_ms = state.now_ms
        flow.updated_ms = state.now_ms


def resume(state: State, flow: FlowState) -> None:
    """Take entries again; runs held meanwhile leave. Resuming a running flow changes nothing."""
    core = _launched(flow)
    if core.paused_ms != NOT_PAUSED:
        state.frozen.touch(flow)
        core.paused_ms = NOT_PAUSED
        flow.updated_ms = state.now_ms
        plan_occurrence(state, flow)


def set_schedule(state: State, flow: FlowState, args: dict[str, Any]) -> None:
    """Shift `start` or `end` (rule 9): an instant, null for none; what is not given stays as it is."""
    core = _launched(flow)
    start = _instant(args, "start") if "start" in args else core.start_ms
    end = _instant(args, "end") if "end" in args else core.end_ms
    start = None if start == -NOT_PAUSED - 1 else start
    end = None if end == NOT_PAUSED else end
    if start is not None and end is not None and start >= end:
        raise Refused("invalid_schedule", "The end has to come after the start.")
    state.frozen.touch(flow)
    core.set_schedule(start, end)
    flow.updated_ms = state.now_ms


def _instant(args: dict[str, Any], key: str) -> int | None:
    value = args[key]
    if value is None:
        return None
    try:
        return instant.parse(value)
    except (TypeError, ValueError):
        detail = f"`{key}` is an instant with an offset, such as 2026-12-01T00:00:00Z, or null."
        raise Refused("invalid_instant", detail) from None
