"""The way of a run: it enters, goes from node to node until it waits or ends, and leaves its wait.

A walk knows nothing of how events come in (`ext.kernel.event_path`). The actions of a step are carried out by
`ext.kernel.steps`. Dates of dynamic waits (rule 5) and openings of windows (rule 4) are asked of the callbacks.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint64_t

from ext.expressions.plan cimport Plan
from ext.kernel.contact cimport *
from ext.kernel.core cimport Core
from ext.kernel.flow cimport *
from ext.kernel.run cimport Run, acted_of, codes_of, live_runs, run_key_of, set_rare
from ext.kernel.steps cimport act
from ext.maps.packed_map cimport Kept, share

from engine.model import END_REASONS

cdef enum:
    RUNS_AHEAD = 4  # entries after which a run finds its slot in the table fetched

# What comes after a wait, where it is not the number of a node.
cdef enum:
    NOWHERE = -1    # the run ends
    STAYS = -2      # the run waits now
    DATELESS = -3   # the wait has no date, and no edge for that

# Why an entry is refused, by number of the gate; the first is "may enter".
GATES = ("", "once", "max", "reserved", "period")


cdef int32_t _doomed_of(FlowCore flow, Contact contact) noexcept:
    """Count the runs of a contact that reserve a launch no longer: they were removed, but have not ended yet."""
    cdef int32_t doomed = 0
    cdef void* at = contact.runs
    while at != NULL:
        if (<Run>at).flow is flow and not (<Run>at).counted and (<Run>at).arrival <= flow.doom[(<Run>at).node]:
            doomed += 1
        at = (<Run>at).next_of_contact
    return doomed


cdef bint _acted_at(Run run, int32_t no) noexcept:
    """Whether a run has carried out the step of this number."""
    cdef bytes acted = acted_of(run)
    cdef const int32_t* steps
    cdef Py_ssize_t i
    if acted is None:
        return False
    steps = <const int32_t*>PyBytes_AS_STRING(acted)
    for i in range(PyBytes_GET_SIZE(acted) // <Py_ssize_t>sizeof(int32_t)):
        if steps[i] == no:
            return True
    return False


cdef str _shared_name(FlowCore flow, str name):
    """Return the flow's own object for the name of an event that launches it: a million runs share it."""
    for known in flow.events:
        if known == name:
            return <str>known
    return name


cdef int64_t gate(Core core, FlowCore flow, Contact contact, int64_t* until) except -2:
    """Return OPEN if the frequency of a flow admits a contact now, else the gate that refuses it (rules 12 to 15).

    Where the period decides, `until` becomes the instant in ms from which the contact may enter."""
    cdef Mark* mark = mark_of(contact, flow.no)
    if mark == NULL:
        return OPEN
    if mark.once or (flow.mode == MODE_ONCE and mark.launches > 0):
        return GATE_ONCE
    if flow.max_launches >= 0 and mark.launches >= flow.max_launches:
        return GATE_MAX
    if mark.reserved > 0 and (flow.mode != MODE_EVERY_TIME or flow.max_launches >= 0):
        if mark.reserved > _doomed_of(flow, contact):
            return GATE_RESERVED
    if flow.mode == MODE_PERIODICALLY and mark.launches > 0 and core.now_ms < mark.last_ms + flow.every_ms:
        until[0] = mark.last_ms + flow.every_ms
        return GATE_PERIOD
    return OPEN


def entry(Core core not None, FlowCore flow not None, Contact contact not None):
    """Return `(gate that refuses an entry now or "", ms from which it may enter or None)`, for `why`."""
    cdef int64_t until = INT64_MIN
    cdef int64_t refusing = gate(core, flow, contact, &until)
    return GATES[refusing], None if until == INT64_MIN else until


cdef int enter(
    Core core, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, str key
) except -1:
    """Begin a run and walk it until it waits or ends. `name`: of the event that launched it; None: a schedule did."""
    cdef Run run = Run.__new__(Run)
    cdef dict detail = None
    core.run_count += 1
    run.id = core.run_count
    core.registry.runs.prefetch(run.id + RUNS_AHEAD)
    run.contact = contact
    run.flow = flow
    run.version = flow.version
    run.node = -1
    run.entered_ms = core.now_ms
    run.logical_ms = ms
    run.due_ms = INT64_MIN
    run.depth = depth
    run.event_name = _shared_name(flow, name)
    run.event_ms = ms
    run.event = share(event)
    if key is not None:
        set_rare(run, None, None, key)
    mark_or_new(contact, flow.no).reserved += 1
    flow.counters(flow.launch.no)[ARRIVED] += 1
    if core.recorder.trace is not None:
        detail = {"schedule": ms} if name is None else {"event": name}
    core.recorder.note(flow, run.id, contact, flow.launch.no, ENTERED, ms, detail)
    return _advance(core, run, flow.launch.no, flow.launch.next)


cdef int _advance(Core core, Run run, int32_t at, int32_t no) except -1:
    """Walk from node `at` to node `no` and on, until the run waits or ends. Flows have no circles, so it does."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef Contact contact = run.contact
    cdef NodeCore node
    cdef int64_t* counts
    cdef int truth
    cdef bint passed
    while no >= 0:
        node = <NodeCore>flow.nodes[no]
        counts = flow.counters(no)
        counts[ARRIVED] += 1
        at = no
        if node.code == KIND_CONDITION:
            core.see(contact, run.event_name, run.event_ms, run.event)
            truth = node.plan.run(core.view)
            counts[TRUE if truth == 1 else FALSE] += 1
            core.recorder.note(flow, run.id, contact, no, CONDITION, truth == 1, _condition_detail(core, node.plan, truth))
            no = node.next if truth == 1 else node.other
        elif node.code == KIND_STEP:
            no = node.next
            _step(core, run, node)
        elif node.code == KIND_WAIT:
            no = _arrive_at_wait(core, run, node)
            if no == STAYS:
                return 0
            if no == DATELESS:
                return finish(core, run, at, NO_DATE)
        elif node.code == KIND_LIMIT:
            passed = node.passages.pass_(core.now_ms)
            core.recorder.note(
                flow, run.id, contact, no, PASSED if passed else OVER, 0,
                {"count": node.passages.count(core.now_ms)} if core.recorder.trace is not None else None,
            )
            no = node.next if passed else node.other
            if not passed and no < 0:
                return finish(core, run, at, LIMIT_REACHED)
        else:
            no = _branch(core, run, node)
    return finish(core, run, at, COMPLETED)


cdef dict _condition_detail(Core core, Plan plan, int truth):
    """Return why a condition came out as it did (rule 20), None where no trace is wanted."""
    if core.recorder.trace is None:
        return None
    if truth == -1:
        return {"result": False, "error": plan.error}
    return {"result": truth == 1}


cdef int _step(Core core, Run run, NodeCore node) except -1:
    """Carry out a step, or let it expire (rules 3, 12, 16). The first step that counts is the launch (rule 13).

    A step acts once for each run: one that an edit puts in its way again is skipped without a record."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef Mark* mark
    cdef int32_t what
    cdef bytes acted
    cdef list entries = None if core.recorder.trace is None else []
    if _acted_at(run, node.no):
        return 0
    if node.relevance_ms >= 0 and core.now_ms > run.logical_ms + node.relevance_ms:
        core.recorder.note(flow, run.id, run.contact, node.no, EXPIRED, 0, None)
        return 0
    what = act(core, run, node, entries)
    acted = acted_of(run)
    set_rare(run, node.acted if acted is None else acted + node.acted, codes_of(run), run_key_of(run))
    core.recorder.note(flow, run.id, run.contact, node.no, what, 0, None if entries is None else {"actions": entries})
    if what == EXECUTED or what == NOT_SENT:
        mark = mark_or_new(run.contact, flow.no)
        if not run.counted:
            run.counted = True
            mark.reserved -= 1
            mark.launches += 1
        mark.last_ms = core.now_ms
        if flow.mode == MODE_ONCE:
            mark.once = True
    return 0


cdef int32_t _branch(Core core, Run run, NodeCore node) except -2:
    """Return the number of the node behind the branch that is drawn (split) or assigned (A/B test) (rule 21)."""
    cdef int64_t id = run.id
    cdef int i = node.drawn(<const char*>&id, 8) if node.code == KIND_SPLIT else _variant(core, run, node)
    (<FlowCore>run.flow).taken[node.taken[i]] += 1
    core.recorder.note(
        <FlowCore>run.flow, run.id, run.contact, node.no, BRANCH, node.uppers[i],
        {"name": node.branches[i]} if core.recorder.trace is not None else None,
    )
    return node.targets[i]


cdef int _variant(Core core, Run run, NodeCore node) except -1:
    """Return the index of the contact's variant of an A/B test; at its first arrival one is drawn for ever."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef int64_t place = (<int64_t>flow.no << 32) | node.no
    cdef Py_ssize_t length = 0
    cdef const char* text = PyUnicode_AsUTF8AndSize(run.contact.id, &length)
    cdef dict trials = trials_of(run.contact)
    cdef Trial trial = None if trials is None else trials.get(place)
    cdef int i
    if trial is not None and trial.variant in node.branches:
        return node.branches.index(trial.variant)
    i = node.drawn(text, length)
    set_trial(run.contact, place, Trial(node.branches[i], core.now_ms, 0, 0))
    flow.count_trial(node, node.branches[i], core.now_ms)
    return i


cdef int _arrive_at_wait(Core core, Run run, NodeCore node) except? -1:
    """Compute the end of a wait, and let the run wait for it unless it is past (rules 2, 4, 5, 6).

    Return the number of the node to go on to, NOWHERE, STAYS or DATELESS."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef int64_t end = run.logical_ms + node.for_ms
    if node.plan is not None:
        core.see(run.contact, run.event_name, run.event_ms, run.event)
        date = core.callbacks.date_of(run, node, core.view)
        if date is None:
            return node.other if node.other >= 0 else DATELESS
        end = date
    if node.windows:
        end = core.callbacks.opening(run.contact, flow, node.windows, max(end, core.now_ms))
    core.recorder.note(flow, run.id, run.contact, node.no, WAITING, end, {"until": end} if core.recorder.trace is not None else None)
    if node.matches and _heard_before(core, run, node):
        flow.counters(node.no)[TRUE] += 1
        return node.next
    if end <= core.now_ms:
        run.logical_ms = end
        return _timed_out(core, flow, node)
    run.node = node.no
    core.registry.arm(run, end)
    core.registry.attach(run)
    return STAYS


cdef int32_t _timed_out(Core core, FlowCore flow, NodeCore node) except -3:
    """Return the node behind a wait that is over: by `else` if the event it was for did not come."""
    if not node.matches:
        return node.next
    flow.counters(node.no)[FALSE] += 1
    return node.other


cdef int leave_by_event(Core core, Run run, int32_t depth) except -1:
    """Let a run go on because the event it waited for has come, within the chain that the event belongs to."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef int32_t at = run.node
    if not flow.runs_at(core.now_ms):
        return core.registry.keep_held(flow, run) if flow.hold else finish(core, run, at, STOPPED)
    run.logical_ms = run.due_ms
    run.depth = depth
    core.registry.detach(run)
    flow.counters(at)[TRUE] += 1
    run.satisfied = False
    return _advance(core, run, at, (<NodeCore>flow.nodes[at]).next)


cdef int leave(Core core, Run run, int64_t due) except -1:
    """Let a run go on because its wait has ended. Its timer is out of the wheel already."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef NodeCore node
    cdef int64_t opens
    core.registry.touch(run.contact)
    run.armed = False
    if run.arrival <= flow.doom[run.node]:
        return finish(core, run, run.node, flow.doom_reason[run.node])
    node = <NodeCore>flow.nodes[run.node]
    if run.satisfied:
        return leave_by_event(core, run, 0)
    if not flow.runs_at(due):
        if flow.hold:
            if not flow.runs_at(core.now_ms):
                return core.registry.keep_held(flow, run)
        else:
            return finish(core, run, node.no, STOPPED)
    if node.windows and core.now_ms > due:
        opens = core.callbacks.opening(run.contact, flow, node.windows, core.now_ms)
        if opens > core.now_ms:
            core.recorder.note(
                flow, run.id, run.contact, node.no, WAITING, opens,
                {"until": opens} if core.recorder.trace is not None else None,
            )
            core.registry.arm(run, opens)
            return 0
    run.logical_ms = due
    run.depth = 0
    core.registry.detach(run)
    return _advance(core, run, node.no, _timed_out(core, flow, node))


cdef int finish(Core core, Run run, int32_t node, int32_t reason) except -1:
    """End a run. A launch that it had only reserved is given back (rule 14)."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef Contact contact = run.contact
    flow.counters(node)[WHATS_END + reason] += 1
    core.recorder.note(
        flow, run.id, contact, node, LEFT, reason, {"reason": END_REASONS[reason]} if core.recorder.trace is not None else None
    )
    if not run.counted:
        mark_or_new(contact, flow.no).reserved -= 1
    if run.waiting:
        core.registry.detach(run)
    add_ended(
        contact,
        Ended(
            run=run.id,
            entered_ms=run.entered_ms,
            left_ms=core.now_ms,
            flow=flow.no,
            node=node,
            version=run.version,
            reason=reason,
        ),
    )
    return 0


cdef int refuse(Core core, FlowCore flow, Contact contact, dict detail) except -1:
    """Record that a contact was refused (rule 13)."""
    core.recorder.note(flow, 0, contact, flow.launch.no, REFUSED, detail.get("until", 0), detail)
    return 0


cdef bint _heard_before(Core core, Run run, NodeCore node) except -1:
    """Whether the event a run waits for came between its entry and its arrival at the wait.

    History keeps no properties, so `where` has to speak of the contact alone. With `run_key` history cannot tell one
    key's events from another's, so the event has to come again."""
    cdef FlowCore flow = <FlowCore>run.flow
    cdef int64_t last
    cdef object number
    cdef bint came = not node.match_events
    if node.match_sees_event or (node.match_events and flow.run_key is not None):
        return False
    for name in node.match_events:
        number = core.names.get(name)
        if number is not None:
            last = last_of(run.contact, number)
            if last > run.event_ms or (last == run.event_ms and name != run.event_name):
                came = True
    if not came or node.match_where is None:
        return came
    core.see(run.contact, run.event_name, run.event_ms, run.event)
    return node.match_where.run(core.view) == 1


def end_runs(Core core not None, Contact contact not None, int32_t reason):
    """End all runs of a contact, with the number of a reason (rule 30)."""
    cdef Run run
    core.registry.touch(contact)
    for run in live_runs(contact):
        core.registry.disarm(run)
        finish(core, run, run.node, reason)
