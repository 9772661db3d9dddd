"""Batches: the beginning of one, its timers, its events; and runs that end or go on in slices.

Timers fire by (due, run id) before the inputs of a batch. Then runs that a launch removed are ended, then held runs of
flows that go on leave. Each is bounded for a batch, so that none holds the loop for long.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t, uint8_t

from ext.kernel.contact cimport Contact
from ext.kernel.core cimport Core
from ext.kernel.event_path cimport drain, take_event, try_enter
from ext.kernel.flow cimport FlowCore
from ext.kernel.run cimport Run
from ext.kernel.walk cimport finish, leave
from ext.structures.siphash cimport siphash24_c
from ext.wire.event cimport Event

# How many events ahead each part of an event's memory is fetched.
cdef enum:
    AHEAD_SLOTS = 16
    AHEAD_CONTACT = 11
    AHEAD_PARTS = 6

cdef enum:
    REAPED_AT_ONCE = 256   # runs taken off a node's list at a time


cpdef int open_batch(Core core, int64_t now_ms, Py_ssize_t timers_max, Py_ssize_t reaped_max) except -1:
    """Begin a batch at `now_ms`: due timers first, then runs that a launch removed, then held ones."""
    core.begin(now_ms)
    fire(core, timers_max)
    if core.registry.dooms:
        reap(core, reaped_max)
    if core.registry.holding:
        release_held(core, timers_max)
    return 0


cpdef Py_ssize_t fire(Core core, Py_ssize_t limit) except -1:
    """Let runs whose waits have ended go on, in (due, run id) order; return how many, at most `limit`."""
    cdef int64_t due = 0
    cdef int64_t id = 0
    cdef Py_ssize_t fired = 0
    # One at a time: what a run does may take another, due at the same instant, out of its wait.
    while fired < limit and core.registry.wheel.expire_into(core.now_ms, 1, &due, &id) == 1:
        leave(core, core.registry.run_of(id), due)
        drain(core)
        fired += 1
    return fired


cpdef Py_ssize_t take_events(Core core, list inputs, Py_ssize_t start) except -1:
    """Process inputs from `start` up to the first that is not an event. Return its index.

    With a million contacts an event costs mostly waiting for memory: its contact's slot, the contact, the contact's
    parts. The events of a batch are known beforehand, so each one's memory is prefetched while those before it are
    processed, one of these three at a time. No decision depends on what was prefetched.
    """
    cdef Py_ssize_t at = start
    cdef Py_ssize_t end = len(inputs)
    for at in range(start, min(start + AHEAD_SLOTS, end)):
        _fetch_slots(core, inputs[at])
    at = start
    while at < end and type(inputs[at]) is Event:
        if at + AHEAD_SLOTS < end:
            _fetch_slots(core, inputs[at + AHEAD_SLOTS])
        if at + AHEAD_CONTACT < end:
            _fetch_contact(core, inputs[at + AHEAD_CONTACT])
        if at + AHEAD_PARTS < end:
            _fetch_parts(core, inputs[at + AHEAD_PARTS])
        take_event(core, <Event>inputs[at])
        if core.queue.waiting:
            drain(core)
        at += 1
    return at


cdef int _fetch_slots(Core core, object given) except -1:
    """Compute the hashes of an event's contact and message, and prefetch their slots."""
    cdef Event event
    if type(given) is not Event:
        return 0
    event = <Event>given
    event.contact_hash = core.registry.contacts.hash_of(event.contact_id.at, event.contact_id.size)
    core.registry.contacts.prefetch(event.contact_hash)
    if event.message.size:
        event.fingerprint = siphash24_c(
            <const uint8_t*>PyBytes_AS_STRING(core.key), <const uint8_t*>event.message.at, event.message.size
        )
        core.recent.prefetch(event.fingerprint, AHEAD_SLOTS)
    return 0


cdef int _fetch_contact(Core core, object given) except -1:
    """Prefetch the contact of an event."""
    if type(given) is Event:
        core.registry.contacts.prefetch_contact((<Event>given).contact_hash)
    return 0


cdef int _fetch_parts(Core core, object given) except -1:
    """Prefetch what an event's contact points to."""
    if type(given) is Event:
        core.registry.contacts.prefetch_parts((<Event>given).contact_hash)
    return 0


def remove_flow(Core core not None, FlowCore flow not None, int32_t reason):
    """Remove a flow. Its runs end with the number of a reason, and with the last one it is gone."""
    flow.dead = True
    for no in range(len(flow.ids)):
        end_runs_at(core, flow, no, reason)
    core.plan()
    if not flow.ending():
        del core.registry.flows[flow.no]


def end_runs_at(Core core not None, FlowCore flow not None, int32_t node, int32_t reason):
    """Mark every run that is at a node now as doomed: it takes no further step, and `reap` ends it. Return how many are new."""
    cdef int64_t fresh = flow.waiting[node] - flow.doomed[node]
    if flow.waiting[node] == 0:
        return 0
    if flow.doomed[node] == 0:
        core.registry.dooms.append((flow.no, node))
    flow.doomed[node] = flow.waiting[node]
    flow.doom[node] = core.registry.arrival_count
    flow.doom_reason[node] = reason
    return fresh


cpdef Py_ssize_t reap(Core core, Py_ssize_t limit) except -1:
    """End doomed runs, node by node, in order of arrival; return how many, at most `limit`."""
    cdef FlowCore flow
    cdef Run run
    cdef int32_t node
    cdef list runs
    cdef Py_ssize_t ended = 0
    while core.registry.dooms and ended < limit:
        no, node = core.registry.dooms[0]
        flow = core.registry.flows.get(no)
        if flow is None:  # deleted, and its last run ended by its timer or with its contact
            core.registry.dooms.popleft()
            continue
        while flow.doomed[node] and ended < limit:
            runs = _first_at(flow, node, min(flow.doomed[node], limit - ended, REAPED_AT_ONCE))
            for run in runs:
                core.registry.touch(run.contact)
                core.registry.disarm(run)
            for run in runs:
                finish(core, run, node, flow.doom_reason[node])
            ended += len(runs)
        if flow.doomed[node] == 0:
            core.registry.dooms.popleft()
            if flow.dead and not flow.ending():
                del core.registry.flows[no]
    return ended


cpdef Py_ssize_t release_held(Core core, Py_ssize_t limit) except -1:
    """Let held runs leave whose flows go on (rule 28); return how many, at most `limit`.

    Flow by flow in order of their numbers, each flow's runs in (due, run id) order."""
    cdef FlowCore flow
    cdef int64_t due, id
    cdef Py_ssize_t released = 0
    for no in sorted(core.registry.holding):
        flow = <FlowCore>core.registry.holding[no]
        while flow.held and released < limit and (flow.dead or flow.runs_at(core.now_ms)):
            due, id = flow.held.pop(0)
            leave(core, core.registry.run_of(id), due)
            drain(core)
            released += 1
        if not flow.held:
            del core.registry.holding[no]
    return released


def is_releasing(Core core not None):
    """Whether held runs are still to leave at this instant."""
    return any((<FlowCore>flow).runs_at(core.now_ms) for flow in core.registry.holding.values())


def sweep(Core core not None, FlowCore flow not None, int64_t occurrence_ms, str after, Py_ssize_t limit):
    """Enter the contacts for whom `where` holds, in order of id, behind the id `after` (None: from the first) (rule 11).

    Contacts created after the occurrence are skipped. At most `limit` are looked at. Return the id to go on behind,
    None when all were looked at, and how many were."""
    cdef Contact contact
    cdef Py_ssize_t start = 0 if after is None else core.registry.ids.bisect_right(after)
    cdef list ids = list(core.registry.ids.islice(start, start + limit))
    for id in ids:
        contact = core.registry.contacts.get(id)
        if contact is None or contact.index < 0:
            continue
        if contact.created_ms > occurrence_ms:
            continue
        if flow.where is not None:
            core.see(contact, None, occurrence_ms, NULL)
            if flow.where.run(core.view) != 1:
                continue
        core.registry.touch(contact)
        try_enter(core, flow, contact, None, occurrence_ms, NULL, 0)
        drain(core)
    return ids[len(ids) - 1] if len(ids) == limit else None, len(ids)


cdef list _first_at(FlowCore flow, int32_t node, Py_ssize_t most):
    """Return the runs that came first to a node, in order of arrival."""
    cdef list runs = []
    cdef void* at = flow.heads[node]
    while at != NULL and len(runs) < most:
        runs.append(<Run>at)
        at = (<Run>at).next_at_node
    return runs
