"""The way of one event: contact, history, A/B tests, waiting runs, launched flows.

Order is part of the rules. An event updates its contact and goes into the history. It counts for the A/B tests it is a
goal of, moves the runs that wait for it or exit on it, then tries the flows in order of their ids. Each run walks until
it waits or ends before the next flow is tried. Events that this gives rise to wait in a queue until all that is done,
first in, first out (`drain`).
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.math cimport isfinite
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr

from ext.expressions.plan cimport Plan
from ext.expressions.value cimport DOUBLE, INT, UINT, Value, read
from ext.maps.msgpack cimport skip
from ext.maps.packed_map cimport read_key
from ext.kernel.contact cimport Contact, Trial, remember, set_traits, set_trial, trials_of
from ext.kernel.core cimport Core
from ext.kernel.flow cimport EXITED, FlowCore, NodeCore
from ext.kernel.flow_filter cimport Matcher
from ext.kernel.run cimport Run, live_runs, run_key_of
from ext.kernel.walk cimport OPEN, enter, finish, gate, leave_by_event, refuse
from ext.maps.json_to_map cimport kept_json
from ext.maps.packed_map cimport Kept, is_larger, kept_of, plain_map, release, same_kept
from ext.maps.trait_names cimport is_engine_trait, is_subscriptions
from ext.structures.name_table cimport NO_NUMBER
from ext.wire.event cimport ALIAS, IDENTIFY, NUMBERS_NOTED, Event, Text, text_of
from ext.wire.json_number cimport decimal

from engine.limits import EVENT_AGE_MS_MAX, HISTORY_NUMBERS_PER_EVENT_MAX, TRAITS_BYTES_MAX

cdef enum:
    NUMBERS_MOST = 64   # of an event, kept in its history

cdef int64_t AGE_MAX = EVENT_AGE_MS_MAX
cdef int NUMBERS_MAX = min(HISTORY_NUMBERS_PER_EVENT_MAX, NUMBERS_MOST)
cdef Py_ssize_t TRAITS_MAX = TRAITS_BYTES_MAX
cdef uint8_t NIL = 0xc0


cdef bint _are_plain(const Kept* traits) noexcept:
    """Whether no trait is null, which removes one, or has a name that the engine gives a meaning to."""
    cdef Value map = read(traits.map)
    cdef const uint8_t* at = map.of.p
    cdef const uint8_t* key
    cdef uint32_t i, n
    for i in range(map.n):
        at = read_key(at, &key, &n)
        if at[0] == NIL or is_engine_trait(key, n) or is_subscriptions(key, n):
            return False
        at = skip(at)
    return True


cdef int take_event(Core core, Event event) except -1:
    """Process one input of a contact. Its hashes were computed when it was fetched (`ext.kernel.batch`)."""
    cdef Contact contact
    if event.message.size and not core.recent.add(event.fingerprint):
        core.duplicate_count += 1
        return 0
    core.event_count += 1
    contact = core.contact_by(event.contact_id.at, event.contact_id.size, event.contact_hash)
    if event.kind == IDENTIFY:
        _identify(core, contact, event)
    elif event.kind == ALIAS:
        core.callbacks.alias(contact, event.previous)
    else:
        _arrive(core, contact, event)
    return 0


cdef int _identify(Core core, Contact contact, Event event) except -1:
    """Apply traits from outside (rule 7).

    Traits that change nothing, and the first ones of a contact, are handled here. The rest is left to the callbacks."""
    cdef Kept* traits = kept_json(event.json.at, event.json.size)
    try:
        if same_kept(traits, contact.kept):  # applications say the same again and again
            return 0
        if (
            contact.kept.map[0] != 0x80
            or memchr(event.json.at, c"\\", event.json.size) != NULL
            or is_larger(traits, TRAITS_MAX)
            or not _are_plain(traits)
            or core.subscriptions.wants("Contact Updated")
        ):
            core.callbacks.identify(contact, plain_map(traits))
            return 0
        core.registry.touch(contact)
        return set_traits(contact, traits)
    finally:
        release(traits)


cdef int _arrive(Core core, Contact contact, Event event) except -1:
    """Process an event from outside: history first, then its effects (rule 7)."""
    cdef uint32_t number = core.names.number(event.event_name.at, event.event_name.size)
    cdef str name = text_of(event.event_name) if number == NO_NUMBER else <str>core.names.texts[number]
    cdef int64_t ms = event.timestamp_ms
    cdef tuple flows = core.subscriptions.flows_of(number, name)
    cdef Kept* kept
    if ms == INT64_MIN or ms > core.now_ms:
        ms = core.now_ms
    core.registry.touch(contact)
    if event.numbers_noted >= 0:
        _remember_noted(core, contact, number, ms, event)
    else:
        _remember_json(core, contact, number, ms, event.json)
    if flows is not None or core.subscriptions.concerns(contact, name):
        kept = kept_json(event.json.at, event.json.size)
        try:
            _take_effect(core, contact, name, ms, kept, 0, flows)
        finally:
            release(kept)
    return 0


cpdef int drain(Core core) except -1:
    """Process the queued events that inputs, timers and actions gave rise to, first in, first out."""
    cdef Contact contact
    cdef Kept* event
    while core.queue.waiting:
        contact, name, packed, depth, keep = core.queue.waiting.popleft()
        if contact.index < 0:
            continue
        core.registry.touch(contact)
        if keep:
            _remember_packed(core, contact, name, packed)
        event = kept_of(packed)
        try:
            _take_effect(core, contact, name, core.now_ms, event, depth, core.subscriptions.triggers.get(name))
        finally:
            release(event)
    if core.queue.chained:
        core.queue.chained = {}
    return 0


cdef int _take_effect(
    Core core, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, tuple flows
) except -1:
    """Apply an event: to A/B tests, to the contact's runs, then to the flows that it may launch (None: no flow)."""
    cdef FlowCore flow
    if trials_of(contact) is not None and name in core.subscriptions.goals:
        _reach_goals(core, contact, name, ms, event)
    if core.subscriptions.listening and contact.runs != NULL:
        _notify_runs(core, contact, name, ms, event, depth)
    if flows is None:
        return 0
    if len(flows) >= core.subscriptions.matched_from:
        return _try_matching(core, flows, contact, name, ms, event, depth)
    for flow in flows:
        if not flow.runs_at(core.now_ms):
            continue
        if flow.where is not None:
            core.see(contact, name, ms, event)
            if flow.where.run(core.view) != 1:
                continue
        try_enter(core, flow, contact, name, ms, event, depth)
    return 0


cdef int _try_matching(
    Core core, tuple flows, Contact contact, str name, int64_t ms, Kept* event, int32_t depth
) except -1:
    """Try the flows of an event as the loop in `_take_effect` does, without those that a clause of `where` rules out.

    An entry may change what the later flows are decided on: then the clauses are evaluated again."""
    cdef Matcher matcher = core.subscriptions.matcher_of(name, flows)
    cdef FlowCore flow
    cdef uint64_t generation = 0
    cdef Py_ssize_t at = 0
    while True:
        core.see(contact, name, ms, event)
        if core.view.generation != generation:
            generation = core.view.generation
            matcher.rule_out(core.view, at)
        at = matcher.following(at)
        if at < 0:
            return 0
        flow = <FlowCore>flows[at]
        at += 1
        if flow.runs_at(core.now_ms) and (flow.where is None or flow.where.run(core.view) == 1):
            try_enter(core, flow, contact, name, ms, event, depth)


cdef int _reach_goals(Core core, Contact contact, str name, int64_t ms, Kept* event) except -1:
    """Count a goal event for the A/B tests that the contact came to not longer than `within` ago (rule 22)."""
    cdef FlowCore flow
    cdef NodeCore node
    cdef Trial trial
    cdef int64_t place
    for flow, node in core.subscriptions.goals[name]:
        place = (<int64_t>flow.no << 32) | node.no
        trial = <Trial>trials_of(contact).get(place)
        if trial is None:
            continue
        if not trial.first_ms <= ms <= trial.first_ms + node.planned.node.goal.within_ms:
            continue
        worth = 0
        if node.planned.plan is not None:
            core.see(contact, name, ms, event)
            worth = core.callbacks.worth_of(node.planned.plan, core.view)
        set_trial(contact, place, Trial(trial.variant, trial.first_ms, trial.orders + 1, trial.revenue + worth))
        flow.touch()
        flow.totals_of(node.no, trial.variant).count_order(trial, worth)
    return 0


cdef int _notify_runs(Core core, Contact contact, str name, int64_t ms, Kept* event, int32_t depth) except -1:
    """Apply an event to the contact's waiting runs, in order of their ids: they exit by `exit_when`, or go on by the
    `until_event` of their wait."""
    cdef Run run
    cdef FlowCore flow
    cdef NodeCore node
    for run in live_runs(contact):
        flow = <FlowCore>run.flow
        if not flow.listens or flow.dead or not run.waiting or run.arrival <= flow.doom[run.node]:
            continue
        if ms < run.event_ms:
            continue  # a late event, from before the run
        if flow.exits and _matches(core, run, flow.exit_events, flow.exit_where, name, ms, event):
            core.registry.disarm(run)
            finish(core, run, run.node, EXITED)
            continue
        node = <NodeCore>flow.nodes[run.node]
        if (
            node.matches
            and not run.satisfied
            and _matches(core, run, node.match_events, node.match_where, name, ms, event)
        ):
            core.registry.disarm(run)
            run.satisfied = True
            run.due_ms = max(run.logical_ms, ms)
            leave_by_event(core, run, depth)
    return 0


cdef bint _matches(
    Core core, Run run, tuple names, Plan where, str name, int64_t ms, Kept* event
) except -1:
    """Whether an event has one of these names and the run's key, and `where` holds."""
    cdef FlowCore flow = <FlowCore>run.flow
    if names and name not in names:
        return False
    if flow.run_key is not None and _key_of(core, flow, run.contact, name, ms, event) != run_key_of(run):
        return False
    if where is None:
        return True
    core.see(run.contact, name, ms, event)
    return where.run(core.view) == 1


cdef str _key_of(Core core, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event):
    """Return the value of `run_key` for an event as text, or None if it has none."""
    core.see(contact, name, ms, event)
    return core.callbacks.key_of(flow.run_key, core.view)


cdef int _remember_noted(Core core, Contact contact, uint32_t number, int64_t ms, Event event) except -1:
    """Keep an event in the contact's history, with the numbers that were noted when its line was read."""
    cdef uint32_t[NUMBERS_NOTED] properties
    cdef double[NUMBERS_NOTED] values
    cdef const char* behind
    cdef uint32_t property
    cdef int n = 0
    cdef int i
    if number == NO_NUMBER:
        return 0
    for i in range(event.numbers_noted):
        property = core.properties.number(event.json.at + event.numbers[i].key, event.numbers[i].size)
        if property != NO_NUMBER:
            values[n] = decimal(event.json.at + event.numbers[i].digits, &behind)
            properties[n] = property
            n += 1
    return remember(contact, number, ms, properties, values, n)


cdef int _remember_packed(Core core, Contact contact, str name, bytes packed) except -1:
    """Keep an event that an action emitted, with the numbers at the top level of its properties.

    The keys are those that `_remember_json` reads: without a character that JSON escapes."""
    cdef uint32_t[NUMBERS_MOST] properties
    cdef double[NUMBERS_MOST] values
    cdef uint32_t number = core.names.number_of(name)
    cdef Value map = read(<const uint8_t*>PyBytes_AS_STRING(packed))
    cdef const uint8_t* at = map.of.p
    cdef const uint8_t* key
    cdef Value value
    cdef uint32_t left, size, property
    cdef int n = 0
    if number == NO_NUMBER:
        return 0
    for left in range(map.n):
        at = read_key(at, &key, &size)
        value = read(at)
        at = skip(at)
        if n == NUMBERS_MAX or key == NULL or not _is_number(value) or _is_escaped(key, size):
            continue
        property = core.properties.number(<const char*>key, size)
        if property != NO_NUMBER:
            values[n] = _as_double(value)
            properties[n] = property
            n += 1
    return remember(contact, number, core.now_ms, properties, values, n)


cdef inline bint _is_number(Value value) noexcept nogil:
    """Whether a packed value is a number that JSON can write."""
    return value.kind == INT or value.kind == UINT or (value.kind == DOUBLE and isfinite(value.of.d))


cdef inline double _as_double(Value value) noexcept nogil:
    """Return a number as a double, rounded to the nearest."""
    if value.kind == DOUBLE:
        return value.of.d
    return <double>value.of.u if value.kind == UINT else <double>value.of.i


cdef bint _is_escaped(const uint8_t* key, uint32_t size) noexcept nogil:
    """Whether JSON writes a key with a backslash."""
    cdef uint32_t i
    for i in range(size):
        if key[i] < 0x20 or key[i] == c'"' or key[i] == c"\\":
            return True
    return False


cdef int _remember_json(Core core, Contact contact, uint32_t number, int64_t ms, Text json) except -1:
    """Keep an event with the numbers at the top level of its properties: validated JSON, read in place."""
    cdef uint32_t[NUMBERS_MOST] properties
    cdef double[NUMBERS_MOST] values
    cdef uint32_t property
    cdef int n = 0
    cdef int depth = 0
    cdef bint escaped
    cdef const char* text = json.at
    cdef const char* end = text + json.size
    cdef const char* key
    cdef const char* key_end
    if number == NO_NUMBER:
        return 0
    while text < end:
        if text[0] == c'"':
            text += 1
            key = text
            escaped = False
            while text[0] != c'"':
                if text[0] == c"\\":
                    escaped = True
                    text += 1
                text += 1
            key_end = text
            text += 1
            if depth != 1 or escaped:
                continue
            while text[0] == c" " or text[0] == c"\t" or text[0] == c"\r" or text[0] == c"\n":
                text += 1
            if text[0] != c":":
                continue
            text += 1
            while text[0] == c" " or text[0] == c"\t" or text[0] == c"\r" or text[0] == c"\n":
                text += 1
            if (c"0" <= text[0] <= c"9" or text[0] == c"-") and n < NUMBERS_MAX:
                property = core.properties.number(key, <uint32_t>(key_end - key))
                if property != NO_NUMBER:
                    values[n] = decimal(text, &text)
                    properties[n] = property
                    n += 1
            continue
        if text[0] == c"{" or text[0] == c"[":
            depth += 1
        elif text[0] == c"}" or text[0] == c"]":
            depth -= 1
        text += 1
    return remember(contact, number, ms, properties, values, n)


cdef int try_enter(
    Core core, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth
) except -1:
    """Let a contact enter a flow whose trigger and condition hold, or record why it is refused."""
    cdef int64_t until = INT64_MIN
    cdef Run run
    if core.now_ms - ms > AGE_MAX:
        return refuse(core, flow, contact, {"reason": "too_old"})
    if ms < flow.start_ms:
        return refuse(core, flow, contact, {"reason": "schedule"})
    if gate(core, flow, contact, &until) != OPEN:
        if until == INT64_MIN:
            return refuse(core, flow, contact, {"reason": "frequency"})
        return refuse(core, flow, contact, {"reason": "frequency", "until": until})
    cdef str key = None
    if flow.run_key is not None:
        key = _key_of(core, flow, contact, name, ms, event)
        if key is None or _has_run(core, flow, contact, key):
            return refuse(core, flow, contact, {"reason": "run_key"})
    return enter(core, flow, contact, name, ms, event, depth, key)


cdef bint _has_run(Core core, FlowCore flow, Contact contact, str key) noexcept:
    """Whether a run of this key is in progress."""
    cdef void* at = contact.runs
    while at != NULL:
        if (<Run>at).flow is flow and run_key_of(<Run>at) == key and (<Run>at).arrival > flow.doom[(<Run>at).node]:
            return True
        at = (<Run>at).next_of_contact
    return False
