"""Reads of a kernel: plain dicts and lists, ready for JSON. Nothing here changes the state."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.ab_test.report import VariantTotals, report
from engine.errors import NotFound, Refused
from engine.flow.document import AbTest, Flow, Launch
from engine.flow.values import format_duration
from engine.kernel import contacts, flows
from engine.kernel.state import FlowState, State
from engine.limits import SCANNED_CONTACTS_MAX
from engine.model import END_REASONS
from ext.kernel import walk
from ext.kernel.contact import Contact
from ext.kernel.run import Run, live_runs
from ext.kernel.trial_totals import TrialTotals
from ext.wire import instant

FOREVER_AGO, NEVER = -(1 << 63), (1 << 63) - 1

WHY = {
    "": "The contact may enter with its next event that matches.",
    "once": "The flow launches once for a contact, and it has been launched for this one.",
    "max": "The flow has been launched for this contact as often as its `max` allows.",
    "reserved": "The contact has a run in progress that has not launched yet; a second does not start beside it.",
    "period": "The period since the last launch is not over.",
}


def when(ms: int | None) -> str | None:
    """Return an instant as RFC 3339; None stays None."""
    return None if ms is None or ms in (FOREVER_AGO, NEVER) else instant.format(ms)


# Flows


def flow_row(state: State, flow: FlowState) -> dict[str, Any]:
    """Return a flow as a row of a list."""
    status, reason = flows.status_of(state, flow)
    shown = flow.active.document if flow.active is not None else flow.draft.document if flow.draft else {}
    return {
        "id": flow.id,
        "name": _text(shown.get("name"), flow.id),
        "folder": _text(shown.get("folder"), "main"),
        "brand": _text(shown.get("brand"), None),
        "tags": [tag for tag in _list(shown.get("tags")) if isinstance(tag, str)],
        "status": status,
        "reason": reason,
        "version": None if flow.active is None else flow.active.version,
        "launched_at": None if flow.active is None else when(flow.active.launched_ms),
        "created_at": when(flow.created_ms),
        "updated_at": when(flow.updated_ms),
        "draft": flow.draft is not None,
        "waiting": 0 if flow.core is None else sum(flow.core.waiting_by_node().values()),
        "entered": _entered(flow),
    }


def _text(value: object, otherwise: str | None) -> str | None:
    """Return a text of a draft, which may hold anything."""
    return value if isinstance(value, str) else otherwise


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _entered(flow: FlowState) -> int:
    if flow.core is None or flow.program is None:
        return 0
    return int(sum(row["entered"] for row in flow.core.stats().values()))


def flow_detail(state: State, flow: FlowState) -> dict[str, Any]:
    """Return one flow, with what it does at present."""
    core, planned = flow.core, None if flow.program is None else flow.program.flow
    return {
        **flow_row(state, flow),
        "timezone": None if planned is None else planned.timezone,
        "frequency": None if planned is None else _frequency(planned),
        "schedule": {
            "start": None if core is None else when(core.start_ms),
            "end": None if core is None else when(core.end_ms),
        },
        "versions": [version_row(version) for version in flow.versions],
        "active": None if flow.active is None else flow.active.document,
        "problems": [] if flow.draft is None else [msgspec.to_builtins(one) for one in flow.draft.problems],
    }


def _frequency(planned: Flow) -> dict[str, Any]:
    frequency = planned.frequency
    shown: dict[str, Any] = {"mode": frequency.mode}
    if frequency.every_ms is not None:
        shown["every"] = format_duration(frequency.every_ms)
    if frequency.max is not None:
        shown["max"] = frequency.max
    return shown


def version_row(version: Any) -> dict[str, Any]:
    """Return a version as a row of the history (rule 29)."""
    return {
        "version": version.version,
        "launched_at": when(version.launched_ms),
        "stopped_at": when(version.stopped_ms),
    }


def version_detail(flow: FlowState, number: int) -> dict[str, Any]:
    """Return a version with its document. Raise NotFound if there is none."""
    version = flows.version_of(flow, number)
    return {**version_row(version), "flow": flow.id, "document": version.document}


def draft(state: State, flow: FlowState) -> dict[str, Any]:
    """Return the draft with its problems. Raise NotFound if there is none."""
    if flow.draft is None:
        raise NotFound("no_draft", f"The flow {flow.id!r} has no draft.", named=flow.id)
    return {
        "flow": flow.id,
        "status": "draft" if flow.draft.problems else "ready",
        "revision": flow.draft.revision,
        "saved_at": when(flow.draft.saved_ms),
        "document": flow.draft.document,
        "problems": [msgspec.to_builtins(problem) for problem in flow.draft.problems],
    }


def stats(flow: FlowState) -> dict[str, Any]:
    """Return numbers per node, in the shape of the stats API."""
    nodes = {} if flow.core is None else flow.core.stats()
    return {"flow": flow.id, "version": None if flow.active is None else flow.active.version, "nodes": nodes}


def ab_report(state: State, flow: FlowState, node: str) -> dict[str, Any]:
    """Return the report of an A/B test of the active version (rule 22)."""
    planned = None if flow.program is None else flow.program.flow.nodes.get(node)
    if not isinstance(planned, AbTest) or flow.core is None:
        detail = f"The flow {flow.id!r} runs no A/B test {node!r}."
        raise NotFound("no_such_test", detail)
    number = flow.core.numbers[node]
    totals = [
        VariantTotals(
            variant.name,
            variant.share,
            variant.control,
            *flow.core.trials.get((number, variant.name), TrialTotals()).sums(),
        )
        for variant in planned.variants
    ]
    began_ms = flow.core.trials_began.get(number)
    found = report(
        totals, metric=planned.metric, confidence=planned.confidence, started_ms=began_ms, now_ms=state.now_ms
    )
    return {"flow": flow.id, "node": node, **found}


def runs_page(flow: FlowState, node: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return waiting runs of a flow, node by node in order of arrival, behind the cursor (`node number.arrival`)."""
    if flow.core is None:
        return {"runs": [], "cursor": None}
    core = flow.core
    numbers = range(len(core.ids)) if node is None else [core.numbers[node]] if node in core.numbers else []
    at, after = _cursor(cursor)
    found: list[Run] = []
    for number in numbers:
        if number >= at and len(found) <= limit:
            found += core.runs_waiting(number, after if number == at else 0, limit + 1 - len(found))
    page = found[:limit]
    rows = [{"run": run.id, "contact": run.contact.id, **_waiting_row(run)} for run in page]
    return {"runs": rows, "cursor": f"{page[-1].node}.{page[-1].arrival}" if len(found) > limit else None}


def _cursor(cursor: str | None) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    node, _, arrival = cursor.partition(".")
    if not (node.isdecimal() and arrival.isdecimal() and len(cursor) <= 32 and int(arrival) <= NEVER):
        raise Refused("invalid_cursor", "This is not a cursor that a list gave.")
    return int(node), int(arrival)


def _waiting_row(run: Run) -> dict[str, Any]:
    return {
        "version": run.version,
        "node": run.flow.ids[run.node],
        "entered_at": when(run.entered_ms),
        "until": when(run.due_ms),
    }


# Contacts


def contact(state: State, contact_id: str) -> dict[str, Any]:
    """Return one contact as the engine knows it."""
    found = contacts.known(state, contact_id)
    names = state.core.names.texts
    events = {names[name]: {"count": n, "last": when(last)} for name, n, last in found.events()}
    return {
        "id": found.id,
        "traits": contacts.traits_of(found),
        "segments": list(found.segments),
        "points": found.points,
        "created_at": when(found.created_ms),
        "events": dict(sorted(events.items())),
        "frequency": _marks(state, found),
        "aliases": sorted(found.aliases),
    }


def _marks(state: State, found: Contact) -> dict[str, Any]:
    marks = {}
    for number, launches, reserved, once, last in found.frequency():
        flow = state.flow_of(number)
        if flow is not None:
            marks[flow.id] = {"launches": launches, "last": when(last), "in_progress": reserved, "once": once}
    return dict(sorted(marks.items()))


def contact_runs(state: State, contact_id: str) -> list[dict[str, Any]]:
    """Return its runs, newest first: those in progress and the last ended ones."""
    found = contacts.known(state, contact_id)
    rows = [
        {"run": run.id, "flow": run.flow.id, "state": "waiting", **_waiting_row(run)}
        for run in live_runs(found)
    ]
    for run, number, version, node, entered_ms, left_ms, reason in found.ended_runs():
        flow = state.flow_of(number)
        if flow is not None and flow.core is not None:
            rows.append(
                {
                    "run": run,
                    "flow": flow.id,
                    "state": "ended",
                    "version": version,
                    "node": flow.core.ids[node],
                    "entered_at": when(entered_ms),
                    "left_at": when(left_ms),
                    "reason": END_REASONS[reason],
                }
            )
    return sorted(rows, key=lambda row: -row["run"])


def why(state: State, contact_id: str, flow: FlowState) -> dict[str, Any]:
    """Explain why the contact is, or is not, in the flow, and from when it may enter."""
    found = contacts.known(state, contact_id)
    runs = [row for row in contact_runs(state, contact_id) if row["flow"] == flow.id]
    in_flow = any(row["state"] == "waiting" for row in runs)
    may_enter, reason, until, detail = _entry(state, flow, found)
    return {
        "contact": found.id,
        "flow": flow.id,
        "in_flow": in_flow,
        "runs": runs,
        "may_enter": may_enter,
        "reason": reason,
        "until": when(until),
        "detail": detail,
    }


def _entry(state: State, flow: FlowState, found: Contact) -> tuple[bool, str | None, int | None, str]:
    status, reason = flows.status_of(state, flow)
    if flow.core is None:
        return False, status, None, "The flow has not been launched."
    if status == "paused":
        sentence = "The flow is paused." if reason == "manual" else "The flow has ended by its schedule."
        return False, reason, None, sentence
    if state.now_ms < flow.core.start_ms:
        detail = "The flow takes events from its start on."
        return False, "schedule", flow.core.start_ms, detail
    gate, until = walk.entry(state.core, flow.core, found)
    if gate:
        return False, "frequency", until, WHY[gate]
    return True, None, None, f"{WHY['']} {_asks_for(flow)}"


def _asks_for(flow: FlowState) -> str:
    assert flow.program is not None
    launch = flow.program.flow.nodes[flow.program.flow.start]
    assert isinstance(launch, Launch)
    names = " or ".join(flow.program.events) or "its schedule"
    return f"The flow launches on {names}" + (f" where {launch.where}." if launch.where else ".")


def segment_members(state: State, segment: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return ids of the contacts in a segment, in order of id, from behind the cursor on.

    So that a sparse segment does not hold the loop, a page ends after SCANNED_CONTACTS_MAX contacts and may then be
    short, or empty, with a cursor.
    """
    registry = state.core.registry
    start = registry.ids.bisect_right(cursor) if cursor else 0
    scanned = list(registry.ids.islice(start, start + SCANNED_CONTACTS_MAX))
    page: list[str] = []
    for id in scanned:
        found = registry.contact(id)
        assert found is not None, "every id belongs to a contact"
        if segment in found.segments:
            if len(page) == limit:
                return {"members": page, "cursor": page[-1]}
            page.append(id)
    return {"members": page, "cursor": scanned[-1] if len(scanned) == SCANNED_CONTACTS_MAX else None}


def dead_letters(state: State) -> list[dict[str, Any]]:
    """Return effects that failed and can be retried, the newest first."""
    return [
        {
            "effect": id,
            "at": when(kept.at),
            "channel": kept.channel,
            "contact": kept.contact,
            "flow": kept.flow,
            "node": kept.node,
            "detail": kept.detail,
        }
        for id, kept in state.dead_letters.newest_first()
    ]


def counts(state: State) -> dict[str, int]:
    """Return totals of the engine, for metrics."""
    core = state.core
    return {
        "contacts": len(core.registry.ids),
        "waiting": len(core.registry.runs),
        "runs": core.run_count,
        "events": core.event_count,
        "duplicates": core.duplicate_count,
        "cut_chains": core.queue.cut_count,
        "effects": state.outbox.last_seq,
        "effects_pending": len(state.outbox),
        "dead_letters": len(state.dead_letters),
        "flows": len(state.flows),
        "flows_active": sum(flows.status_of(state, flow)[0] == "active" for flow in state.flows.values()),
        **{f"receipts_{status}": n for status, n in sorted(state.receipts.items())},
        **{f"problems_{what}": n for what, n in sorted(state.monitor.totals.items())},
    }
