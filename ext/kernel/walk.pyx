"""How a run walks: from entering, node by node, until it waits or ends; and how it leaves a wait.

The walk knows nothing of how events come in. What a step does is `ext.kernel.steps`'s affair; when a date is, where a window
opens it asks the `host` (`engine.kernel.callbacks`), a Python object:

    date_of(run, node, view) -> ms | None       the date of a dynamic wait (rule 5)
    opening(contact, flow, windows, ms) -> ms   first instant >= ms inside a window (rule 4)
    available(pool) -> int                      codes left (promo.available)

Every record of the trace also goes into `digest`, a running SipHash: two engines that did the same have the
same one, and recovery compares it frame by frame.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint64_t

from ext.kernel.steps cimport Acting
from ext.kernel.flow cimport *
from ext.maps.packed_map cimport Kept, share
from ext.expressions.plan cimport Plan, View
from ext.kernel.records cimport *
from ext.structures.siphash cimport siphash24_c

from engine.model import END_REASONS, TRACE_WORDS, TraceRecord

cdef enum:
    RUNS_AHEAD = 4  # entries after which a run finds its slot in the table fetched

# Why an entry is refused; 0 is "may enter".
GATES = ("", "once", "max", "reserved", "period")


cdef class ContactView(View):
    """What an expression sees of the contact at hand: functions are answered from its history."""

    cdef int64_t count(self, str name, int64_t since_ms, int64_t until_ms) except? -1:
        cdef object number = self.walk.names.get(name)
        return 0 if number is None else count_of(self.contact, number, since_ms, until_ms)

    cdef int64_t last(self, str name) except? -1:
        cdef object number = self.walk.names.get(name)
        return INT64_MIN if number is None else last_of(self.contact, number)

    cdef double sum(self, str name, str property, int64_t since_ms, int64_t until_ms) except? -1:
        cdef object number = self.walk.names.get(name)
        cdef object column = self.walk.properties.get(property)
        if number is None or column is None:
            return 0
        return sum_of(self.contact, number, column, since_ms, until_ms)

    cdef int64_t available(self, str pool) except? -1:
        return self.walk.host.available(pool)


cdef int32_t doomed_of(FlowCore flow, Contact contact) noexcept:
    """How many runs of the contact reserve a launch no longer: they were removed, and only their end is still to come."""
    cdef int32_t found = 0
    cdef void* at = contact.runs
    while at != NULL:
        if (<Run>at).flow is flow and not (<Run>at).counted and (<Run>at).arrival <= flow.doom[(<Run>at).node]:
            found += 1
        at = (<Run>at).next_of_contact
    return found


cdef bint acted_at(Run run, int32_t no) noexcept:
    """Whether the run has carried out the step of this number."""
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


cdef str shared_name(FlowCore flow, str name):
    """The flow's own object for the name of an event that enters runs into it: a million runs share it."""
    for known in flow.events:
        if known == name:
            return <str>known
    return name


cdef class Walk(Acting):
    """Contacts, runs, and the way of a run. `Path` builds on it."""

    def __cinit__(self):
        self.noted_size = 2
        self.view = ContactView()
        self.view.walk = self

    cdef int see(self, Contact contact, str name, int64_t ms, Kept* event) except -1:
        """Point the view at a contact and an event; nothing to do where it already is."""
        cdef ContactView view = self.view
        if (
            not self.stale
            and view.contact is contact
            and view.kept_properties == event
            and view.event_ms == ms
            and view.event_name is name
        ):
            return 0
        view.contact = contact
        view.look_at(contact.kept, event)
        view.points = contact.points
        view.segments = contact.segments
        view.event_name = name
        view.event_ms = ms
        view.changed()
        self.stale = False
        return 0

    cdef int note(
        self, FlowCore flow, int64_t run, Contact contact, int32_t node, int32_t what, int64_t extra, dict detail
    ) except -1:
        """Count what happened, fold it into the digest, and record it where a trace is wanted."""
        cdef int64_t* seen = self.noted + self.noted_size
        flow.counters(node)[what] += 1
        seen[0] = <int64_t>flow.no << 32 | flow.version
        seen[1] = run
        seen[2] = <int64_t>node << 32 | what
        seen[3] = extra
        self.noted_size += 4
        if self.noted_size > NOTED_MAX - 5:
            self.fold()
        if self.trace is not None:
            self.trace.append(
                TraceRecord(
                    self.now_ms, flow.id, flow.version, run, contact.id, flow.ids[node], TRACE_WORDS[what],
                    {} if detail is None else detail,
                )
            )
        return 0

    cdef void fold(self) noexcept:
        """Fold what was noted into the digest, with the digest so far and the time, for which two words are kept."""
        self.noted[0] = self.digest
        self.noted[1] = self.now_ms
        self.digest = siphash24_c(
            <const uint8_t*>PyBytes_AS_STRING(self.key), <const uint8_t*>self.noted, self.noted_size * sizeof(int64_t)
        )
        self.noted_size = 2

    cpdef int mix(self, int64_t value) except -1:
        """The end of a batch: its effects, by number of the last one, and everything noted go into the digest."""
        self.noted[self.noted_size] = value
        self.noted_size += 1
        self.fold()
        return 0

    cdef int64_t gate(self, FlowCore flow, Contact contact, int64_t* until) except -2:
        """Whether frequency lets the contact in now (rules 12 to 15): OPEN, or what refuses it. `until` is set
        only where the period decides."""
        cdef Mark* mark = mark_of(contact, flow.no)
        if mark == NULL:
            return OPEN
        if mark.once or (flow.mode == MODE_ONCE and mark.launches > 0):
            return GATE_ONCE
        if flow.max_launches >= 0 and mark.launches >= flow.max_launches:
            return GATE_MAX
        if mark.reserved > 0 and (flow.mode != MODE_EVERY_TIME or flow.max_launches >= 0):
            if mark.reserved > doomed_of(flow, contact):
                return GATE_RESERVED
        if flow.mode == MODE_PERIODICALLY and mark.launches > 0 and self.now_ms < mark.last_ms + flow.every_ms:
            until[0] = mark.last_ms + flow.every_ms
            return GATE_PERIOD
        return OPEN

    def entry(self, FlowCore flow not None, Contact contact not None):
        """`(what refuses an entry now or "", from when it may enter or None)`, for `why`."""
        cdef int64_t until = INT64_MIN
        cdef int64_t found = self.gate(flow, contact, &until)
        return GATES[found], None if until == INT64_MIN else until

    cdef int enter(
        self, FlowCore flow, Contact contact, str name, int64_t ms, Kept* event, int32_t depth, str key
    ) except -1:
        """A new run, walked until it waits or ends. Without a name it was a schedule that entered it."""
        cdef Run run = Run.__new__(Run)
        cdef dict detail = None
        self.run_count += 1
        run.id = self.run_count
        self.runs.prefetch(run.id + RUNS_AHEAD)
        run.contact = contact
        run.flow = flow
        run.version = flow.version
        run.node = -1
        run.entered_ms = self.now_ms
        run.logical_ms = ms
        run.due_ms = INT64_MIN
        run.depth = depth
        run.event_name = shared_name(flow, name)
        run.event_ms = ms
        run.event = share(event)
        if key is not None:
            set_rare(run, None, None, key)
        mark_or_new(contact, flow.no).reserved += 1
        flow.counters(flow.launch.no)[ARRIVED] += 1
        if self.trace is not None:
            detail = {"schedule": ms} if name is None else {"event": name}
        self.note(flow, run.id, contact, flow.launch.no, ENTERED, ms, detail)
        return self.advance(run, flow.launch.no, flow.launch.next)

    cdef int advance(self, Run run, int32_t at, int32_t no) except -1:
        """Walk from node `at` to node `no` and on, until the run waits or ends. Flows are acyclic, so this ends."""
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
                self.see(contact, run.event_name, run.event_ms, run.event)
                truth = node.plan.run(self.view)
                counts[TRUE if truth == 1 else FALSE] += 1
                self.note(flow, run.id, contact, no, CONDITION, truth == 1, self.condition_detail(node.plan, truth))
                no = node.next if truth == 1 else node.other
            elif node.code == KIND_STEP:
                no = node.next
                self.step(run, node)
            elif node.code == KIND_WAIT:
                no = self.arrive_at_wait(run, node)
                if no == -2:
                    return 0
                if no == -3:
                    return self.finish(run, at, NO_DATE)
            elif node.code == KIND_LIMIT:
                passed = node.passages.pass_(self.now_ms)
                self.note(
                    flow, run.id, contact, no, PASSED if passed else OVER, 0,
                    {"count": node.passages.count(self.now_ms)} if self.trace is not None else None,
                )
                no = node.next if passed else node.other
                if not passed and no < 0:
                    return self.finish(run, at, LIMIT_REACHED)
            else:
                no = self.branch(run, node)
        return self.finish(run, at, COMPLETED)

    cdef dict condition_detail(self, Plan plan, int truth):
        """Why a condition came out as it did (rule 20)."""
        if self.trace is None:
            return None
        if truth == -1:
            return {"result": False, "error": plan.error}
        return {"result": truth == 1}

    cdef int step(self, Run run, NodeCore node) except -1:
        """Rules 3, 12, 13, 16: expired, or the actions and their outcome; the first counted step is the launch. A step
        that an edit puts in the way of a run once more is passed without a word: it acts once per run, for ever."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef Mark* mark
        cdef int32_t what
        cdef bytes acted
        cdef list entries = None if self.trace is None else []
        if acted_at(run, node.no):
            return 0
        if node.relevance_ms >= 0 and self.now_ms > run.logical_ms + node.relevance_ms:
            self.note(flow, run.id, run.contact, node.no, EXPIRED, 0, None)
            return 0
        what = self.act(run, node, entries)
        acted = acted_of(run)
        set_rare(run, node.acted if acted is None else acted + node.acted, codes_of(run), run_key_of(run))
        self.note(flow, run.id, run.contact, node.no, what, 0, None if entries is None else {"actions": entries})
        if what == EXECUTED or what == NOT_SENT:
            mark = mark_or_new(run.contact, flow.no)
            if not run.counted:
                run.counted = True
                mark.reserved -= 1
                mark.launches += 1
            mark.last_ms = self.now_ms
            if flow.mode == MODE_ONCE:
                mark.once = True
        return 0

    cdef int32_t branch(self, Run run, NodeCore node) except -2:
        """Rule 21: the number of the node behind the branch drawn (split) or assigned (A/B)."""
        cdef int64_t id = run.id
        cdef int i = node.drawn(<const char*>&id, 8) if node.code == KIND_SPLIT else self.variant(run, node)
        (<FlowCore>run.flow).taken[node.taken[i]] += 1
        self.note(
            <FlowCore>run.flow, run.id, run.contact, node.no, BRANCH, node.uppers[i],
            {"name": node.branches[i]} if self.trace is not None else None,
        )
        return node.targets[i]

    cdef int variant(self, Run run, NodeCore node) except -1:
        """The variant of an A/B test that the contact keeps, or else the one drawn for it, which it keeps from now
        on."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int64_t place = (<int64_t>flow.no << 32) | node.no
        cdef Py_ssize_t length = 0
        cdef const char* text = PyUnicode_AsUTF8AndSize(run.contact.id, &length)
        cdef dict trials = trials_of(run.contact)
        cdef tuple trial = None if trials is None else trials.get(place)
        cdef int i
        if trial is not None and trial[0] in node.branches:
            return node.branches.index(trial[0])
        i = node.drawn(text, length)
        set_trial(run.contact, place, (node.branches[i], self.now_ms, 0, 0))
        flow.count_trial(node, node.branches[i], self.now_ms)
        return i

    cdef int arrive_at_wait(self, Run run, NodeCore node) except? -1:
        """Rules 2, 4, 5, 6. The number of the node to go on to (-1: the run ends), -2 where the run now waits,
        -3 where there is no date and no edge for that."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int64_t end = run.logical_ms + node.for_ms
        if node.plan is not None:
            self.see(run.contact, run.event_name, run.event_ms, run.event)
            date = self.host.date_of(run, node, self.view)
            if date is None:
                return node.other if node.other >= 0 else -3
            end = date
        if node.windows:
            end = self.host.opening(run.contact, flow, node.windows, max(end, self.now_ms))
        self.note(flow, run.id, run.contact, node.no, WAITING, end, {"until": end} if self.trace is not None else None)
        if node.matches and self.heard_before(run, node):
            flow.counters(node.no)[TRUE] += 1
            return node.next
        if end <= self.now_ms:
            run.logical_ms = end
            return self.timed_out(flow, node)
        run.node = node.no
        self.arm(run, end)
        self.attach(run)
        return -2

    cdef int32_t timed_out(self, FlowCore flow, NodeCore node) except -3:
        """The edge of a wait that is over: `else` where it was for an event that did not come."""
        if not node.matches:
            return node.next
        flow.counters(node.no)[FALSE] += 1
        return node.other

    cdef int leave_by_event(self, Run run, int32_t depth) except -1:
        """The event that a run waited for has come: it goes on, within the chain that the event belongs to."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int32_t at = run.node
        if not flow.runs_at(self.now_ms):
            return self.keep_held(flow, run) if flow.hold else self.finish(run, at, STOPPED)
        run.logical_ms = run.due_ms
        run.depth = depth
        self.detach(run)
        flow.counters(at)[TRUE] += 1
        run.satisfied = False
        return self.advance(run, at, (<NodeCore>flow.nodes[at]).next)

    cdef int leave(self, Run run, int64_t due) except -1:
        """A wait has ended (its timer is gone from the wheel)."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef NodeCore node
        cdef int64_t opens
        self.touch(run.contact)
        run.armed = False
        if run.arrival <= flow.doom[run.node]:
            return self.finish(run, run.node, flow.doom_reason[run.node])
        node = <NodeCore>flow.nodes[run.node]
        if run.satisfied:
            return self.leave_by_event(run, 0)
        if not flow.runs_at(due):
            if flow.hold:
                if not flow.runs_at(self.now_ms):
                    return self.keep_held(flow, run)
            else:
                return self.finish(run, node.no, STOPPED)
        if node.windows and self.now_ms > due:
            opens = self.host.opening(run.contact, flow, node.windows, self.now_ms)
            if opens > self.now_ms:
                self.note(
                    flow, run.id, run.contact, node.no, WAITING, opens,
                    {"until": opens} if self.trace is not None else None,
                )
                self.arm(run, opens)
                return 0
        run.logical_ms = due
        run.depth = 0
        self.detach(run)
        return self.advance(run, node.no, self.timed_out(flow, node))

    cdef int finish(self, Run run, int32_t node, int32_t reason) except -1:
        """The run ends here. A launch it had only reserved is given back (rule 14)."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef Contact contact = run.contact
        flow.counters(node)[WHATS_END + reason] += 1
        self.note(
            flow, run.id, contact, node, LEFT, reason, {"reason": END_REASONS[reason]} if self.trace is not None else None
        )
        if not run.counted:
            mark_or_new(contact, flow.no).reserved -= 1
        if run.waiting:
            self.detach(run)
        add_ended(
            contact,
            Ended(
                run=run.id,
                entered_ms=run.entered_ms,
                left_ms=self.now_ms,
                flow=flow.no,
                node=node,
                version=run.version,
                reason=reason,
            ),
        )
        return 0

    cdef int refuse(self, FlowCore flow, Contact contact, dict detail) except -1:
        """Rule 13 and its kin: no run, one record."""
        self.note(flow, 0, contact, flow.launch.no, REFUSED, detail.get("until", 0), detail)
        return 0

    cdef bint heard_before(self, Run run, NodeCore node) except -1:
        """Whether what a run waits for is so already as it arrives: the event has come since the run entered, and
        `where`, as far as it speaks of the contact alone, holds. With `run_key` history cannot tell the events of
        one key from those of another, so the event has to come again."""
        cdef FlowCore flow = <FlowCore>run.flow
        cdef int64_t last
        cdef object number
        cdef bint found = not node.match_events
        if node.match_sees_event or (node.match_events and flow.run_key is not None):
            return False
        for name in node.match_events:
            number = self.names.get(name)
            if number is not None:
                last = last_of(run.contact, number)
                if last > run.event_ms or (last == run.event_ms and name != run.event_name):
                    found = True
        if not found or node.match_where is None:
            return found
        self.see(run.contact, run.event_name, run.event_ms, run.event)
        return node.match_where.run(self.view) == 1

    def end_runs(self, Contact contact not None, int32_t reason):
        """End all runs of a contact (rule 30)."""
        cdef Run run
        self.touch(contact)
        for run in contact.live_runs():
            self.disarm(run)
            self.finish(run, run.node, reason)
