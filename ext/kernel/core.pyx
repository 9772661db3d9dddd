"""The path one event takes: contact, triggers, predicates, then the walk of every run it begins or moves.

This is the hot half of the kernel. It is told the time and decides nothing about actions, dates, zones or documents:
for those the walk (`ext.kernel.walk`), and here the traits, ask the `host` (`engine.kernel.callbacks`):

    identify(contact, packed)                   traits from outside, a MessagePack map
    alias(contact, previous)                    two contacts turn out to be one
    key_of(plan, view) -> str | None            the value of run_key
    worth_of(plan, view) -> int                 revenue of a goal event, in hundredths (rule 22)
    cut(contact, event)                         a chain was cut (rule 19)

Order is part of the rules. Timers fire by (due, run id) before the inputs of a batch. An event updates the contact,
counts for the A/B tests it is a goal of, moves the runs that wait for it or are to exit on it, then tries the flows
in order of their ids; each run walks until it waits or ends before the next flow is tried. Events that this gives
rise to wait in a queue until all that is done, first in, first out.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr

from ext.wire.event cimport ALIAS, IDENTIFY, NUMBERS_NOTED, Event, Text, text_of
from ext.structures.fingerprints cimport Fingerprints
from ext.kernel.flow cimport EXITED, KIND_AB_TEST, FlowCore, NodeCore
from ext.maps.trait_names cimport is_engine_trait, is_subscriptions
from ext.maps.packed_map cimport Kept, is_larger, kept_of, plain_map, release, same_kept
from ext.kernel.flow_filter cimport Matcher
from ext.structures.name_table cimport NO_NUMBER, Names
from ext.wire.json_number cimport decimal
from ext.expressions.plan cimport Plan
from ext.kernel.records cimport Contact, Run, remember, run_key_of, set_traits, set_trial, trials_of
from ext.structures.siphash cimport siphash24_c
from ext.maps.json_to_map cimport kept_json
from ext.kernel.walk cimport OPEN, Walk
from ext.expressions.value cimport Value, read, read_key, skip
from ext.structures.wheel cimport Wheel

from collections import deque

from msgspec.json import encode as encode_json
from msgspec.msgpack import decode as unpack_value

from engine.limits import (
    CHAIN_DEPTH_MAX,
    CHAIN_EVENTS_MAX,
    EVENT_AGE_MS_MAX,
    EVENT_NAMES_MAX,
    HISTORY_NUMBERS_PER_EVENT_MAX,
    RECENT_MESSAGES_MAX,
    TRAITS_BYTES_MAX,
)
from engine.tuning import FLOWS_MATCHED_FROM, RECENT_MESSAGES_SLACK

cdef int64_t AGE_MAX = EVENT_AGE_MS_MAX
cdef int32_t DEPTH_MAX = CHAIN_DEPTH_MAX
cdef Py_ssize_t CHAIN_MAX = CHAIN_EVENTS_MAX
cdef int NUMBERS_MAX = min(HISTORY_NUMBERS_PER_EVENT_MAX, 64)
cdef Py_ssize_t TRAITS_MAX = TRAITS_BYTES_MAX
cdef uint8_t NIL = 0xc0
cdef bytes EMPTY_MAP = b"\x80"

# How many events ahead the parts of one are fetched.
cdef enum:
    AHEAD_SLOTS = 16
    AHEAD_CONTACT = 11
    AHEAD_PARTS = 6
    REAPED_AT_ONCE = 256


cdef bint are_plain(const Kept* traits) noexcept:
    """Whether no trait is null, which takes it away, or has a name that means something to the engine."""
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


def unpacked_json(bytes packed):
    """A MessagePack map as JSON, the form in which history reads an emitted event's numbers."""
    return encode_json(unpack_value(packed))


@cython.final
cdef class Path(Walk):
    """All contacts, all runs, and the way of an event through them."""

    def __init__(self, bytes key not None, host):
        self.names = Names(EVENT_NAMES_MAX, int.from_bytes(key[:8]))
        self.properties = Names(EVENT_NAMES_MAX, int.from_bytes(key[8:]))
        self.host = host
        self.recent = Fingerprints(RECENT_MESSAGES_MAX, RECENT_MESSAGES_SLACK)
        self.triggers = {}
        self.asked = []
        self.matchers = {}
        self.matched_from = FLOWS_MATCHED_FROM
        self.goals = {}
        self.queue = deque()
        self.chained = {}
        self.dooms = deque()

    cdef int created(self, Contact contact) except -1:
        self.emit(contact, "Contact Created", EMPTY_MAP, 1, False)
        return 0

    def close(self):
        """Break the one cycle (view and path), so that an engine no longer used is freed at once."""
        self.view = None
        self.host = None

    cpdef int begin(self, int64_t now_ms) except -1:
        """A batch begins: it is `now_ms`."""
        assert now_ms >= self.now_ms, "time does not go back"
        self.now_ms = now_ms
        self.view.now_ms = now_ms
        self.stale = True
        return 0

    def next_due_ms(self):
        """When the next timer is due, or None."""
        return self.wheel.next_due()

    cpdef Py_ssize_t fire(self, Py_ssize_t limit) except -1:
        """Let runs whose waits have ended go on, in (due, run id) order, at most `limit`. How many there were."""
        cdef int64_t due = 0
        cdef int64_t id = 0
        cdef Py_ssize_t fired = 0
        # One at a time: what a run does may take another, due at the same instant, out of its wait.
        while fired < limit and self.wheel.expire_into(self.now_ms, 1, &due, &id) == 1:
            self.leave(self.run_of(id), due)
            self.drain()
            fired += 1
        return fired

    cpdef Py_ssize_t take_all(self, list inputs, Py_ssize_t start) except -1:
        """The events of a batch from `start` on, up to the first input that is none; where that is.

        What an event costs, with a million contacts, is waiting for memory: for its contact's slot, the contact, what
        belongs to it. The events of a batch are known beforehand, so what each will need is fetched while those before
        it are worked on, one step of the way after the other. Nothing is decided on what was fetched.
        """
        cdef Py_ssize_t at = start
        cdef Py_ssize_t end = len(inputs)
        for at in range(start, min(start + AHEAD_SLOTS, end)):
            self.fetch_slots(inputs[at])
        at = start
        while at < end and type(inputs[at]) is Event:
            if at + AHEAD_SLOTS < end:
                self.fetch_slots(inputs[at + AHEAD_SLOTS])
            if at + AHEAD_CONTACT < end:
                self.fetch_contact(inputs[at + AHEAD_CONTACT])
            if at + AHEAD_PARTS < end:
                self.fetch_parts(inputs[at + AHEAD_PARTS])
            self.one(<Event>inputs[at])
            if self.queue:
                self.drain()
            at += 1
        return at

    cdef int fetch_slots(self, object given) except -1:
        """Compute the hashes that lead to what an event needs, and have their places fetched."""
        cdef Event event
        if type(given) is not Event:
            return 0
        event = <Event>given
        event.contact_hash = self.contacts.hash_of(event.contact_id.at, event.contact_id.size)
        self.contacts.prefetch(event.contact_hash)
        if event.message.size:
            event.fingerprint = siphash24_c(
                <const uint8_t*>PyBytes_AS_STRING(self.key), <const uint8_t*>event.message.at, event.message.size
            )
            self.recent.prefetch(event.fingerprint, AHEAD_SLOTS)
        return 0

    cdef int fetch_contact(self, object given) except -1:
        if type(given) is Event:
            self.contacts.prefetch_contact((<Event>given).contact_hash)
        return 0

    cdef int fetch_parts(self, object given) except -1:
        if type(given) is Event:
            self.contacts.prefetch_parts((<Event>given).contact_hash)
        return 0

    cdef int one(self, Event event) except -1:
        """An input of a contact, whose hashes were computed."""
        cdef Contact contact
        if event.message.size and not self.recent.add(event.fingerprint):
            self.duplicate_count += 1
            return 0
        self.event_count += 1
        contact = self.known_by(event.contact_id.at, event.contact_id.size, event.contact_hash)
        if event.kind == IDENTIFY:
            self.identify(contact, event)
        elif event.kind == ALIAS:
            self.host.alias(contact, event.previous)
        else:
            self.arrive(contact, event)
        return 0

    cdef int identify(self, Contact contact, Event event) except -1:
        """Traits from outside. That nothing changes, and that a new contact gets its first ones, are said here; the
        rest is for the `host`, which knows the rules."""
        cdef Kept* traits = kept_json(event.json.at, event.json.size)
        try:
            if same_kept(traits, contact.kept):  # applications say the same again and again
                return 0
            if (
                contact.kept.map[0] != 0x80
                or memchr(event.json.at, c"\\", event.json.size) != NULL
                or is_larger(traits, TRAITS_MAX)
                or not are_plain(traits)
                or self.wants("Contact Updated")
            ):
                self.host.identify(contact, plain_map(traits))
                return 0
            self.touch(contact)
            return set_traits(contact, traits)
        finally:
            release(traits)

    cdef int arrive(self, Contact contact, Event event) except -1:
        """An event from outside: history first, then what it means (rule 7)."""
        cdef uint32_t number = self.names.number(event.event_name.at, event.event_name.size)
        cdef str name = text_of(event.event_name) if number == NO_NUMBER else <str>self.names.texts[number]
        cdef int64_t ms = event.timestamp_ms
        cdef tuple asked = self.asked_by(number, name)
        cdef Kept* kept
        if ms == INT64_MIN or ms > self.now_ms:
            ms = self.now_ms
        self.touch(contact)
        if event.numbers_noted >= 0:
            self.remember_noted(contact, number, ms, event)
        else:
            self.remember(contact, number, ms, event.json)
        if asked is not None or self.concerns(contact, name):
            kept = kept_json(event.json.at, event.json.size)
            try:
                self.mean(contact, name, ms, kept, 0, asked)
            finally:
                release(kept)
        return 0

    cdef tuple asked_by(self, uint32_t number, str name):
        """The flows that an event of this name, and number, may launch, in order of their ids; None: no flow."""
        if number == NO_NUMBER:
            return self.triggers.get(name)
        while <uint32_t>len(self.asked) <= number:
            self.asked.append(self.triggers.get(<str>self.names.texts[len(self.asked)]))
        return <tuple>self.asked[number]

    cpdef int drain(self) except -1:
        """Work off the events that inputs, timers and actions gave rise to."""
        cdef Contact contact
        cdef Kept* event
        while self.queue:
            contact, name, packed, depth, keep = self.queue.popleft()
            if contact.index < 0:
                continue
            self.touch(contact)
            if keep:
                self.remember_packed(contact, name, packed)
            event = kept_of(packed)
            try:
                self.mean(contact, name, self.now_ms, event, depth, self.triggers.get(name))
            finally:
                release(event)
        if self.chained:
            self.chained = {}
        return 0

    cpdef bint wants(self, str name) except -1:
        """Whether an event of the engine's own of this name would mean anything to anybody."""
        return self.listening or name in self.triggers or name in self.goals

    cpdef int emit(self, Contact contact, str name, bytes packed, int32_t depth, bint keep) except -1:
        """Queue an event of the engine's own or of an `emit` action that somebody asks for. A chain that grows too deep
        (rule 19) or, where flows launch several others each, too wide is cut. `keep`: it goes into the history."""
        cdef Py_ssize_t chained = 0
        if not (keep or self.wants(name)):
            return 0
        if depth > 1:
            chained = self.chained.get(contact.index, 0) + 1
            self.chained[contact.index] = chained
        if depth > DEPTH_MAX or chained > CHAIN_MAX:
            self.cut_count += 1
            self.host.cut(contact, name)
            return 0
        self.queue.append((contact, name, packed, depth, keep))
        return 0

    def add_flow(self, FlowCore flow not None):
        self.flows[flow.no] = flow

    def remove_flow(self, FlowCore flow not None, int32_t reason):
        """Take it out; its runs end with this reason, and it is gone when the last one has."""
        flow.dead = True
        for no in range(len(flow.ids)):
            self.end_runs_at(flow, no, reason)
        self.plan_triggers()
        if not flow.ending():
            del self.flows[flow.no]

    def end_runs_at(self, FlowCore flow not None, int32_t node, int32_t reason):
        """Every run that is at a node now is doomed: it takes no further step, and `reap` ends it. How many."""
        cdef int64_t fresh = flow.waiting[node] - flow.doomed[node]
        if flow.waiting[node] == 0:
            return 0
        if flow.doomed[node] == 0:
            self.dooms.append((flow.no, node))
        flow.doomed[node] = flow.waiting[node]
        flow.doom[node] = self.arrival_count
        flow.doom_reason[node] = reason
        return fresh

    def reap(self, Py_ssize_t limit):
        """End doomed runs, node by node, in order of arrival, at most `limit`. How many there were."""
        cdef FlowCore flow
        cdef Run run
        cdef int32_t node
        cdef list runs
        cdef Py_ssize_t ended = 0
        while self.dooms and ended < limit:
            no, node = self.dooms[0]
            flow = self.flows.get(no)
            if flow is None:  # deleted, and its last run ended by its timer or with its contact
                self.dooms.popleft()
                continue
            while flow.doomed[node] and ended < limit:
                runs = first_at(flow, node, min(flow.doomed[node], limit - ended, REAPED_AT_ONCE))
                for run in runs:
                    self.touch(run.contact)
                    self.disarm(run)
                for run in runs:
                    self.finish(run, node, flow.doom_reason[node])
                ended += len(runs)
            if flow.doomed[node] == 0:
                self.dooms.popleft()
                if flow.dead and not flow.ending():
                    del self.flows[no]
        return ended

    def plan_triggers(self):
        """Which flows an event name asks for. Paused flows stay in: they are passed over at the event."""
        cdef FlowCore flow
        cdef dict triggers = {}
        self.matchers = {}
        self.goals = {}
        for flow in sorted(self.flows.values(), key=_flow_id):
            for name in () if flow.dead else flow.events:
                triggers.setdefault(name, []).append(flow)
            for node in () if flow.dead else flow.nodes:
                if node is not None and (<NodeCore>node).code == KIND_AB_TEST:
                    goal = node.planned.node.goal.event
                    self.goals[goal] = (*self.goals.get(goal, ()), (flow, node))
        self.triggers = {name: tuple(flows) for name, flows in triggers.items()}
        self.asked = []
        self.listening = any(flow.listens and not flow.dead for flow in self.flows.values())
        self.stale = True

    def release(self, Py_ssize_t limit):
        """Held runs of flows that go on leave now, flow by flow in order of their numbers, each flow's in (due, run
        id) order, at most `limit`. How many there were (rule 28)."""
        cdef FlowCore flow
        cdef int64_t due, id
        cdef Py_ssize_t released = 0
        for no in sorted(self.holding):
            flow = <FlowCore>self.holding[no]
            while flow.held and released < limit and (flow.dead or flow.runs_at(self.now_ms)):
                due, id = flow.held.pop(0)
                self.leave(self.run_of(id), due)
                self.drain()
                released += 1
            if not flow.held:
                del self.holding[no]
        return released

    def releasing(self):
        """Whether held runs are still to leave at this instant."""
        return any((<FlowCore>flow).runs_at(self.now_ms) for flow in self.holding.values())

    cdef bint concerns(self, Contact contact, str name) except -1:
        """Whether an event may mean something to the contact where it launches nothing: it is a goal of an A/B test
        that the contact came to, or one of its runs may be waiting for it."""
        return (trials_of(contact) is not None and name in self.goals) or (self.listening and contact.runs != NULL)

    cdef int mean(
        self, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, tuple asked
    ) except -1:
        """What an event means: to A/B tests, to the contact's runs, to the flows that ask for it."""
        cdef FlowCore flow
        if trials_of(contact) is not None and name in self.goals:
            self.reach_goals(contact, name, ms, event)
        if self.listening and contact.runs != NULL:
            self.listen(contact, name, ms, event, depth)
        if asked is None:
            return 0
        if len(asked) >= self.matched_from:
            return self.match(asked, contact, name, ms, event, depth)
        for flow in asked:
            if not flow.runs_at(self.now_ms):
                continue
            if flow.where is not None:
                self.see(contact, name, ms, event)
                if flow.where.run(self.view) != 1:
                    continue
            self.try_enter(flow, contact, name, ms, event, depth)
        return 0

    cdef int match(
        self, tuple asked, Contact contact, str name, int64_t ms, Kept* event, int32_t depth
    ) except -1:
        """As the loop over all of them, without those that a clause of their `where` rules out. An entry may change
        what the later ones are decided on: then they are looked at anew."""
        cdef Matcher matcher = self.matchers.get(name)
        cdef FlowCore flow
        cdef uint64_t generation = 0
        cdef Py_ssize_t at = 0
        if matcher is None:
            matcher = self.matchers[name] = Matcher(asked)
        while True:
            self.see(contact, name, ms, event)
            if self.view.generation != generation:
                generation = self.view.generation
                matcher.rule_out(self.view, at)
            at = matcher.following(at)
            if at < 0:
                return 0
            flow = <FlowCore>asked[at]
            at += 1
            if flow.runs_at(self.now_ms) and (flow.where is None or flow.where.run(self.view) == 1):
                self.try_enter(flow, contact, name, ms, event, depth)

    cdef int reach_goals(self, Contact contact, str name, int64_t ms, Kept* event) except -1:
        """Rule 22: a goal event counts for the A/B tests that the contact came to not longer than `within` ago."""
        cdef FlowCore flow
        cdef NodeCore node
        cdef int64_t place
        for flow, node in self.goals[name]:
            place = (<int64_t>flow.no << 32) | node.no
            trial = trials_of(contact).get(place)
            if trial is None:
                continue
            variant, first, orders, revenue = trial
            if not first <= ms <= first + node.planned.node.goal.within_ms:
                continue
            worth = 0
            if node.planned.plan is not None:
                self.see(contact, name, ms, event)
                worth = self.host.worth_of(node.planned.plan, self.view)
            set_trial(contact, place, (variant, first, orders + 1, revenue + worth))
            flow.touch()
            totals = flow.trials[(node.no, variant)]
            flow.trials[(node.no, variant)] = [
                totals[0],
                totals[1] + (orders == 0),
                totals[2] + 1,
                totals[3] + worth,
                totals[4] + 2 * orders + 1,
                totals[5] + (revenue + worth) ** 2 - revenue**2,
                totals[6] + (orders + 1) * (revenue + worth) - orders * revenue,
                totals[7],
            ]
        return 0

    cdef int listen(self, Contact contact, str name, int64_t ms, Kept* event, int32_t depth) except -1:
        """What an event means to the contact's waiting runs, in order of their ids: out by `exit_when`, or on by
        the `until_event` of the wait where they are."""
        cdef Run run
        cdef FlowCore flow
        cdef NodeCore node
        for run in contact.live_runs():
            flow = <FlowCore>run.flow
            if not flow.listens or flow.dead or not run.waiting or run.arrival <= flow.doom[run.node]:
                continue
            if ms < run.event_ms:
                continue  # a late event, from before the run
            if flow.exits and self.heard(run, flow.exit_events, flow.exit_where, name, ms, event):
                self.disarm(run)
                self.finish(run, run.node, EXITED)
                continue
            node = <NodeCore>flow.nodes[run.node]
            if (
                node.matches
                and not run.satisfied
                and self.heard(run, node.match_events, node.match_where, name, ms, event)
            ):
                self.disarm(run)
                run.satisfied = True
                run.due_ms = max(run.logical_ms, ms)
                self.leave_by_event(run, depth)
        return 0

    cdef bint heard(
        self, Run run, tuple names, Plan where, str name, int64_t ms, Kept* event
    ) except -1:
        """Whether an event is one of these names, of the run's key, and `where` holds."""
        cdef FlowCore flow = <FlowCore>run.flow
        if names and name not in names:
            return False
        if flow.run_key is not None and self.key_of(flow, run.contact, name, ms, event) != run_key_of(run):
            return False
        if where is None:
            return True
        self.see(run.contact, name, ms, event)
        return where.run(self.view) == 1

    cdef str key_of(self, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event):
        """The value of `run_key` for an event, as text; None where it has none."""
        self.see(contact, name, ms, event)
        return self.host.key_of(flow.run_key, self.view)

    cdef int remember_noted(self, Contact contact, uint32_t number, int64_t ms, Event event) except -1:
        """Keep an event in the contact's history, with the numbers that were noted when it was read."""
        cdef uint32_t[NUMBERS_NOTED] properties
        cdef double[NUMBERS_NOTED] values
        cdef const char* behind
        cdef uint32_t property
        cdef int n = 0
        cdef int i
        if number == NO_NUMBER:
            return 0
        for i in range(event.numbers_noted):
            property = self.properties.number(event.json.at + event.numbers[i].key, event.numbers[i].size)
            if property != NO_NUMBER:
                values[n] = decimal(event.json.at + event.numbers[i].digits, &behind)
                properties[n] = property
                n += 1
        return remember(contact, number, ms, properties, values, n)

    cdef int remember_packed(self, Contact contact, str name, bytes packed) except -1:
        """Keep an event that an action emitted."""
        cdef bytes json = unpacked_json(packed)
        cdef Text text = Text(at=PyBytes_AS_STRING(json), size=<uint32_t>PyBytes_GET_SIZE(json))
        return self.remember(contact, self.names.number_of(name), self.now_ms, text)

    cdef int remember(self, Contact contact, uint32_t number, int64_t ms, Text json) except -1:
        """Keep an event with the numbers at the top level of its body (validated JSON, read in place)."""
        cdef uint32_t[64] properties
        cdef double[64] values
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
                    property = self.properties.number(key, <uint32_t>(key_end - key))
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
        remember(contact, number, ms, properties, values, n)
        return 0

    cdef int try_enter(
        self, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth
    ) except -1:
        """An event that matched trigger and condition of a running flow: in, or refused with the reason."""
        cdef int64_t until = INT64_MIN
        cdef Run run
        if self.now_ms - ms > AGE_MAX:
            return self.refuse(flow, contact, {"reason": "too_old"})
        if ms < flow.start_ms:
            return self.refuse(flow, contact, {"reason": "schedule"})
        if self.gate(flow, contact, &until) != OPEN:
            if until == INT64_MIN:
                return self.refuse(flow, contact, {"reason": "frequency"})
            return self.refuse(flow, contact, {"reason": "frequency", "until": until})
        cdef str key = None
        if flow.run_key is not None:
            key = self.key_of(flow, contact, name, ms, event)
            if key is None or self.has_run(flow, contact, key):
                return self.refuse(flow, contact, {"reason": "run_key"})
        return self.enter(flow, contact, name, ms, event, depth, key)

    def has_run(self, FlowCore flow, Contact contact, str key):
        """Whether a run of this key is in progress."""
        cdef void* at = contact.runs
        while at != NULL:
            if (<Run>at).flow is flow and run_key_of(<Run>at) == key and (<Run>at).arrival > flow.doom[(<Run>at).node]:
                return True
            at = (<Run>at).next_of_contact
        return False

    def sweep(self, FlowCore flow not None, int64_t occurrence_ms, str after, Py_ssize_t limit):
        """Rule 11: enter the contacts for whom `where` holds, in order of id, beginning behind `after` (None: with
        the first), at most `limit` looked at. The id to go on behind, or None when all were looked at; and how many
        were. Contacts that came after the occurrence are not meant."""
        cdef Contact contact
        cdef Py_ssize_t start = 0 if after is None else self.ids.bisect_right(after)
        cdef list ids = list(self.ids.islice(start, start + limit))
        for id in ids:
            contact = self.contacts.get(id)
            if contact is None or contact.index < 0:
                continue
            if contact.created_ms > occurrence_ms:
                continue
            if flow.where is not None:
                self.see(contact, None, occurrence_ms, NULL)
                if flow.where.run(self.view) != 1:
                    continue
            self.touch(contact)
            self.try_enter(flow, contact, None, occurrence_ms, NULL, 0)
            self.drain()
        return ids[len(ids) - 1] if len(ids) == limit else None, len(ids)

    def pack(self):
        """What is neither a contact nor a flow, but for the fingerprints."""
        return {
            "digest": self.digest,
            "runs": self.run_count,
            "arrivals": self.arrival_count,
            "dooms": list(self.dooms),
            "events": self.event_count,
            "duplicates": self.duplicate_count,
            "cut": self.cut_count,
            "names": self.names.texts,
            "properties": self.properties.texts,
        }

    def unpack(self, dict packed, int64_t now_ms):
        """Become what `pack` gave, at the time it was given."""
        self.now_ms = now_ms
        self.digest = packed["digest"]
        self.run_count = packed["runs"]
        self.arrival_count = packed["arrivals"]
        self.dooms = deque((flow, node) for flow, node in packed["dooms"])
        self.event_count = packed["events"]
        self.duplicate_count = packed["duplicates"]
        self.cut_count = packed["cut"]
        self.names.take(packed["names"])
        self.properties.take(packed["properties"])
        self.wheel = Wheel(now_ms)


cdef list first_at(FlowCore flow, int32_t node, Py_ssize_t most):
    """The runs that came first to a node, in order of arrival."""
    cdef list runs = []
    cdef void* at = flow.heads[node]
    while at != NULL and len(runs) < most:
        runs.append(<Run>at)
        at = (<Run>at).next_at_node
    return runs


def _flow_id(FlowCore flow):
    return flow.id
